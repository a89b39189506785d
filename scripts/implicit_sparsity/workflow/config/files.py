"""A config file as plain values; what YAML readers pass over in silence is refused."""

import math
import os
import re

import yaml

from .error import ConfigError, show

YAML = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
EXPONENT = re.compile(r"[+-]?\d+(\.\d*)?[eE][+-]?\d{1,3}")  # YAML 1.1 takes 2e-3 for text


def read_strictly(file) -> dict:
    """The content of a config file; ConfigError where it is no YAML, no mapping, or has a key twice."""
    name = os.path.relpath(file)
    try:
        with open(file, "rb") as stream:
            text = stream.read()
        node, content = yaml.compose(text, Loader=YAML), yaml.load(text, Loader=YAML)
    except OSError as error:
        raise ConfigError((), error.strerror.lower(), "a readable file", name) from error
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f"{name}:{mark.line + 1}" if mark else name
        raise _broken((), error, where) from error
    except (ValueError, TypeError) as error:  # a value or key that no Python object stands for
        raise ConfigError((), f"a value that cannot be read ({error})", "YAML", name) from error
    if not isinstance(content, dict):
        raise ConfigError((), show(content), "a mapping", name)
    _refuse_repeated_keys(node, (), name)
    return content


def _broken(path, error, where) -> ConfigError:
    problem = getattr(error, "problem", None) or str(error).splitlines()[0]
    return ConfigError(path, f"broken YAML ({problem})", "YAML", where)


def _refuse_repeated_keys(node, path, name, above=()):
    """A key given twice is two intentions, of which YAML would keep the last; no alias may hold itself."""
    if any(node is one for one in above):
        line = node.start_mark.line + 1
        raise ConfigError(path, "an alias of what it stands in", "values", f"{name}:{line}")
    above = (*above, node)
    if isinstance(node, yaml.MappingNode):
        seen = set()
        for key, value in node.value:
            here = f"{name}:{key.start_mark.line + 1}"
            if key.tag != "tag:yaml.org,2002:str" and key.value != "<<":
                found = f"the key {key.value}, which YAML does not read as text"
                raise ConfigError(path, found, "text (in quotes)", here)
            if key.value in seen:
                raise ConfigError((*path, key.value), "a second entry of this name", "one", here)
            seen.add(key.value)
            _refuse_repeated_keys(value, (*path, key.value), name, above)
    elif isinstance(node, yaml.SequenceNode):
        for position, value in enumerate(node.value):
            _refuse_repeated_keys(value, (*path, position), name, above)


def plain(value, path=(), file=None, typed=True):
    """Equal meaning, equal value: keys sorted, 2e-3 and 0.002 one number, 3.0 and 3 one number.

    ``typed`` is False for --config, whose nested values Snakemake hands over as text.
    """
    if isinstance(value, dict):
        return {key: plain(value[key], (*path, key), file, typed) for key in sorted(value)}
    if isinstance(value, list | tuple):
        return [plain(item, (*path, position), file, typed) for position, item in enumerate(value)]
    if isinstance(value, str) and not typed:
        try:
            value = yaml.safe_load(value) if value.strip() else value
        except yaml.YAMLError as error:
            raise _broken(path, error, file) from error
    if isinstance(value, str) and EXPONENT.fullmatch(value):
        value = float(value)
    if isinstance(value, float) and not math.isfinite(value):
        raise ConfigError(path, value, "a finite number", file)
    return int(value) if isinstance(value, float) and value.is_integer() else value
