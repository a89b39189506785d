"""What probes, measurements and figures read is made; with what is switched off goes all that reads it."""

from .. import source
from ..tables import figure_tables, made_tables
from .error import ConfigError
from .options import MEASUREMENTS, probe_module


def check_needs(config):
    """Refuse a study in which something reads what is not made: one line, with the overlay that mends it."""
    lacking = unmet(config)
    if not lacking:
        return
    entries = ", ".join(f"{section}.{name} ({what})" for (section, name), what in lacking.items())
    one = len(lacking) == 1
    found = f"{'an entry that reads' if one else 'entries that read'} what is not made: {entries}"
    overlay = ", ".join(
        f"{section}: {{{', '.join(f'{name}: false' for room, name in lacking if room == section)}}}"
        for section in dict.fromkeys(section for section, _ in lacking)
    )
    gone = {name for section, name in lacking if section == "probes"}
    roots = [what for what in dict.fromkeys(lacking.values()) if what not in gone]
    wanted = [name for name in roots if name in MEASUREMENTS or name in source.available("probes")]
    words = [f"{', '.join(wanted)} under probes"] if wanted else []
    words += ["methods that are trained"] if len(wanted) < len(roots) else []
    allowed = f"without {'it' if one else 'them'} ({overlay}), or with {' and '.join(words)}"
    because = [("probes", name) for name in wanted]
    because += [("methods",), *(("models", name, "trained") for name in config["models"])]
    raise ConfigError(next(iter(lacking)), found, allowed, because=because)


def unmet(config) -> dict:
    """{(section, name): what it reads that is not made}, of probes and figures, what follows included."""
    lacking = {}
    probes = dict(config["probes"])
    while new := {name: need for name in probes for need in _measured(name) if need not in probes}:
        lacking |= {("probes", name): need for name, need in new.items()}
        probes = {name: entry for name, entry in probes.items() if name not in new}
    left = config | {"probes": probes}
    made = made_tables(left)
    for name in config["figures"]:
        missing = [table for table in figure_tables(left, name) if table not in made]
        lacking |= {("figures", name): missing[0]} if missing else {}
    return lacking


def _measured(probe) -> list[str]:
    """Measurements that a probe or a measurement reads."""
    needs = source.class_literal(probe_module(probe), "NEEDS")
    return [need for need in (one.removesuffix("_base") for one in needs) if need in MEASUREMENTS]
