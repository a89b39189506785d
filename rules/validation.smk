"""Check the config while the workflow is parsed.

Needs: config files, rules/config.schema.yaml. Makes: a config that is whole, or one line on stderr (file, key, what
was found, what is allowed) and exit status 1. References between entries are checked in references.smk.
"""

import math
import os
import re
import sys

import yaml

sys.path.insert(0, os.path.join(workflow.basedir, "scripts"))

from implicit_sparsity.workflow import fingerprints, source

YAML = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
EXPONENT = re.compile(r"[+-]?\d+(\.\d*)?[eE][+-]?\d{1,3}")  # YAML 1.1 takes 2e-3 for text
REMOVABLE = ("models", "domains", "domains.*.sources", "orders", "methods", "probes", "figures", "claims")
SOURCES = []  # (file or "--config", its own content), in the order in which they were laid over each other


def spell(path):
    """A place in the config as users write it: ("seeds", 1) -> seeds[1]."""
    return (
        "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path).lstrip(".")
        or "(top level)"
    )


def show(value):
    """A value in an error line."""
    if isinstance(value, dict):
        return "an empty mapping" if not value else f"a mapping ({', '.join(map(str, value))[:60]})"
    if value is None:
        return "nothing"
    return (str(value).lower() if isinstance(value, bool) else repr(value)).replace("\n", " ")[:80]


def holds(content, path):
    """Whether nested content has something at path."""
    for part in path:
        inside = (
            part in content
            if isinstance(content, dict)
            else isinstance(content, list) and part in range(len(content))
        )
        if not inside:
            return False
        content = content[part]
    return True


def refuse(path, found, allowed, file=None):
    """Leave Snakemake with one line; the file named is the last one that says anything at this place."""
    depths = range(len(path), 0, -1)
    named = (name for depth in depths for name, content in reversed(SOURCES) if holds(content, path[:depth]))
    file = file or next(named, SOURCES[0][0] if SOURCES else "config.yaml")
    raise SystemExit(f"{file}: {spell(path)}: found {found}, allowed: {allowed}")


def read_strictly(file):
    """A config file as plain values; refuses what YAML readers pass over in silence."""
    name = os.path.relpath(file)
    try:
        with open(file, "rb") as stream:
            node = yaml.compose(stream, Loader=YAML)
        with open(file, "rb") as stream:
            content = yaml.load(stream, Loader=YAML)
    except OSError as error:
        refuse((), error.strerror.lower(), "a readable file", file=name)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f"{name}:{mark.line + 1}" if mark else name
        refuse(
            (),
            f"broken YAML ({getattr(error, 'problem', None) or error})".replace("\n", " "),
            "YAML",
            file=where,
        )
    except (ValueError, TypeError) as error:  # a value or key that no Python object stands for
        refuse((), f"a value that cannot be read ({error})", "YAML", file=name)
    if not isinstance(content, dict):
        refuse((), show(content), "a mapping", file=name)
    refuse_repeated_keys(node, (), name)
    return content


def refuse_repeated_keys(node, path, name):
    """A key given twice is two intentions, of which YAML would keep the last."""
    if isinstance(node, yaml.MappingNode):
        seen = set()
        for key, value in node.value:
            here = f"{name}:{key.start_mark.line + 1}"
            if key.tag != "tag:yaml.org,2002:str" and key.value != "<<":
                refuse(
                    path,
                    f"the key {key.value}, which YAML does not read as text",
                    "text (in quotes)",
                    file=here,
                )
            if key.value in seen:
                refuse((*path, key.value), "a second entry of this name", "one", file=here)
            seen.add(key.value)
            refuse_repeated_keys(value, (*path, key.value), name)
    elif isinstance(node, yaml.SequenceNode):
        for position, value in enumerate(node.value):
            refuse_repeated_keys(value, (*path, position), name)


def plain(value, path=(), typed=True):
    """Equal meaning, equal value: keys sorted, 2e-3 and 0.002 one number, 3.0 and 3 one number.

    ``typed`` is False for --config, whose nested values Snakemake hands over as text.
    """
    if isinstance(value, dict):
        return {key: plain(value[key], (*path, key), typed) for key in sorted(value)}
    if isinstance(value, list | tuple):
        return [plain(item, (*path, position), typed) for position, item in enumerate(value)]
    if isinstance(value, str) and not typed:
        value = yaml.safe_load(value) if value.strip() else value
    if isinstance(value, str) and EXPONENT.fullmatch(value):
        value = float(value)
    if isinstance(value, float) and not math.isfinite(value):
        refuse(path, value, "a finite number")
    return int(value) if isinstance(value, float) and value.is_integer() else value


def merge(below, above):
    """Lay one config over another, key by key."""
    for key, value in above.items():
        nested = isinstance(value, dict) and isinstance(below.get(key), dict)
        below[key] = merge(dict(below[key]), value) if nested else value
    return below


def remove_switched_off(content, pattern, path=()):
    """Drop entries set to false from the mappings that ``pattern`` (a.*.b) names."""
    if not isinstance(content, dict):
        return
    if not pattern:
        for key in [key for key, value in content.items() if value is False]:
            del content[key]
        return
    for key in list(content) if pattern[0] == "*" else [pattern[0]]:
        remove_switched_off(content.get(key), pattern[1:], (*path, key))


def describe(schema, root):
    """What a part of the schema allows, in words."""
    while "$ref" in schema:
        schema = root["$defs"][schema["$ref"].rsplit("/", 1)[1]] | {
            k: v for k, v in schema.items() if k != "$ref"
        }
    if "x-allowed" in schema:
        return schema["x-allowed"]
    if "enum" in schema:
        return " | ".join(map(str, schema["enum"]))
    kinds = {"object": "mapping", "array": "list", "string": "text", "boolean": "true or false"}
    words = [kinds.get(schema.get("type"), schema.get("type", "mapping"))]
    bounds = {"minimum": ">=", "exclusiveMinimum": ">", "maximum": "<=", "exclusiveMaximum": "<"}
    words += [f"{sign} {schema[key]}" for key, sign in bounds.items() if key in schema]
    words += ["with at least one entry"] if schema.get("minItems") or schema.get("minProperties") else []
    words += ["that is not empty"] if schema.get("minLength") else []
    return " ".join(words)


def refuse_schema_error(error, root):
    """Word one error of jsonschema."""
    path, found, schema = tuple(error.absolute_path), error.instance, error.schema
    if error.validator == "additionalProperties":
        known = sorted(schema.get("properties", ()))
        extra = sorted(set(found) - set(known))[0]
        refuse((*path, extra), "an unknown key", ", ".join(known) + source.nearest(extra, known))
    if error.validator == "required":
        lacking = next(key for key in error.validator_value if key not in found)
        inner = schema.get("properties", {}).get(lacking, {})
        refuse((*path, lacking), "nothing", describe(inner, root) if inner else "a value")
    if error.validator == "uniqueItems":
        twice = next(item for position, item in enumerate(found) if item in found[:position])
        refuse(path, f"{show(twice)} twice", "each value once")
    if error.validator == "pattern" and "propertyNames" in error.absolute_schema_path:
        path = (*path, found)
    close = source.nearest(found, schema["enum"]) if "enum" in schema and isinstance(found, str) else ""
    refuse(path, "an empty list" if found == [] else show(found), describe(schema, root) + close)


def check_schema(content):
    """Refuse what rules/config.schema.yaml does not allow; of several errors the outermost is told."""
    from jsonschema import Draft202012Validator

    with open(os.path.join(workflow.basedir, "rules", "config.schema.yaml"), "rb") as stream:
        root = yaml.load(stream, Loader=YAML)
    errors = sorted(Draft202012Validator(root).iter_errors(content), key=lambda e: len(e.absolute_path))
    if errors:
        refuse_schema_error(errors[0], root)


def study_of(layers, parts):
    """What the layers make together, entries that are switched off left out, checked against the schema."""
    whole = {}
    for _, content in layers:
        merge(whole, content)
    for pattern in REMOVABLE:
        remove_switched_off(whole, pattern.split("."))
    check_schema(whole | {"optional": {name: part for name, (_, part) in parts.items()}})
    return {key: value for key, value in whole.items() if key not in ("optional", "with")}


def read_config():
    """Read every config file again, strictly, and return the study they make together.

    An optional part that is not asked for is laid and checked all the same, and then left out.
    """
    above = [str(file) for file in workflow.overwrite_configfiles]
    below = ["config.yaml"] if not workflow.config_settings.replace_workflow_config else []
    for file in dict.fromkeys([*below, *above]):
        SOURCES.append((os.path.relpath(file), read_strictly(file)))
    SOURCES.append(("--config", {key: value for key, value in workflow.config_settings.config.items()}))
    files = [(name, plain(content, typed=name != "--config")) for name, content in SOURCES]
    parts = optional_parts(files)
    asked = asked_parts(files, parts)
    for chosen in (*({name: parts[name]} for name in parts if name not in asked), asked):
        SOURCES[:] = laid(files, chosen)
        whole = study_of(SOURCES, parts)
    return plain(whole)


read_strictly("config.yaml")  # before Snakemake's own reading, which ends in a traceback where YAML is broken
