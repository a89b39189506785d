"""Planted tables, made once a session: workers of pytest-xdist share them on disk."""

import fcntl

import pytest
from planted_tables import CASES, make_tables


def shared_tables(config, tmp_path_factory, name):
    """The folder of one case's tables; who comes first makes them, others wait."""
    place = tmp_path_factory.getbasetemp()
    place = (place.parent if hasattr(config, "workerinput") else place) / f"figure-tables-{name}"
    place.mkdir(exist_ok=True)
    with open(place / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (place / "done").exists():
            make_tables(place, **CASES[name])
            (place / "done").touch()
    return place / "tables"


@pytest.fixture(scope="session", params=CASES)
def tables(request, tmp_path_factory):
    return shared_tables(request.config, tmp_path_factory, request.param)


@pytest.fixture(scope="session")
def one(request, tmp_path_factory):
    return shared_tables(request.config, tmp_path_factory, "one of each")
