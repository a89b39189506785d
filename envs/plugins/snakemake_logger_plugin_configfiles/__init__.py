"""A plugin of Snakemake that leaves --configfile and --config to this repository's Snakefile.

Snakemake reads both before it reads a Snakefile: a file that is broken or not there ends in a traceback, or
in words that do not name it, and `__use_yte__: true` in one runs the code in it. envs/venv.sh copies this
into .venv, where Snakemake finds it by its name; it has no log handler of its own. Workflows of others are
read as ever, and without the plugin only the words of such an error are worse.
"""

import sys
from pathlib import Path

from snakemake_interface_logger_plugins.base import LogHandlerBase as LogHandler

__all__ = ["LogHandler"]

# beside a Snakefile that reads for itself
READER = "scripts/implicit_sparsity/workflow/config/strict_yaml.py"


def snakefile(arguments) -> Path:
    """The Snakefile that a command line names, or the one in this folder."""
    for place, argument in enumerate(arguments):
        if argument in ("-s", "--snakefile"):
            return Path(*arguments[place + 1 : place + 2])
        if argument.startswith("--snakefile="):
            return Path(argument.partition("=")[2])
        if argument.startswith("-s") and not argument.startswith("--"):
            return Path(argument[2:])
    return Path("Snakefile")


def unless_ours(read):
    """``read``, or an empty config where the Snakefile reads for itself."""

    def reading(given):
        return {} if (snakefile(sys.argv[1:]).parent / READER).is_file() else read(given)

    return reading


if "snakemake.cli" in sys.modules:
    from snakemake import cli
    from snakemake.settings import types

    types.load_configfile, cli.parse_config = map(unless_ours, (types.load_configfile, cli.parse_config))
