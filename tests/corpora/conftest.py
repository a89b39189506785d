"""The model whose tokenizer encodes the documents of this room's tests."""

import pytest
from token_samples import make_model


@pytest.fixture(scope="session")
def model(tmp_path_factory):
    return make_model(tmp_path_factory.mktemp("nano"))
