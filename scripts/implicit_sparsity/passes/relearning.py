"""Old domains taught again: a fresh LoRA on a few documents, and what held-out documents cost on the way.

Shapes: D documents that are scored. Losses are in nats per content token (``corpora.tokens``): the format,
which every stage trains again, says nothing of what was forgotten.
"""

import numpy as np

from implicit_sparsity.corpora.tokens import CONTENT
from implicit_sparsity.errors import InputError
from implicit_sparsity.models import batching
from implicit_sparsity.storage.files import new_file
from implicit_sparsity.training import trainer
from implicit_sparsity.training.pretraining import EveryWeight

from . import scoring


def content_losses(model, documents: list, batch_tokens: int) -> np.ndarray:
    """Nats per content token of each document, float64 [D]; NaN where it has none. InputError where a loss is
    not finite."""
    nats, counts = (part[:, CONTENT] for part in scoring.part_nats(model, documents, batch_tokens))
    if not np.isfinite(nats).all():
        raise InputError("the loss of a document is not finite")
    with np.errstate(invalid="ignore"):
        return nats / counts


class Observed(EveryWeight):
    """What is trained is trained plainly; after some steps ``observe(step, model)`` is called.

    taken: steps that an earlier, killed attempt has taken.
    """

    def __init__(self, learning_rate: float, steps: int, after, observe, taken: int = 0):
        super().__init__(learning_rate, steps, [])
        self.after, self.observe, self.taken = after, observe, taken

    def step(self, model):
        super().step(model)
        if self.taken in self.after:
            model.eval()
            self.observe(self.taken, model)
            model.train()


def teach(adapter, documents: list, counts, options: dict, scratch, score) -> dict:
    """{count: score(model)} after the first ``count`` of ``documents``, for each of ``counts``.

    One pass over them in their order, ``options["batch_size"]`` at a time (each count is a multiple of it):
    as the rate is constant, the training on fewer documents is the beginning of that on more. Scores, which
    are arrays, are noted in ``scratch``, where a killed attempt is taken up.
    """
    size, places = options["batch_size"], {count: scratch / f"{count}.npy" for count in counts}
    if not all(place.is_file() for place in places.values()):
        start = trainer.last_checkpoint(scratch)
        taken = int(start.name.rpartition("-")[2]) if start else 0
        documents = documents[: max(counts)]
        batches = [batching.collate(documents[i : i + size]) for i in range(0, len(documents), size)]

        def observe(step, model):
            _note(places[step * size], score(model))

        after = [count // size for count in counts]
        method = Observed(options["learning_rate"], len(batches), after, observe, taken)
        adapter.learn(method, batches, options, scratch, seed=0)
    return {count: np.load(place) for count, place in places.items()}


def _note(place, values) -> None:
    with new_file(place) as temporary, open(temporary, "wb") as file:
        np.save(file, values)
