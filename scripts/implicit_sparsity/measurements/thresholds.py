"""Losses on half b of a domain while activations that half a finds small are zero."""

from dataclasses import dataclass
from typing import ClassVar

from implicit_sparsity.errors import InputError
from implicit_sparsity.models import ffn
from implicit_sparsity.options import option
from implicit_sparsity.passes import (
    calibration,
    document_groups,
    reference_documents,
    threshold_store,
    thresholding,
    token_losses,
)
from implicit_sparsity.provenance import identity
from implicit_sparsity.storage.store import open_store

from .base import Forward, Measurement


@dataclass
class Thresholds(Measurement):
    """A pass over the same documents for each level, mask and pair of domains."""

    documents: int = option(
        10,
        low=4,
        high="splits.probe",
        help="documents of half b whose losses are taken, in turn from its groups",
    )
    levels: tuple[float, ...] = option(
        (0.25, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99),
        low=0,
        below=1,
        help="shares of a layer's activations on half a that thresholds are above; 0 is always measured",
    )
    cross: tuple[float, ...] = option(
        (0.5,),
        above=0,
        below=1,
        empty=True,
        help="levels at which thresholds and masks of every domain meet every domain",
    )
    cross_thresholds: bool = option(True, help="thresholds at these levels, too, and not masks alone")
    random_masks: int = option(1, low=1, help="masks of random neurons at each of these levels")
    numerical_floor: str = option(
        "eager", choices=("eager", "none"), help="the curve once more by the other attention kernel, or not"
    )
    per: str = option("layer", choices=("layer", "expert"), help="what has a threshold of its own")
    batch_tokens: int = option(1024, low=1, help="tokens of one forward pass; memory grows with it")

    # An expert's own threshold is not in the stores: it takes the documents that they were made of.
    NEEDS: ClassVar[tuple] = ("activations", "tokens")
    REFUSES: ClassVar[tuple] = (
        (
            "eager",
            {"numerical_floor": "eager"},
            "attention has one kernel; numerical_floor: none asks for no other",
        ),
    )
    TITLE = "Losses of {model} ({checkpoint}) on {domain}, activations set to zero"
    MINUTES = 40
    LIGHTER: ClassVar[dict] = {"batch_tokens": None}

    def measure(self, subject):
        network, domain, options = subject.load(), subject.domain, self.settings()
        calibrations = self._calibrations(subject, network)
        if domain not in calibrations:
            raise InputError(f"no store of {domain} among those that calibrate")
        documents = reference_documents.first_documents(
            subject.halves()["b"],
            self.documents,
            "probes.thresholds.documents",
            subject.where(),
            wanted=token_losses.has_content,
            what="two completion tokens and more",
            order=document_groups.by_content,
        )
        index = subject.shards[domain].index
        bar = subject.progress(f"{domain} b, thresholds")
        subject.attrs["passes"] = len(thresholding.conditions(domain, calibrations, options))
        given = documents, domain, calibrations, options, index
        losses = thresholding.measure(network, *given, bar, subject.where())
        return threshold_store.as_store(losses, *given)

    def _calibrations(self, subject, network) -> dict:
        """domain -> what its half a says, from the activation stores of all domains."""
        blocks, weights, result = ffn.feed_forwards(network), identity.weights_digest(subject.model), {}
        for path in subject.stores["activations"]:
            store = open_store(path, ("tokens", "histogram", "sum_abs"), ("routed_tokens",))
            name, made = store.attrs["domain"], calibration.calibrate(store, weights, blocks, path)
            if self.per == "expert" and any(block.experts for block in blocks):
                split, special = subject.halves(name)[calibration.HALF], subject.special_ids(name)
                taken = store.attrs["options"], self.batch_tokens
                made = calibration.by_expert(network, blocks, made, split, special, *taken)
            result[name] = made
            subject.attrs["calibrated_at"] = store.attrs["checkpoint"]
        return result

    def passes(self, domains, length, stage):
        curve = thresholding.curve_levels(self.settings())  # a cross level on it has its own domain's pass
        again = len(curve) * (self.numerical_floor != "none")
        crossed = sum(
            domains + self.random_masks + (domains - (level in curve)) * self.cross_thresholds
            for level in self.cross
        )
        tokens = self.documents * length * float(len(curve) + again + crossed)
        return [Forward(tokens, self.batch_tokens)]
