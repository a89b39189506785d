"""Plans of config.yaml's study on nano networks, of which nothing but the shape is needed."""

import copy
from functools import cache
from pathlib import Path

import networks
import yaml

from implicit_sparsity.planning import costs, shapes

CONFIG = yaml.safe_load((Path(__file__).parents[1] / "config.yaml").read_text())
LENGTH = CONFIG["tokens"]["max_length"]
DOMAINS = len(CONFIG["domains"])
COMPARED = DOMAINS - bool(CONFIG["reference"])  # all but the reference set
WHOLE = ("models", "domains", "orders", "methods")  # sections that are given whole; others are laid over


@cache
def shape(kind: str):
    return shapes.of_config(networks.CONFIGS[kind])


def config(kinds=("dense",), precision="fp32", **sections) -> dict:
    """config.yaml with nano models, and with these sections instead of, or over, its own."""
    result = copy.deepcopy(CONFIG)
    result["models"] = {kind: {"source": "path", "path": "x", "precision": precision} for kind in kinds}
    for name, entries in sections.items():
        result[name] = entries if name in WHOLE else result.get(name, {}) | entries
    return result


def study(kinds=("dense",), lengths=None, measured=None, fast=True, **sections) -> costs.Study:
    """The plan's study of that config."""
    given = {kind: shape(kind) for kind in kinds}
    return costs.Study(config(kinds, **sections), given, measured or {}, lengths or {}, fast)
