"""Snakemake with a logger plugin that writes a line of JSON for each job: run this file in its place.

The plugin is registered here, so that there is no package to install. `planned_jobs.ask` runs this and
reads the file, whose name is in the environment.
"""

import json
import logging
import os
import sys

from snakemake import cli
from snakemake_interface_logger_plugins.base import LogHandlerBase
from snakemake_interface_logger_plugins.common import LogEvent
from snakemake_interface_logger_plugins.registry import LoggerPluginRegistry


class LogHandler(LogHandlerBase):
    """Appends jobs and errors to the file, as they come."""

    writes_to_stream = writes_to_file = has_filter = has_formatter = needs_rulegraph = False

    def emit(self, record: logging.LogRecord) -> None:
        event = getattr(record, "event", None)
        if event == LogEvent.JOB_INFO:
            line = of_job(record)
        elif event == LogEvent.ERROR:
            line = {"error": record.getMessage()}
        else:
            return
        with open(os.environ["PLANNED_JOBS"], "a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")


def of_job(event) -> dict:
    """Fields of `planned_jobs.Job`, from Snakemake's event JOB_INFO."""
    files = {kind: list(getattr(event, kind)) for kind in ("input", "output", "log")}
    files["benchmark"] = [event.benchmark] if event.benchmark else []
    names = {"number": event.jobid, "rule": event.rule_name, "wildcards": dict(event.wildcards)}
    return names | {"reason": event.reason, "files": files}


if __name__ == "__main__":
    LoggerPluginRegistry().register_plugin("snakemake_logger_plugin_jobs", sys.modules[__name__])
    sys.exit(cli.main(sys.argv[1:]))
