"""What a model has room for, held against what is made for it: the study's lengths, its template, every text.

A prepared model's manifest has both numbers, its ``config.json`` else. A network would fail at an id without
a row of the embedding, and go on without a word beyond its positions.
"""

from dataclasses import dataclass
from pathlib import Path

from implicit_sparsity.errors import InputError
from implicit_sparsity.storage import model_folder
from implicit_sparsity.storage.model_folder import CONFIG, ModelFolder


@dataclass(frozen=True)
class Limits:
    """Of a model: ``positions`` in tokens, ``rows`` of its embedding; None where nothing says.
    ``bound``: what the positions are by."""

    positions: int | None
    rows: int | None
    bound: str = "max_position_embeddings"

    def check_length(self, max_length: int) -> None:
        """InputError where documents may be longer than the model."""
        if self.positions is not None and max_length > self.positions:
            raise InputError(
                f"is {max_length}, the model was made for {self.positions} positions "
                f"({self.bound}): {self.positions} is the most",
                key="tokens.max_length",
            )

    def check_ids(self, ids, what: str, key: str | None = None) -> None:
        """InputError for an id that is no row of the embedding; ``what`` has it, of the config's ``key``."""
        highest = max(ids, default=-1)
        if self.rows is not None and highest >= self.rows:
            raise InputError(
                f"{what} has the token id {highest}, the model's embedding {self.rows} rows (ids 0 to "
                f"{self.rows - 1}): tokens were added to its tokenizer, and none to the model's vocabulary",
                key=key,
            )


def of_model(folder) -> Limits:
    """The limits of a prepared model's folder."""
    folder = ModelFolder(Path(folder))
    config = folder.json(CONFIG) if CONFIG in folder.names() else {}
    return Limits(*model_folder.limits(folder.path), model_folder.bound(config))
