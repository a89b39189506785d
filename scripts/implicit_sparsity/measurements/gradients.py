"""Gradients of single documents' losses, of both probe halves of a domain, sketched."""

from dataclasses import dataclass
from typing import ClassVar

from implicit_sparsity.options import option
from implicit_sparsity.passes import gradient_sketches

from .base import Measurement, Training


@dataclass
class Gradients(Measurement):
    """Sketches of the gradient of a document's loss, by document and adapted weight.

    ``tokens``: its loss is that of the same part of the completion as the score ``loss_content`` or
    ``loss_completion``. A stop token is the same in every domain, and so is what it does to a gradient.
    """

    tokens: str = option("content", choices=("content", "completion"), help="of whose loss the gradient is")
    documents: int = option(8, low=2, high="splits.probe", help="documents per half and domain")
    rank: int = option(16, low=1, help="columns that a gradient is projected to before it is hashed")
    dim: int = option(512, low=1, help="numbers of one sketch, a multiple of rank")
    gradient_checkpointing: bool = option(False, help="as under training")

    TITLE = "Sketched gradients of {model} ({checkpoint}) on {domain}"
    MULTIPLES: ClassVar[dict] = {"dim": "rank"}
    LIGHTER: ClassVar[dict] = {"gradient_checkpointing": True, "rank": None}

    def measure(self, subject):
        sketcher = gradient_sketches.GradientSketcher(
            subject.load(), self.rank, self.dim, self.gradient_checkpointing, self.tokens
        )
        halves = []
        for half, split in subject.halves().items():
            bar = subject.progress(f"{subject.domain} {half}")
            halves.append(
                gradient_sketches.measure_half(sketcher, split, self.documents, bar, subject.where())
            )
        return gradient_sketches.as_store(halves, sketcher.names, self.rank, self.tokens)

    def passes(self, domains, length, stage):
        tokens = 2.0 * self.documents * length
        return [
            Training(
                tokens,
                tokens / length,
                self.rank,
                checkpointing=self.gradient_checkpointing,
                optimizer=False,
            )
        ]
