"""What an archive says of itself in archive.json, checked whole before the first byte is written.

An archive is by anybody: what it says is printed, counted with and handed to a shell as words of a command.
"""

import json
import re

from .layout import FORMAT

LETTERS = 4096  # of a text
COMMIT = re.compile(r"([0-9a-f]{40}([0-9a-f]{24})?)?")
KEY = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def wrong(content, names) -> str | None:
    """What is wrong with archive.json, or None; ``names``: the files that the manifest names."""
    if not isinstance(content, dict):
        return "is no mapping"
    if type(content.get("format")) is not int or content["format"] != FORMAT:  # neither 1.0 nor true
        return f"is of format {ascii(content.get('format'))[:40]}, this code reads {FORMAT}"
    for key in ("files", "bytes"):
        if not _is_count(content.get(key)):
            return f"has no {key} that is a count"
    if content["files"] != len(names) - 1:
        return "counts other files than the manifest"
    if not _is_texts(content.get("left_out")):
        return "has no left_out that is a list of names"
    return _wrong_code(content.get("code")) or _wrong_run(content.get("run"), names)


def _wrong_code(code) -> str | None:
    if not isinstance(code, dict) or not isinstance(code.get("dirty"), bool):
        return "has no code.dirty that is true or false"
    if not isinstance(code.get("commit"), str) or not COMMIT.fullmatch(code["commit"]):
        return "has no code.commit that is one"
    lacks = [key for key in ("changed", "untracked", "files") if not _is_texts(code.get(key))]
    return f"has no code.{lacks[0]} that is a list of names" if lacks else None


def _wrong_run(run, names) -> str | None:
    if not isinstance(run, dict) or not _is_texts(run.get("configfiles")):
        return "has no run.configfiles that is a list of names"
    if not all(name in names and not name.startswith("-") for name in run["configfiles"]):
        return "names a config file in run.configfiles that it does not hold"
    given = run.get("config")
    if not isinstance(given, dict) or not all(KEY.fullmatch(key) for key in given):
        return "has no run.config that is a mapping of keys"
    try:
        letters = len(json.dumps(given))
    except RecursionError:
        letters = LETTERS + 1
    return f"has a run.config of more than {LETTERS} letters" if letters > LETTERS else None


def _is_count(value) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _is_texts(value) -> bool:
    """Names that can be printed: no control characters, none without an end."""
    return isinstance(value, list) and all(
        isinstance(text, str) and text.isprintable() and len(text) <= LETTERS for text in value
    )
