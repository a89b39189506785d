"""What is wrong with a config, one line each: file, key, what was found, what is allowed.

A check raises a ConfigError; one that may find several collects them:

    errors = Errors()
    for name in names:
        with errors:
            refuse_unknown(...)
    errors.refuse()

Errors of different checks are put together by load.py, which reads on without what was wrong.
"""

from implicit_sparsity.errors import InputError

from ..source import nearest

MOST = 20  # lines that are printed


class ConfigError(InputError):
    """``path``: the place in the config, as keys and positions; ``file``: the file to name, once known."""

    def __init__(self, path, found, allowed, file=None):
        self.path, self.found, self.allowed, self.file = tuple(path), found, allowed, file
        super().__init__(f"found {found}, allowed: {allowed}", path=file, key=spell(path))

    @property
    def errors(self) -> list:
        """The single errors that this one stands for."""
        return [self]

    def in_file(self, file):
        """The same, of this file."""
        return ConfigError(self.path, self.found, self.allowed, file)


class ConfigErrors(ConfigError):
    """Several errors: place and file are those of the first, the text has a line for each, at most MOST."""

    def __init__(self, errors):
        first = errors[0]
        super().__init__(first.path, first.found, first.allowed, first.file)
        self._errors = list(errors)

    @property
    def errors(self) -> list:
        return self._errors

    def __str__(self):
        lines = list(dict.fromkeys(map(str, self.errors)))
        more = [f"and {len(lines) - MOST} more"] if len(lines) > MOST else []
        return "\n".join([*lines[:MOST], *more])


class Errors:
    """What `with` blocks raise of ConfigErrors, to be raised together at the end."""

    def __init__(self):
        self.found = []

    def __enter__(self):
        return self

    def __exit__(self, kind, error, traceback):
        if isinstance(error, ConfigError):
            self.found += error.errors
        return isinstance(error, ConfigError)

    def refuse(self):
        """Raise what was found: nothing, one error, or all as one."""
        if self.found:
            raise self.found[0] if len(self.found) == 1 else ConfigErrors(self.found)


def spell(path) -> str:
    """A place in the config as users write it: ("seeds", 1) -> seeds[1]."""
    parts = (f"[{part}]" if isinstance(part, int) else f".{part}" for part in path)
    return "".join(parts).lstrip(".") or "(top level)"


def show(value) -> str:
    """A value in an error line."""
    if isinstance(value, dict):
        return "an empty mapping" if not value else f"a mapping ({', '.join(map(str, value))[:60]})"
    if value is None:
        return "nothing"
    return (str(value).lower() if isinstance(value, bool) else repr(value)).replace("\n", " ")[:80]


def refuse_unknown(path, name, known, what):
    """Refuse a name that is none of ``known``."""
    if name not in known:
        listed = ", ".join(sorted(known)) or f"none, there is no {what}"
        raise ConfigError(path, f"{show(name)}, which is no {what}", listed + nearest(name, known))


def one_line(function):
    """``function``, but a wrong config leaves the process: one line on stderr, exit status 1."""

    def leaving(*arguments, **options):
        try:
            return function(*arguments, **options)
        except ConfigError as error:
            raise SystemExit(str(error)) from None

    return leaving
