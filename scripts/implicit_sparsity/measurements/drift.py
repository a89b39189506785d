"""Hidden states, predictions and routing of a trained checkpoint against the base and the stage before."""

from dataclasses import dataclass
from functools import partial
from typing import ClassVar

from implicit_sparsity.errors import InputError
from implicit_sparsity.options import option
from implicit_sparsity.passes import representation_drift, representations

from .base import Forward, Measurement


@dataclass
class Drift(Measurement):
    """Networks observed one after another on a fixed set of documents of every domain."""

    stages: str = option(
        "final", choices=("final", "all"), help="trained checkpoints: after the last domain, or every one"
    )
    documents: int = option(
        10, low=4, high="splits.probe", help="documents of each domain's half a, the fixed set"
    )
    positions: int = option(
        16, low=1, help="most tokens of a document whose hidden states are compared; held for all layers"
    )
    directions: int = option(8, low=1, help="leading directions of the subspaces that are compared")
    skip_first: int = option(
        1, low=0, below="tokens.max_length", help="leading tokens of each document that are left out"
    )
    batch_tokens: int = option(512, low=1, help="tokens of one forward pass; memory grows with it")

    BELOW: ClassVar[dict] = {"directions": ("documents", "positions")}
    SCOPE = "checkpoint"
    NEEDS: ClassVar[tuple] = ("previous", "reference")
    TITLE = "Drift of {model} at {checkpoint}"
    MINUTES = 30
    LIGHTER: ClassVar[dict] = {"batch_tokens": None}

    def measure(self, subject):
        if not subject.adapter:
            raise InputError("drift is of a trained checkpoint, not of base", key="probes.drift")
        options = self.settings()
        references = {
            domain: representations.reference(
                subject.halves(domain)["a"], subject.special_ids(domain), options, subject.where(domain)
            )
            for domain in subject.shards
        }
        networks = {"base": None, "previous": subject.previous, "tuned": subject.adapter}
        seen = {
            which: representation_drift.visit(
                partial(subject.load_other, adapter), references, self.batch_tokens
            )
            for which, adapter in networks.items()
            if which != "previous" or adapter
        }
        return representation_drift.as_store(seen, references, self.directions)

    def passes(self, domains, length, stage):
        """The base, the stage before (if there is one) and the stage, one after another, each loaded."""
        networks = 2 if stage == 1 else 3
        tokens = networks * domains * self.documents * length
        return [Forward(tokens, self.batch_tokens, loads=networks - 1)]
