"""What each measurement of a study says of itself: options, and literals of its class, read from source."""

from typing import NamedTuple

from . import source
from .config.error import ConfigError, show
from .config.options import MEASUREMENTS, probe_module, with_defaults

SCOPES = ("domain", "checkpoint")


class Measure(NamedTuple):
    """One entry of `probes` that is a module of measurements/."""

    options: dict  # all of them, those that the config leaves out too
    how: dict  # of these, what says how it is measured: a change of the others makes nothing again
    scope: str  # "domain": a store of each checkpoint and domain; "checkpoint": one of all domains
    needs: tuple  # what its jobs read besides the model and documents
    minutes: int  # of a job on a cluster's GPU
    of_base: bool  # whether the base model is measured
    first_stage: int  # of an order that is measured


def domains_of(needs, domains, reference) -> list[str]:
    """Domains that something with these NEEDS takes: all but the reference set, unless it needs that, too."""
    return [domain for domain in domains if domain != reference or "reference" in needs]


def of(probes) -> dict[str, Measure]:
    """name -> Measure of the measurements among the entries of ``probes``."""
    return {name: _measure(name, entry) for name, entry in probes.items() if name in MEASUREMENTS}


def _measure(name, entry) -> Measure:
    module = probe_module(name)
    options = with_defaults(module, entry)
    scope, needs, planned, minutes, first = (
        source.class_literal(module, literal)
        for literal in ("SCOPE", "NEEDS", "PLANNED", "MINUTES", "FIRST_STAGE")
    )
    if scope not in SCOPES:
        raise ConfigError(("probes", name), f"a measurement of SCOPE {show(scope)}", " | ".join(SCOPES))
    how = {key: value for key, value in options.items() if key not in planned}
    of_base = "base" in source.option_fields(module)["stages"].choices
    return Measure(options, how, scope, needs, minutes, of_base, first)
