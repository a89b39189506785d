"""What is wrong with a config, as one line: file, key, what was found, what is allowed."""

from implicit_sparsity.errors import InputError

from ..source import nearest


class ConfigError(InputError):
    """``path``: the place in the config, as keys and positions; ``file``: the file to name, once known."""

    def __init__(self, path, found, allowed, file=None):
        self.path, self.found, self.allowed, self.file = tuple(path), found, allowed, file
        super().__init__(f"found {found}, allowed: {allowed}", path=file, key=spell(path))

    def in_file(self, file):
        """The same, of this file."""
        return ConfigError(self.path, self.found, self.allowed, file)


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
