"""Wrong configs: the one line that each of them is refused with, and the parts of that line."""

from pathlib import Path

import pytest

from implicit_sparsity.workflow.config.error import ConfigError
from implicit_sparsity.workflow.config.load import load

# of something switched off, the file is named that still wants it
SWITCHED_OFF = (": false}", ": false}}")


def refused(*files, command_line=()) -> str:
    """The line that these config files are refused with."""
    with pytest.raises(ConfigError) as error:
        load(files, command_line)
    assert "\n" not in str(error.value)
    return str(error.value)


def check(overlay, expected):
    """Over config.yaml in the working folder, ``overlay`` is refused with ``expected``: key, found, allowed.

    Each is a part of what the line says there.
    """
    Path("overlay.yaml").write_text(overlay)
    check_line(refused("config.yaml", "overlay.yaml"), overlay, expected)


def check_line(line, overlay, expected):
    key, found, allowed = expected
    file, place, rest = line.split(": ", 2)
    assert file.startswith("overlay.yaml") or overlay.endswith(SWITCHED_OFF)
    assert key in place
    assert found in rest.split(", allowed: ")[0]
    assert allowed in rest.split(", allowed: ")[1]


def names(table) -> list:
    """The keys that a table's overlays are refused for, to call the tests by."""
    return [key for key, *_ in table.values()]
