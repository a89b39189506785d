"""Files and folders that a config names: they are there, and Snakemake takes their names as they are."""

import os
import re

from .error import ConfigError, show

WILDCARD = re.compile(r"[{}]|[\x00-\x1f\x7f]")


def check_paths(config):
    """Every `path` of a source is a file, that of a model a folder; folders.py says what is in it."""
    for domain, content in config["domains"].items():
        for name, entry in content["sources"].items():
            if "path" in entry:
                at = ("domains", domain, "sources", name, "path")
                _check(at, entry["path"], os.path.isfile, "is no file", "a file that exists")
    for name, model in config["models"].items():
        if model["source"] == "path":
            _check(("models", name, "path"), model["path"], os.path.isdir, "is no folder", "a model's folder")


def _check(at, path, fits, but, allowed):
    if WILDCARD.search(path):
        found = f"{show(path)}, of which Snakemake would take a part for a wildcard or a line"
        raise ConfigError(at, found, "a path without { } and line breaks: rename it, or a link to it")
    if not fits(path):
        tilde = ", with ~ and $NAME spelled out" if path.startswith(("~", "$")) else ""
        raise ConfigError(at, f"{show(path)}, which {but}", allowed + tilde)
