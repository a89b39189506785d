"""The config against its models, and the models as a JSON schema: for editors, and for the words of an error.

`PYTHONPATH=scripts python -m implicit_sparsity.workflow.config.schema > rules/config.schema.yaml` writes it.
"""

import sys
from functools import cache

import yaml
from pydantic import ValidationError

from ..source import nearest
from .error import NOTHING, ConfigError, Errors, show
from .keys import NAME_WORDS
from .model_keys import EXPERTS, KINDS
from .sections import Config

HEAD = """# Every key of config.yaml: its limits, and how to choose it. Made from the classes in
# scripts/implicit_sparsity/workflow/config/ (change those) by
#   PYTHONPATH=scripts .venv/bin/python -m implicit_sparsity.workflow.config.schema > rules/config.schema.yaml
# Options of methods, probes, figures, claims and loaders are read from their modules, and are not here.
"""
UNKNOWN = "an unknown key"
KIND_NAMES = {"object": "mapping", "array": "list", "string": "text", "boolean": "true or false"}
BOUNDS = {"minimum": ">=", "exclusiveMinimum": ">", "maximum": "<=", "exclusiveMaximum": "<"}


def check_shape(content: dict):
    """Refuse what the models do not allow: one line of a place, and one of the keys that a mapping lacks."""
    try:
        Config.model_validate(content)
    except ValidationError as error:
        worded = [_worded(one, content) for one in error.errors(include_url=False)]
        of_places = {one.path: one for one in worded}  # of a value that may be one or the other the last
        outer = [
            one
            for one in of_places.values()
            if not any(one.path[:n] in of_places for n in range(len(one.path)))
        ]
        Errors(_of_mappings(outer)).refuse()


def _of_mappings(errors) -> list:
    """Errors, lacking keys of a mapping as one; none of a mapping with an unknown key, which may be meant."""
    result, lacking = [], {}
    unknown = {error.path[:-1] for error in errors if error.found == UNKNOWN}
    for error in errors:
        if error.found != NOTHING:
            result.append(error)
        elif error.path[:-1] not in unknown:
            lacking.setdefault(error.path[:-1], []).append(error)
    for first, *others in lacking.values():
        more = ", ".join(error.path[-1] for error in others)
        words = f"{first.allowed} (nor is there {more})" if more else first.allowed
        result.append(ConfigError(first.path, NOTHING, words))
    return result


def _worded(error, content):
    """The ConfigError of one error of pydantic."""
    kind, context = error["type"], error.get("ctx", {})
    lacks = kind == "missing"
    path, value = _place(error["loc"][:-1] if lacks else error["loc"], content)
    if lacks or kind == "lacking":
        at = (*path, error["loc"][-1] if lacks else context["key"])
        part = _part(at, content)
        return ConfigError(at, NOTHING, describe(part) if part else "a value")
    if kind == "extra_forbidden":
        known = sorted(_part(path[:-1], content)["properties"])
        words = ", ".join(known) + nearest(path[-1], known)
        return ConfigError(path, UNKNOWN, words)
    if kind.startswith("union_tag") and isinstance(value, dict):
        kind = value.get("source")
        words = " | ".join(KINDS) + (nearest(kind, KINDS) if isinstance(kind, str) else "")
        return ConfigError((*path, "source"), show(kind), words)
    if kind == "twice":
        return ConfigError(path, f"{show(context['item'])} twice", "each value once")
    if error["loc"][-1:] == ("[key]",):
        return ConfigError(path, show(path[-1]), NAME_WORDS)
    part = _part(path, content)
    words = context["allowed"] if kind == "words" else describe(part)
    close = nearest(value, part["enum"]) if "enum" in part and isinstance(value, str) else ""
    return ConfigError(path, "an empty list" if value == [] else show(value), words + close)


def _place(loc, content):
    """(path in the config, value there) of pydantic's place, which names branches of unions, too."""
    path = []
    for step in loc:
        if isinstance(step, str) and step.startswith("="):
            continue
        known = step in content if isinstance(content, dict) else isinstance(content, list)
        if not known or (isinstance(content, list) and not isinstance(step, int)):
            break
        path.append(step)
        content = content[step]
    return tuple(path), content


def _part(path, content) -> dict:
    """The part of the schema that a place of the config has to fit; empty where there is none."""
    part = _resolved(schema(), content)
    for step in path:
        inner = part.get("items") if isinstance(step, int) else part.get("properties", {}).get(step)
        others = [part.get("additionalProperties"), *part.get("patternProperties", {}).values()]
        inner = inner or next((other for other in others if isinstance(other, dict)), {})
        fits = isinstance(content, dict | list) and (isinstance(content, list) or step in content)
        content = content[step] if fits else None
        part = _resolved(inner, content)
    return part


def _resolved(part, content):
    """A part of the schema, references followed; of the kinds of models the one that ``content`` is of."""
    if "$ref" in part:
        part = {**schema()["$defs"][part["$ref"].rsplit("/", 1)[1]], **part}
        del part["$ref"]
    if "oneOf" in part:
        named = [branch for branch in part["oneOf"] if "$ref" in branch]
        if len(named) == 1:  # a mapping or a plain value, which its own words describe
            return _resolved(named[0], content) if isinstance(content, dict) else part
        kind = KINDS.get(content.get("source")) if isinstance(content, dict) else None
        return _resolved({"$ref": f"#/$defs/{kind.__name__}"}, content) if kind else {"type": "object"}
    return part


def describe(part: dict) -> str:
    """What a part of the schema allows, in words."""
    if "x-allowed" in part:
        return part["x-allowed"]
    if "enum" in part:
        return " | ".join(map(str, part["enum"]))
    words = [KIND_NAMES.get(part.get("type"), part.get("type", "mapping"))]
    bounds = " and ".join(f"{sign} {part[key]}" for key, sign in BOUNDS.items() if key in part)
    words += [bounds] if bounds else []
    words += ["with at least one entry"] if part.get("minItems") or part.get("minProperties") else []
    words += ["that is not empty"] if part.get("minLength") else []
    return " ".join(words)


@cache
def schema() -> dict:
    """JSON schema of the config."""
    made = _tidy(Config.model_json_schema())
    mixture = {"properties": {"model_type": {"const": "qwen3_5_moe_text"}}}
    made["$defs"]["Architecture"] |= {
        "if": mixture,
        "then": {"required": list(EXPERTS), "not": {"required": ["intermediate_size"]}},
        "else": {"required": ["intermediate_size"], "not": {"required": ["num_experts"]}},
    }
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **made}


def _tidy(part):
    """Without titles, which repeat the keys, and without the default of what is just left out."""
    if isinstance(part, list):
        return [_tidy(item) for item in part]
    if not isinstance(part, dict):
        return part
    retained = {key: value for key, value in part.items() if (key, value) != ("default", None)}
    return {key: _tidy(value) for key, value in retained.items() if key != "title" or isinstance(value, dict)}


def text() -> str:
    """The file rules/config.schema.yaml."""
    return HEAD + yaml.safe_dump(schema(), sort_keys=False, allow_unicode=True, width=110)


if __name__ == "__main__":
    sys.stdout.write(text())
