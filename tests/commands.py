"""Commands of README.md and docs/: run as they stand in a folder, or taken apart into what make would run."""

import importlib.util
import re
import shlex
import subprocess
import sys

import studies
import texts
from texts import TEXTS

SNAKEMAKE = [sys.executable, "-m", "snakemake"]


def call(folder, command, check=True, **more):
    """What a finished command said."""
    env = studies.environment(**more)
    done = subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, timeout=500)
    return studies.reported(done, check)


def dry(folder, *arguments, check=True):
    """What a dry run said."""
    return studies.reported(studies.snakemake(folder, "-n", *arguments), check)


def translated(command: str) -> tuple[list[str], dict]:
    """(arguments, environment) of a command of the text: with this Python, and the .venv it is in."""
    words, environment = shlex.split(command), {}
    while "=" in words[0]:
        environment |= [words.pop(0).split("=", 1)]
    if words[0] == "make":
        made = [part for stamp in ("run", "dev") for part in ("-o", f".venv/{stamp}.stamp")]
        return ["make", *made, f"python={sys.executable}", *words[1:]], environment
    if words[0] in ("snakemake", ".venv/bin/snakemake"):
        return [*SNAKEMAKE, *words[1:]], environment
    python = words[0] in ("python", "python3", ".venv/bin/python")
    return [sys.executable if python else words[0], *words[1:]], environment


def laid(below: dict, above: dict) -> dict:
    """One config over another, key by key, as workflow/config/layers.py does it."""
    for key, value in above.items():
        nested = isinstance(value, dict) and isinstance(below.get(key), dict)
        below[key] = laid(dict(below[key]), value) if nested else value
    return below


def place(folder, section) -> dict:
    """Put the files of a section of docs/adding.md where it says."""
    result = texts.files(texts.section(TEXTS["docs/adding.md"], section))
    for path, content in result.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(content, encoding="utf-8")
    return result


def steps(command: str, clone) -> list[list[str]]:
    """The Snakemake command lines that a command comes to; everything else of it is looked up here."""
    words = shlex.split(command)
    if words[0] == "make":  # what it would do on a machine where nothing is installed yet
        lines = call(clone, ["make", "-n", "-s", f"python={sys.executable}", *words[1:]]).splitlines()
        return [step for line in lines for step in steps(line, clone)]
    if words[0] == "timeout":
        return steps(shlex.join(words[4:]), clone)  # timeout -k 30 900 command
    if words[0] == "bash":
        call(clone, ["bash", "-n", words[1]])
    if words[0] == "for":
        assert list(clone.glob(words[3].rstrip(";")))
    if words[0] in ("bash", "echo", "for", "test", "touch"):
        return []
    words = translated(command)[0]
    assert words[0] == sys.executable, f"what is {command}?"
    if words[1:3] == ["-m", "snakemake"]:
        return [words[3:]]
    if words[1] == "-m":
        assert importlib.util.find_spec(words[2]), words[2]
        named = [word for word in words[3:] if re.match(r"(tests|rules|scripts)\b", word)]
    else:
        named = words[1:2]
    assert all((clone / word).exists() for word in named), command
    return []
