"""Snakemake with a logger plugin that writes a line of JSON for each job: ``python -m`` this, in its place.

The plugin is registered here, so that there is no package to install. The file is named by the environment:
``planned_jobs.ask`` reads it.
"""

import json
import logging
import os
import sys
from dataclasses import asdict

from snakemake import cli
from snakemake_interface_logger_plugins.base import LogHandlerBase
from snakemake_interface_logger_plugins.common import LogEvent
from snakemake_interface_logger_plugins.registry import LoggerPluginRegistry

from .planned_jobs import PLACE, Job


class LogHandler(LogHandlerBase):
    """Appends jobs and errors to the file, as they come."""

    writes_to_stream = writes_to_file = has_filter = has_formatter = needs_rulegraph = False

    def emit(self, record: logging.LogRecord) -> None:
        event = getattr(record, "event", None)
        if event == LogEvent.JOB_INFO:
            line = asdict(_job(record))
        elif event == LogEvent.ERROR:
            line = {"error": record.getMessage()}
        else:
            return
        with open(os.environ[PLACE], "a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")


def _job(event) -> Job:
    """Of Snakemake's event JOB_INFO."""
    files = {kind: list(getattr(event, kind)) for kind in ("input", "output", "log")}
    files["benchmark"] = [event.benchmark] if event.benchmark else []
    return Job(event.jobid, event.rule_name, dict(event.wildcards), event.reason, files)


if __name__ == "__main__":
    LoggerPluginRegistry().register_plugin("snakemake_logger_plugin_jobs", sys.modules[__name__])
    sys.exit(cli.main(sys.argv[1:]))
