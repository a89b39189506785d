"""Config files laid over each other key by key; `false` removes, parts under `optional` are laid by `with`.

A layer is (where from, content). A part comes right after the file that it is in, so that every later file
has its say over it. Of several parts of one name the last takes the place of the others, and `false` takes
it away.
"""

import copy
import re

from .error import ConfigError, refuse_unknown, show, spell

# mappings of which an entry set to false is dropped; * is every entry
REMOVABLE = ("models", "domains", "domains.*.sources", "orders", "methods", "probes", "figures", "claims")

ABSENT = object()


def laid_over(layers) -> dict:
    """What the layers make together, entries that are switched off left out; with its domain goes the
    reference set."""
    whole = {}
    for _, content in layers:
        whole = merge(whole, content)
    whole = copy.deepcopy(whole)
    domains, reference = whole.get("domains"), whole.get("reference")
    if isinstance(domains, dict) and isinstance(reference, str) and domains.get(reference) is False:
        whole["reference"] = False
    for pattern in REMOVABLE:
        _remove_switched_off(whole, pattern.split("."))
    return whole


def merge(below: dict, above: dict) -> dict:
    """One config over another, key by key; neither is changed."""
    result = dict(below)
    for key, value in above.items():
        nested = isinstance(value, dict) and isinstance(below.get(key), dict)
        result[key] = merge(below[key], value) if nested else value
    return result


def _remove_switched_off(content, pattern):
    """Drop entries set to false from the mappings that ``pattern`` (a.*.b) names."""
    if not isinstance(content, dict):
        return
    if not pattern:
        for key in [key for key, value in content.items() if value is False]:
            del content[key]
        return
    for key in list(content) if pattern[0] == "*" else [pattern[0]]:
        _remove_switched_off(content.get(key), pattern[1:])


def optional_parts(files) -> dict:
    """name -> (place of its file in ``files``, content)."""
    result = {}
    for place, (file, content) in enumerate(files):
        parts = content.get("optional", {})
        if not isinstance(parts, dict):
            raise ConfigError(("optional",), show(parts), "mapping", file)
        for name, part in parts.items():
            if not isinstance(part, dict) and part is not False:
                raise ConfigError(("optional", name), show(part), "a mapping, or false", file)
        result |= {name: (place, part) for name, part in parts.items()}
    return {name: part for name, part in result.items() if part[1] is not False}


def asked_parts(files, parts) -> dict:
    """Those of ``parts`` that `with` names, in its order; the last file that says `with` decides."""
    asked = next((content["with"] for _, content in reversed(files) if "with" in content), [])
    names = [asked] if isinstance(asked, str) else asked
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise ConfigError(("with",), show(asked), "a name or a list of names")
    for name in names:
        refuse_unknown(("with",), name, parts, "optional part")
    return {name: parts[name] for name in names}


def with_parts(files, parts) -> list:
    """Layers of ``files`` and ``parts`` in the order in which they are laid over each other."""
    layers = []
    for place, (file, content) in enumerate(files):
        layers.append((file, content))
        layers += [(part_name(file, name), part) for name, (at, part) in parts.items() if at == place]
    return layers


def without(files, name, path) -> list:
    """``files`` less what ``name`` (a file, or an optional part of one) has at ``path``, or nearest above it.

    A list goes as a whole, as its other items would be counted anew. Where there is nothing, ``files`` are as
    they were.
    """
    name = re.sub(r":\d+$", "", name)
    result = copy.deepcopy(files)
    for file, content in result:
        parts = content.get("optional")
        parts = parts if isinstance(parts, dict) else {}
        spots = {file: content, **{part_name(file, part): inside for part, inside in parts.items()}}
        holder, last = None, spots.get(name)
        for key in path:
            if not isinstance(last, dict) or key not in last:
                break
            holder, last, place = last, last[key], key
        if holder is not None:
            del holder[place]
            return result
    return files


def part_name(file, part) -> str:
    """How lines call an optional part."""
    return f"{file} (optional.{part})"


def fault(error, layers):
    """The error, of the place and file at fault: of a later file than that of its own place where that says
    something at one of the places that it is ``because`` of."""
    file = file_of(error.path, layers)
    later = [name for name, _ in layers]
    later = later[later.index(file) + 1 :] if file in later else []
    for place in error.because:
        for name, content in reversed(layers):
            if name in later and _holds(content, place):
                what = "" if spell(error.path) in error.found else f"{spell(error.path)} is "
                switched = "false: " if _at(content, place) is False else ""
                return ConfigError(place, f"{switched}{what}{error.found}", error.allowed, name)
    return error.at(error.path, file)


def file_of(path, layers) -> str:
    """The last layer that says anything at this place of the config, or else nearest above it."""
    return layers[rank_of(path, layers)][0] if layers else "config.yaml"


def rank_of(path, layers) -> int:
    """Which layer that is."""
    for depth in range(len(path), 0, -1):
        for rank in reversed(range(len(layers))):
            if _holds(layers[rank][1], path[:depth]):
                return rank
    return 0


def _holds(content, path) -> bool:
    """Whether nested content has something at path."""
    return _at(content, path) is not ABSENT


def _at(content, path):
    """What nested content has at path, or ABSENT."""
    for part in path:
        if isinstance(content, dict):
            inside = part in content
        else:
            inside = isinstance(content, list) and part in range(len(content))
        if not inside:
            return ABSENT
        content = content[part]
    return content
