"""Files and rules that are asked for: what the study does not have is one line, before any plan."""

import os
import re

from . import source
from .config.error import ConfigError, show


def relative(target: str, folder: str) -> str:
    """A target as a rule has it: a file in ``folder``, where Snakemake runs, by its path from there."""
    if not os.path.isabs(target):
        return os.path.normpath(target) if target else target
    places = [os.path.relpath(target, each) for each in (folder, os.environ.get("PWD", folder))]
    return next((place for place in places if not place.startswith(os.pardir)), target)


def refuse_empty(target: str) -> None:
    """ConfigError for a target that is no text, as of a shell's variable that is not set."""
    if not target.strip():
        raise ConfigError(("targets",), show(target), "a rule, or a file that a rule makes")


def check(target, wildcards, study) -> None:
    """Refuse a file whose ``wildcards``, of the rule that would make it, are none of the study."""
    asked = dict(wildcards)
    if {"method", "order", "seed", "stage"} <= set(asked):
        asked["checkpoint"] = "{method}.{order}.seed{seed}.stage{stage}".format(**asked)
    for name, known in _known(study).items():
        if name in asked:
            refuse(target, asked[name], known, name)
    if "source" in asked:
        sources = study.config["domains"][asked["domain"]]["sources"]
        refuse(target, asked["source"], sources, f"source of {asked['domain']}")
    model, measurement = asked.get("model"), asked.get("measurement")
    if measurement and "domain" in asked:
        what = f"domain that {measurement} are measured on"
        refuse(target, asked["domain"], study.domains_measured(measurement), what)
    if "checkpoint" in asked:
        known = study.probed(model, measurement) if measurement else study.checkpoints(model)
        of_which = f" that {measurement} are measured of" if measurement else ""
        refuse(target, asked["checkpoint"], known, f"checkpoint of {model}{of_which}")


def _known(study) -> dict:
    """wildcard -> the values that it may have, whatever the others are."""
    return {
        "model": study.models,
        "domain": study.domains,
        "method": study.config["methods"],
        "order": study.config["orders"],
        "figure": study.config["figures"],
        "probe": study.config["probes"],
        "control": study.config["probes"]["activations"]["controls"],
    }


def refuse(target, name, known, what) -> None:
    """ConfigError at ``target`` where ``name`` is none of ``known``, of which a few are listed."""
    known = list(known)
    if name not in known:
        listed = ", ".join(known[:4]) + (f" and {len(known) - 4} more" if len(known) > 4 else "")
        words = (listed or f"none, the study has no {what}") + source.nearest(name, known)
        raise ConfigError((target,), f"{show(name)}, which is no {what}", words)


def near_miss(target, patterns) -> dict | None:
    """Wildcards of the pattern that a file has the form of, whatever they are allowed to be."""
    for pattern in patterns:
        parts = re.split(r"\{(\w+)\}", pattern)
        regex = "".join(rf"(?P<{part}>[^/]+)" if at % 2 else re.escape(part) for at, part in enumerate(parts))
        if len(parts) > 1 and (match := re.fullmatch(regex, target)):
            return match.groupdict()
    return None


def refuse_unmade(target, rules, files) -> None:
    """ConfigError: ``target`` is no rule, and no file (by ``files``: patterns) that a rule makes."""
    words = f"{', '.join(sorted(rules))}, or a file that a rule makes"
    found = "neither a rule of the study nor a file that it makes"
    raise ConfigError((target,), found, words + source.nearest(target, [*rules, *files]))
