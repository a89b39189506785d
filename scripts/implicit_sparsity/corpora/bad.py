"""What is wrong with a row or a record, and where it stands: refused or counted by its ``reason``."""


class BadRecord(ValueError):
    """A record that breaks the rules: ``reason`` (short, counted in manifests) and a message for the user."""

    def __init__(self, reason: str, message: str, key: str | None = None):
        super().__init__(message)
        self.reason, self.key = reason, key


class Row(int):
    """The number of a row, from 1, in what has no lines: a table, a JSON array."""


def spelled(place) -> str:
    """A place as an error line has it: "line 3", "row 3", or the name that a row has."""
    if isinstance(place, int):
        return f"{'row' if isinstance(place, Row) else 'line'} {int(place)}"
    return place[:80] if place.isprintable() else repr(place[:80])
