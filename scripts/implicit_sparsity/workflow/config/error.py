"""What is wrong with a config, one line each: file, key, what was found, what is allowed.

A check raises a ConfigError; one that may find several collects them:

    errors = Errors()
    for name in names:
        with errors:
            refuse_unknown(...)
    errors.refuse()

Errors of different checks are put together by load.py, which reads on without what was wrong.
"""

import itertools

from implicit_sparsity.errors import InputError

from ..source import nearest

MOST = 20  # lines that are printed
NOTHING = "nothing"  # found where a key is missing


class ConfigError(InputError):
    """``path``: the place in the config, as keys and positions; ``file``: the file to name, once known.

    ``because``: places that may be at fault instead, where a later file has one of them.
    """

    def __init__(self, path, found, allowed, file=None, because=()):
        self.path, self.found, self.allowed, self.file = tuple(path), found, allowed, file
        self.because = because
        super().__init__(f"found {found}, allowed: {allowed}", path=file, key=spell(path))

    @property
    def errors(self) -> list:
        """The single errors that this one stands for."""
        return [self]

    def at(self, path, file):
        """The same, at this place of this file."""
        return ConfigError(path, self.found, self.allowed, file)


class ConfigErrors(ConfigError):
    """Several errors: place and file are of the first; the text has a line for each mapping, at most MOST."""

    def __init__(self, errors):
        first = errors[0]
        super().__init__(first.path, first.found, first.allowed, first.file)
        self._errors = list(errors)

    @property
    def errors(self) -> list:
        return self._errors

    def __str__(self):
        mappings = {}
        for error in self.errors:
            key = (_file(error), error.path[:-1] or error.path)
            words = str(error).removeprefix(f"{error.file}: ") if key in mappings else str(error)
            mappings.setdefault(key, {})[words] = None
        lines = ["; and ".join(words) for words in mappings.values()]
        more = [f"and {len(lines) - MOST} more"] if len(lines) > MOST else []
        return "\n".join([*lines[:MOST], *more])


class Errors:
    """What `with` blocks raise of ConfigErrors, to be raised together at the end."""

    def __init__(self, errors=()):
        self.errors = list(errors)

    def __enter__(self):
        return self

    def __exit__(self, kind, error, traceback):
        if isinstance(error, ConfigError):
            self.errors += error.errors
        return isinstance(error, ConfigError)

    def refuse(self):
        """Raise what was found: nothing, one error, or all as one."""
        if self.errors:
            raise self.errors[0] if len(self.errors) == 1 else ConfigErrors(self.errors)


def follows(error, earlier) -> bool:
    """Whether an error is there only because what ``earlier`` ones are about was put aside.

    It is about the same place, or the mapping that it is in, or names an entry that is gone.
    """
    places = [error.path, error.path[:-1]] if error.found == NOTHING else [error.path]
    for one in earlier:
        if error.found == NOTHING and len(error.path) == 1 and _file(error) == _file(one):
            return True  # a file that is broken lacks much
        if _part(error) == _part(one) and any(_meet(place, one.path) for place in places):
            return True
        if any(isinstance(part, str) and show(part) in str(error.found) for part in one.path[1:]):
            return True
        whole = tuple(itertools.takewhile(lambda part: isinstance(part, str), one.path))  # a list goes whole
        if len(whole) > 1 and spell(whole) in str(error.found):  # what is left of it, in a file below
            return True
    return False


def _file(error) -> str:
    """The file of an error without its line."""
    return str(error.file).partition(":")[0]


def _meet(place, other) -> bool:
    """Whether one place is in the other."""
    shared = min(len(place), len(other))
    return shared > 0 and place[:shared] == other[:shared]


def _part(error) -> str:
    """The optional part that an error is in: what lies under a wrong value in another file does not count."""
    return str(error.file).partition(" (optional.")[2]


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


def refuse_unknown(path, name, known, what, section=None):
    """Refuse a name that is none of ``known``; ``section`` of the config: where it may be switched off."""
    if name not in known:
        listed = ", ".join(sorted(known)) or f"none, there is no {what}"
        because = [(section, name)] if section else []
        found = f"{show(name)}, which is no {what}"
        raise ConfigError(path, found, listed + nearest(name, known), because=because)


def one_line(function):
    """``function``, but a wrong config leaves the process: one line on stderr, exit status 1."""

    def leaving(*arguments, **options):
        try:
            return function(*arguments, **options)
        except ConfigError as error:
            raise SystemExit(str(error)) from None

    return leaving
