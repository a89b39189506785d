"""Names that files give and take away: one that no file gives is a slip of the hand.

Entries that are switched off count as given: what names one of them is passed over, or NOT RUN.
"""

from .. import source
from .error import ConfigError, refuse_unknown, show
from .layers import REMOVABLE, part_name


def contents(layers) -> list:
    """(where from, content) of the layers and of all their optional parts, asked for or not."""
    result = []
    for file, content in layers:
        parts = content.get("optional", {})
        result.append((file, content))
        result += [(part_name(file, name), part) for name, part in parts.items() if part]
    return result


def given(everything) -> dict:
    """{place of a mapping: the names that it has anywhere}, of the mappings that names are removed from.

    The first file has a name even where it says false: what lies below all others is switched off in place.
    """
    names = {}
    for position, (_, content) in enumerate(everything):
        for path, mapping in _mappings(content):
            here = (name for name, entry in mapping.items() if position == 0 or entry is not False)
            names.setdefault(path, set()).update(here)
    return names


def _mappings(content):
    """(path, mapping) of those in REMOVABLE."""
    for pattern in REMOVABLE:
        places = [((), content)]
        for step in pattern.split("."):
            places = [
                ((*path, key), part[key])
                for path, part in places
                for key in (list(part) if step == "*" else [step])
                if isinstance(part.get(key), dict)
            ]
        yield from places


def check_removals(everything, names) -> None:
    """What is set to false is among ``names`` (as of ``given``), or at least a module of ours."""
    for file, content in everything:
        for path, mapping in _mappings(content):
            known = names.get(path, set()) | _modules(path[0] if len(path) == 1 else "")
            for name in (name for name, entry in mapping.items() if entry is False and name not in known):
                found = f"false, for an entry {show(name)} that no file has"
                listed = ", ".join(sorted(names.get(path, ()))) or "none, there is nothing to remove"
                raise ConfigError((*path, name), found, listed + source.nearest(name, known), file)


def check_hardware(config, names) -> None:
    """Models that the hardware names are there; ``names``: as of ``given``."""
    for key in ("cards_per_job", "budget"):
        for name in config.get("hardware", {}).get(key, {}):
            refuse_unknown(("hardware", key, name), name, names.get(("models",), ()), "model")


def _modules(section) -> set:
    """Names that a section may use without saying more."""
    rooms = {"probes": ("probes", "measurements"), "models": (), "domains": (), "orders": (), "": ()}
    return {name for room in rooms.get(section, (section,)) for name in source.available(room)}
