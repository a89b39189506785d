"""What a measurement is: options and literals from which its jobs are planned, and ``measure``, which runs.

A module of this room is a measurement, named as the config names it under ``probes``, and its stores are in
``results/<name>/``. What measurements are made of (the loop over documents, sums, scores) is in ``passes``:
a room that users add to holds nothing but what they may name.
"""

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import ClassVar

from implicit_sparsity.models import adapters
from implicit_sparsity.options import Options, option


@dataclass
class Subject:
    """What is measured: a checkpoint, on documents of one domain or of all."""

    model: str  # folder of the base model
    base: dict  # the base model's entry in the config
    checkpoint: str
    shards: dict  # domain -> corpora.tokens.Tokens, in the config's order
    domain: str = ""  # whose documents are measured; "": those of all domains
    adapter: str | None = None  # folder of the checkpoint's stage; None: the base model
    previous: str | None = None  # of the stage before, where NEEDS has "previous" and there is one
    stores: dict = field(default_factory=dict)  # measurement in NEEDS -> paths, a domain each
    orders: dict = field(default_factory=dict)  # name -> domains, where NEEDS has "orders"
    earlier: list = field(default_factory=list)  # of all stages before, where NEEDS has "earlier"
    reference: str = ""  # the domain that is never trained, where NEEDS has "reference" and there is one
    progress: Callable = lambda what: iter  # a wrapper for what is gone through one by one
    scratch: Callable | None = None  # () -> a folder for work that may be cut off and resumed
    attrs: dict = field(default_factory=dict)  # what the store says of itself; a measurement may add to it

    def load(self):
        """The network at this checkpoint."""
        return self.load_other(self.adapter)

    def load_other(self, adapter):
        """The base model with another stage's adapter; None for none."""
        return adapters.load_checkpoint(self.model, adapter, self.base)

    def halves(self, domain: str | None = None) -> dict:
        """{"a": documents, "b": documents}: a domain's two probe halves; this one's where none is named."""
        shards = self.shards[domain or self.domain]
        return {half: shards.split(f"probe_{half}") for half in "ab"}

    def special_ids(self, domain: str | None = None):
        """Ids of the tokens that are format, not text."""
        return self.shards[domain or self.domain].index["special_ids"]

    def where(self, domain: str | None = None):
        """The token folder, for messages."""
        return self.shards[domain or self.domain].folder


@dataclass(frozen=True)
class Forward:
    """A pass over documents, as it is planned."""

    tokens: float  # in all
    batch_tokens: int  # at a time
    head: bool = True  # whether words are predicted, too
    loads: int = 0  # further networks that are read from disk


@dataclass(frozen=True)
class Training:
    """A fresh LoRA that is trained, or whose gradients are taken, as it is planned."""

    tokens: float  # in all
    steps: float
    rank: int
    rows: int = 1  # of a step
    length: int | None = None  # of a row; None: documents of the study
    checkpointing: bool = False
    optimizer: bool = True


@dataclass
class Measurement(Options):
    """Base of every measurement. What is not finite, or documents that do not suffice, is an InputError."""

    stages: str = option(
        "base",
        choices=("base", "final", "all"),
        help="checkpoints: base | final (and after the last domain) | all (and after every one). Base is "
        "measured unless a class leaves it out of the choices",
    )
    methods: tuple[str, ...] = option(
        (), empty=True, of="methods", help="whose checkpoints, of those that are probed; empty: all"
    )

    # Read from source while the workflow is parsed, so each must be a literal.
    SCOPE = "domain"  # a store of each checkpoint and domain; "checkpoint": one of all domains
    REFUSES: ClassVar[tuple] = ()  # as of a method: traits of a network that it cannot take
    NEEDS: ClassVar[tuple] = ()  # measurements whose stores (of all domains) are read; "tokens": documents of
    # all domains; "previous": the stage before; "earlier": all stages before; "orders": those of the config;
    # "reference": the reference set, which is then among the domains
    TITLE = "{model} ({checkpoint}) on {domain}"  # of the store
    PLANNED: ClassVar[tuple] = ("stages", "methods")  # options that say what is measured, and not how
    FIRST_STAGE = 1  # of an order that is measured, and base where any is; 2: those with one before
    MINUTES = 20  # of a job on a cluster's GPU; each further attempt gets as many more
    # Options that save memory, the least costly first: the value that does; None: halve it.
    LIGHTER: ClassVar[dict] = {}

    def settings(self) -> dict:
        """The options that say how it is measured, as JSON has them."""
        chosen = {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}
        return {
            name: list(value) if isinstance(value, tuple) else value
            for name, value in chosen.items()
            if name not in self.PLANNED
        }

    def measure(self, subject: Subject) -> tuple[dict, dict]:
        """(arrays, coordinates) for ``store.write_store``."""
        raise NotImplementedError

    def passes(self, domains: int, length: float, stage: int) -> list:
        """The work of one job, Forward or Training each; ``length``: mean tokens of a document, ``stage``: 0
        for the base model."""
        raise NotImplementedError

    def held(self, shape, positions: int, width: int) -> dict:
        """{part: bytes} held beside a pass over ``positions`` in numbers of ``width`` bytes; ``shape``: the
        model's, as ``planning.shapes`` has it."""
        return {}

    def stored(self, shape) -> float:
        """Bytes of one store, where they are worth planning."""
        return 0.0
