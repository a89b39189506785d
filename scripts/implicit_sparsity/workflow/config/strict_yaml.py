"""YAML text -> plain values; what YAML 1.1 reads otherwise than it looks is refused, all of it at once.

010 is no 8, 1:30 no 90, on no true, 2024-01-01 no date. A wrong entry is left out of the content that comes
back, so that the rest can be checked.
"""

import math
import re

import yaml

from implicit_sparsity.errors import first_line

from .error import ConfigError

YAML = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
DEEPEST = 50  # levels of lists and mappings in each other
MOST_VALUES = 100_000  # with what aliases stand for: some lines of them stand for millions
LARGEST = 2**63
INTEGER = re.compile(r"[+-]?(0|[1-9][0-9]*)")
NUMBER = re.compile(r"[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]{1,3})?")
EXPONENT = re.compile(r"[+-]?[0-9]{1,17}(\.[0-9]*)?[eE][+-]?[0-9]{1,3}")  # YAML 1.1 takes 2e-3 for text
CORE = ("str", "int", "float", "bool", "null", "map", "seq")
ASIDE = object()  # in place of a value that was wrong, and of the list that it was in


def parse(text: str, name: str, lines=True) -> tuple:
    """(content, errors) of YAML text.

    ``name``: of the file, which errors name, with the line where ``lines``. Raises ConfigError where the text
    cannot be read at all.
    """
    reading = Reading(name, lines)
    try:
        reading.check_layout(text)
        node = yaml.compose(text, Loader=YAML)
    except yaml.YAMLError as error:
        problem = getattr(error, "problem", None) or first_line(error)
        where = reading.where(getattr(error, "problem_mark", None))
        raise ConfigError((), f"broken YAML ({problem})", "YAML", where) from error
    content = None if node is None else reading.value(node, (), ())
    return (None if content is ASIDE else content), reading.errors


class Reading:
    """One text that is read: its errors so far, and how many values there were."""

    def __init__(self, name, lines):
        self.name, self.lines, self.errors, self.values = name, lines, [], 0

    def where(self, mark) -> str:
        """The file, and the line in it."""
        return f"{self.name}:{mark.line + 1}" if mark and self.lines else self.name

    def check_layout(self, text):
        """One document, and not deeper than anybody writes: readers recurse. No tag of a language's own."""
        depth = documents = 0
        for event in yaml.parse(text, Loader=YAML):
            where = self.where(event.start_mark)
            depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
            documents += isinstance(event, yaml.DocumentStartEvent)
            if depth > DEEPEST:
                raise ConfigError((), f"more than {DEEPEST} levels", f"at most {DEEPEST}", where)
            if documents > 1:
                raise ConfigError((), "a second document (---)", "one document", where)

    def refuse(self, path, found, allowed, node):
        """Note an error; what stands in place of the value."""
        self.errors.append(ConfigError(path, found, allowed, self.where(node.start_mark)))
        return ASIDE

    def value(self, node, path, above):
        """What a node stands for; ``above``: the nodes that it is in."""
        self.values += 1
        if any(node is one for one in above):
            return self.refuse(path, "an alias of what it stands in", "values", node)
        if self.values > MOST_VALUES or len(above) > DEEPEST:
            found = "aliases that stand for more values, or deeper ones, than a config has"
            raise ConfigError(
                path, found, f"at most {MOST_VALUES}, {DEEPEST} deep", self.where(node.start_mark)
            )
        kind = node.tag.removeprefix("tag:yaml.org,2002:")
        if isinstance(node, yaml.ScalarNode):
            return self.scalar(node, kind, path)
        if kind not in CORE:
            return self.refuse(path, f"the tag {node.tag}", "lists and mappings without a tag", node)
        above = (*above, node)
        if isinstance(node, yaml.MappingNode):
            return self.mapping(node, path, above)
        items = [self.value(item, (*path, place), above) for place, item in enumerate(node.value)]
        return ASIDE if any(item is ASIDE for item in items) else items

    def mapping(self, node, path, above):
        """A mapping, with what `<<` brings under its own entries."""
        own, merged = {}, {}
        for key, value in node.value:
            if key.tag == "tag:yaml.org,2002:merge":
                merged = self.merged(value, path, above) | merged
            elif key.tag != "tag:yaml.org,2002:str":
                written = key.value if isinstance(key, yaml.ScalarNode) else "of several values"
                found = f"the key {written}, which YAML does not read as text"
                self.refuse(path, found, "text (in quotes)", key)
            elif key.value in own:  # two intentions, of which YAML would keep the last
                self.refuse((*path, key.value), "a second entry of this name", "one", key)
            else:
                own[key.value] = self.value(value, (*path, key.value), above)
        return {key: value for key, value in (merged | own).items() if value is not ASIDE}

    def merged(self, node, path, above):
        """Entries of the mapping that `<<` names, or of several, the first of which has the last word."""
        result = {}
        for part in node.value if isinstance(node, yaml.SequenceNode) else [node]:
            content = self.value(part, path, above)
            if isinstance(content, dict):
                result = content | result
            elif content is not ASIDE:
                self.refuse((*path, "<<"), "no mapping", "an alias of a mapping", part)
        return result

    def scalar(self, node, kind, path):
        """Text, a number, true, false or nothing."""
        written = node.value
        if kind == "int":
            return self.integer(node, path)
        if kind == "float" or (kind == "str" and not node.style and EXPONENT.fullmatch(written)):
            return self.number(node, path)
        if kind == "bool" and written.lower() not in ("true", "false"):
            read = "true" if written.lower() in ("yes", "on", "y") else "false"
            found = f"{written}, which YAML reads as {read}"
            return self.refuse(path, found, f'{read}, or "{written}" in quotes', node)
        if kind == "timestamp":
            found = f"{written}, which YAML reads as a date"
            return self.refuse(path, found, f'"{written}" in quotes, for text', node)
        if kind not in (*CORE, "value", "merge"):
            return self.refuse(path, f"the tag {node.tag}", "values without a tag", node)
        return {"bool": written.lower() == "true", "null": None}.get(kind, written)

    def integer(self, node, path):
        """A whole number in decimal digits."""
        written = node.value
        if not INTEGER.fullmatch(written):
            try:
                read = yaml.SafeLoader("").construct_yaml_int(node)
            except ValueError:
                read = "a number"
            found = f"{written[:80]}, which YAML reads as {str(read)[:40]}"
            return self.refuse(path, found, 'decimal digits without a leading 0, or text in "quotes"', node)
        if len(written) > 20 or not -LARGEST <= int(written) < LARGEST:
            return self.refuse(path, written[:80], 'a number below 2^63, or text in "quotes"', node)
        return int(written)

    def number(self, node, path):
        """A finite number, as it is written: 1.0 and 1 are told apart where a set may have either size."""
        written = node.value
        if written.lower().lstrip("+-") in (".inf", ".nan"):
            return self.refuse(path, written, "a finite number", node)
        if not NUMBER.fullmatch(written):
            read = yaml.SafeLoader("").construct_yaml_float(node)
            found = f"{written[:80]}, which YAML reads as {read:g}"
            return self.refuse(path, found, 'a decimal number, or text in "quotes"', node)
        number = float(written)
        vanished = number == 0 and re.search("[1-9]", re.split("[eE]", written)[0])
        if vanished or not math.isfinite(number):
            read = "0" if vanished else "infinity"
            return self.refuse(
                path, f"{written[:80]}, which is {read} to a computer", "a finite number", node
            )
        return number
