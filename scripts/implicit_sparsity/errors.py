"""The one exception whose message is meant for the user, not for the developer."""


class InputError(ValueError):
    """Something the user gave (a file, a config value) is wrong.

    ``str(error)`` is one line: ``path:line: key: message``, with the parts that are not known left out.
    Jobs print that line and exit with status 1; every other exception is a defect and exits with 2.
    """

    def __init__(self, message: str, path=None, line: int | None = None, key: str | None = None):
        self.message, self.key = message, key
        where = f"{path}:{line}" if path is not None and line is not None else path
        parts = [str(part) for part in (where, key, message) if part is not None]
        super().__init__(": ".join(parts).replace("\n", " "))


def first_line(error) -> str:
    """What another library's error says, in a line; the name of its type where it says nothing. A line that
    ends in a colon is only about what the next one says."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()] or [type(error).__name__]
    return " ".join(lines[: 2 if lines[0].endswith(":") else 1])
