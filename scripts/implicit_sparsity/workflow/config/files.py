"""A config file, or the values of --config, as plain values; what is wrong with them as a file is refused."""

import os
import re
import stat

from .error import ConfigError, show
from .layers import merge
from .strict_yaml import parse

LARGEST = 2**22  # bytes
KEY = re.compile(r"[A-Za-z_][\w-]*")
COMMAND_LINE = "--config"


def read(file) -> tuple:
    """(content, errors) of a config file; ConfigError where it is no YAML or no mapping.

    Entries that are read otherwise than they look are left out of the content, and are the errors.
    """
    name = os.path.relpath(file)
    content, errors = parse(_text(file, name), name)
    if not isinstance(content, dict) and not errors:
        raise ConfigError((), show(content), "a mapping", name)
    return content if isinstance(content, dict) else {}, errors


def _text(file, name) -> str:
    try:
        info = os.stat(file)
        if stat.S_ISREG(info.st_mode) and info.st_size <= LARGEST:
            with open(file, "rb") as stream:
                data = stream.read()
    except OSError as error:
        raise ConfigError((), error.strerror.lower(), "a readable file", name) from error
    except ValueError as error:  # a null byte in the name
        raise ConfigError((), str(error), "a readable file", show(name)) from error
    if not stat.S_ISREG(info.st_mode):
        kind = "a directory" if stat.S_ISDIR(info.st_mode) else "no regular file"
        raise ConfigError((), kind, "a readable file", name)
    if info.st_size > LARGEST:
        raise ConfigError((), f"a file of {info.st_size} bytes", f"at most {LARGEST}", name)
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        found = f"text in another encoding than UTF-8 (byte 0x{data[error.start]:02x})"
        raise ConfigError((), found, "UTF-8", f"{name}:{data[: error.start].count(10) + 1}") from error


def read_command_line(entries) -> tuple:
    """(content, errors) of the values of --config, ``NAME=YAML`` each; the later over the earlier.

    As the user wrote them: Snakemake's own reading takes quotes and signs of numbers away.
    """
    content, errors = {}, []
    for entry in entries or ():
        key, equals, text = entry.partition("=")
        if not equals or not KEY.fullmatch(key):
            errors.append(ConfigError((), show(entry), "NAME=VALUE", COMMAND_LINE))
            continue
        try:
            value, wrong = parse(text, COMMAND_LINE, lines=False)
        except ConfigError as error:
            value, wrong = None, [error]
        errors += [ConfigError((key, *one.path), one.found, one.allowed, one.file) for one in wrong]
        if value is not None or not wrong:
            content = merge(content, {key: value})
    return content, errors


def plain(value):
    """Equal meaning, equal value: keys sorted, 3.0 and 3 one number."""
    if isinstance(value, dict):
        return {key: plain(value[key]) for key in sorted(value)}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    whole = isinstance(value, float) and value.is_integer() and abs(value) < 2**63
    return int(value) if whole else value
