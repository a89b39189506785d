"""Which of its choices a row's answer is: the choice itself, its letter (A) or its index (0 for the first).

"B" of the choices B, O, A, AB is itself, or it is O: what the source's other rows do decides. A row that can
be read in both ways is set aside until all are seen; where they give texts only, or places only (letters,
indices), it is read so, and else it is bad. A number written as text ("2") is no index, as some data sets
count from 0 and others from 1: it is a choice by itself, where no other row has such an index, or it is bad.
An index just past the last choice, in a source without an index 0, shows that it may count from 1: then no
row's index is read, and all are bad.
"""

import re
from dataclasses import dataclass, field

from .bad import BadRecord
from .cells import is_number, is_whole, text_of
from .sameness import key as same


@dataclass(frozen=True)
class Both:
    """An answer that the other rows decide: as text (None: it is none) or as the place of a choice."""

    given: object
    text: str | None
    place: str | None  # None: by a number as text, which may be two places


@dataclass
class Answers:
    """The answers of one source; ``seen``: the ways of those that can be read in one way only."""

    seen: set = field(default_factory=set)
    indices: set = field(default_factory=set)  # "first", "past the last": of those that are numbers

    def read(self, value, choices: list | None) -> str | Both:
        """The answer as a text, or Both. ``choices`` may have None where a row has fewer than the others."""
        if choices is None:
            return text_of(value)
        if isinstance(value, bool) or not (isinstance(value, str) or is_number(value)):
            words = f"must be a text or an index, found {type(value).__name__}"
            raise BadRecord("wrong type", words, "answer")
        named = {same(choice): choice for choice in choices if isinstance(choice, str)}
        text, place = named.get(same(text_of(value))), _place(value)
        at = _at(choices, place)
        number = None if isinstance(value, str) else place
        if text is None and number is not None:
            self.indices |= {"first"} if number == 0 else {"past"} if number == _end(choices) else set()
        numbered = _numbered(value, choices)
        if text is None and at is None:
            self.seen |= {"number"} if numbered else set()
            raise BadRecord("answer not in choices", _neither(value, place, choices), "answer")
        if text in (at, *numbered):
            return text
        if text is not None and (at is not None or numbered):
            return Both(value, text, at)
        self.seen.add("place" if text is None else "text")
        if text is None and number is not None:
            return Both(value, None, at)
        return at if text is None else text

    def settle(self, both: Both) -> str:
        """The reading that the source's other rows have; BadRecord where they have none, or several."""
        if self.indices == {"past"} and not isinstance(both.given, str):
            raise BadRecord("ambiguous answer", f"{both.given} may count from 0 or from 1", "answer")
        if both.text is None:
            return both.place
        if self.seen == {"text"}:
            return both.text
        if "place" in self.seen and "text" not in self.seen and both.place is not None:
            return both.place
        other = "a place" if both.place is None else f"the place of {both.place[:60]!r}"
        raise BadRecord("ambiguous answer", f"{both.given!r} is one of the choices, and {other}", "answer")


def _place(value) -> int | None:
    """The place of a choice, from 0, that a letter or a whole number is."""
    if isinstance(value, str):
        return ord(value.strip()) - ord("A") if re.fullmatch("[A-Z]", value.strip()) else None
    return int(value) if is_whole(value) else None


def _at(choices: list, place: int | None) -> str | None:
    return choices[place] if place is not None and 0 <= place < len(choices) else None


def _end(choices: list) -> int:
    """The place just past the last choice that the row has."""
    return max((i for i, choice in enumerate(choices, 1) if choice is not None), default=0)


def _numbered(value, choices: list) -> list[str]:
    """The choices at a number that is written as text, counted from 0 and from 1."""
    if not isinstance(value, str) or not re.fullmatch("[0-9]{1,3}", value.strip()):
        return []
    both = [_at(choices, int(value)), _at(choices, int(value) - 1)]
    return [choice for choice in both if choice is not None]


def _neither(value, place: int | None, choices: list) -> str:
    count = len([choice for choice in choices if choice is not None])
    shown = repr(value[:60]) if isinstance(value, str) else value
    return f"{shown} is not one of the choices" if place is None else f"index {place} of {count} choices"
