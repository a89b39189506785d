"""Loaders by name: the modules of sources/, each with what collecting asks of it."""

import inspect

import pytest

from implicit_sparsity.corpora import loaders
from implicit_sparsity.errors import InputError


@pytest.mark.parametrize("name", loaders.names())
def test_every_loader_has_what_collecting_asks_of_it(name):
    loader = loaders.load(name)
    assert loader.__name__ == f"implicit_sparsity.corpora.sources.{name}"
    assert list(inspect.signature(loader.documents).parameters)[:2] == ["limit", "seed"]
    assert all(isinstance(version, str) and version for version in loader.versions().values())


@pytest.mark.parametrize("name", ["", "__init__", "../champ", "champ.py", "Champ", "sources.champ", "cham"])
def test_what_is_no_loader_is_refused_with_those_there_are(name):
    with pytest.raises(InputError) as caught:
        loaders.load(name)
    assert str(caught.value) == f"loader: no loader {name!r} (there are: {', '.join(loaders.names())})"
