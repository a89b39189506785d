"""What comes back of old domains: each is taught again with a few documents, and an unrelated one instead.

A fresh LoRA on the checkpoint takes one pass over documents of an old domain's training split, and the
domain's held-out documents are scored before, on the way and after; so they are after as many documents of an
unrelated domain. The checkpoint of the domain's own stage, scored on the same documents, says what was
forgotten. The base model is taught the same for comparison: documents teach what was never known, too.
"""

import logging
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from implicit_sparsity.errors import InputError
from implicit_sparsity.metrics import clusters
from implicit_sparsity.options import option
from implicit_sparsity.passes import evaluation, relearning
from implicit_sparsity.passes.fresh_adapter import FreshAdapter
from implicit_sparsity.passes.reference_documents import first_documents

from .base import Forward, Measurement, Training

log = logging.getLogger(__name__)
SOURCES = ("own", "unrelated")
NATS = "nats per content token"


@dataclass
class Relearning(Measurement):
    """Losses of old domains while a fresh LoRA is trained on a few documents."""

    stages: str = option(
        "final",
        choices=("base", "final", "all"),
        help="base (alone: nothing), after the last domain, or every one",
    )
    documents: tuple[int, ...] = option(
        (10, 50),
        low=1,
        high="splits.train",
        help="of the training split that are taught, each domain's first",
    )
    relearn: tuple[int, ...] = option(
        (10, 50), low=1, empty=True, help="which of these numbers are taught to the base model, too"
    )
    unrelated: str = option(
        "",
        of="untrained domains",
        besides=("",),
        help="the other domain that is taught, one that no order trains; empty: the reference set",
    )
    scored: int = option(16, low=1, high="splits.eval", help="documents of each old domain's eval split")
    batch_size: int = option(2, low=1, help="documents of a step; divides the numbers above")
    rank: int = option(8, low=1, help="of the fresh LoRA that learns")
    learning_rate: float = option(1.0e-3, above=0, high=1, help="AdamW's, constant")
    batch_tokens: int = option(512, low=1, help="tokens of a forward pass of the scoring")
    gradient_checkpointing: bool = option(False, help="as under training")

    SCOPE = "checkpoint"
    NEEDS: ClassVar[tuple] = ("orders", "earlier", "reference")
    TITLE = "Old domains of {model} taught again at {checkpoint}"
    MULTIPLES: ClassVar[dict] = {"documents": "batch_size", "relearn": "batch_size"}
    AMONG: ClassVar[dict] = {"relearn": "documents"}
    FIRST_STAGE = 2
    MINUTES = 60
    LIGHTER: ClassVar[dict] = {
        "gradient_checkpointing": True,
        "batch_size": None,
        "rank": None,
        "batch_tokens": None,
    }

    def measure(self, subject):
        old, unrelated = self._domains(subject)
        held_out = {domain: self._scored(subject, domain) for domain in old}
        own_stage = np.full((len(old), self.scored), np.nan)
        for place, (domain, adapter) in enumerate(zip(old, subject.earlier)):
            own_stage[place] = self._losses(subject.load_other(adapter), held_out[domain])
        loss = self._taught(subject, old, unrelated, held_out)
        groups = [clusters.places([document.meta["group"] for document in held_out[d]]) for d in old]
        subject.attrs["unrelated"] = unrelated
        arrays = {
            "loss_content": (
                ("domain", "source", "taught", "document"),
                loss,
                _what("loss after teaching", NATS),
            ),
            "own_stage": (
                ("domain", "document"),
                own_stage,
                _what("loss after the domain's own stage", NATS),
            ),
            "group": (("domain", "document"), np.array(groups), _what("group of the document", "1")),
        }
        coords = {
            "domain": (("domain",), np.array(old), _what("old domain", "1")),
            "source": (("source",), np.array(SOURCES), _what("whose documents were taught", "1")),
            "taught": (("taught",), np.array([0, *self.documents]), _what("documents that were taught", "1")),
        }
        return arrays, coords

    def _taught(self, subject, old, unrelated, held_out) -> np.ndarray:
        """Losses [domain, source, taught, document]; NaN where that is not measured."""
        loss = np.full((len(old), len(SOURCES), 1 + len(self.documents), self.scored), np.nan)
        points = self.documents if subject.adapter else self.relearn
        at = {count: 1 + place for place, count in enumerate(self.documents)}
        network, most = subject.load(), max(self.documents)
        loss[:, :, 0] = np.array([self._losses(network, held_out[domain]) for domain in old])[:, None]
        adapter = FreshAdapter(network, self.rank, "relearning")
        scratch = subject.scratch()
        for place, domain in enumerate(old if points else ()):
            scored = [held_out[domain]]
            for count, values in self._teach(
                subject.shards[domain], adapter, points, scored, scratch
            ).items():
                loss[place, 0, at[count]] = values[0]
        if unrelated:
            shards, scored = subject.shards[unrelated], list(held_out.values())
            loss[:, 1, at[most]] = self._teach(shards, adapter, [most], scored, scratch)[most]
        return loss

    def _teach(self, shards, adapter, counts, held_out, scratch) -> dict:
        """{count: losses [one a list of documents, document]} after so many documents of ``shards``."""
        key = "probes.relearning.documents"
        documents = first_documents(shards.split("train"), max(counts), key, shards.folder, of="train")

        def score(model):
            return np.array([self._losses(model, each) for each in held_out])

        return relearning.teach(
            adapter, documents, counts, self.settings(), scratch / shards.folder.name, score
        )

    def _losses(self, network, documents) -> np.ndarray:
        return relearning.content_losses(network, documents, self.batch_tokens)

    def _scored(self, subject, domain) -> list:
        """Documents of the eval split, those that evaluations score, too."""
        chosen = evaluation.scored_documents(subject.shards[domain], {"documents": self.scored})
        if len(chosen) < self.scored:
            text = f"the eval split holds {len(chosen)} documents, {self.scored} are wanted"
            raise InputError(text, subject.where(domain), key="probes.relearning.scored")
        return chosen

    def _domains(self, subject) -> tuple[list, str]:
        """(old domains in the order trained; at base all that become old, the unrelated domain or "")."""
        if not subject.adapter:
            old = {domain: None for order in subject.orders.values() for domain in order[:-1]}
            return list(old), ""
        _, order, _, stage = subject.checkpoint.split(".")
        order, stage = subject.orders[order], int(stage.removeprefix("stage"))
        if self.unrelated and (self.unrelated in order or self.unrelated not in subject.shards):
            text = f"{self.unrelated!r} is trained in this order, or is no domain"
            raise InputError(text, key="probes.relearning.unrelated")
        trained = {domain for each in subject.orders.values() for domain in each}
        others = [domain for domain in subject.shards if domain not in order]
        first = (self.unrelated, subject.reference)
        others.sort(key=lambda domain: (first.index(domain) if domain in first else 2, domain in trained))
        if not others:
            log.warning("every domain is trained in this order: no unrelated documents are taught")
        return order[: stage - 1], others[0] if others else ""

    def passes(self, domains, length, stage):
        """Base: at most every domain but one is old in some order; none is unrelated."""
        old = (stage or domains) - 1
        points = self.documents if stage else self.relearn
        trainings, scorings = (old + 1, len(points) + 3) if stage else (old, len(points) + 1)
        taught = trainings * max(points, default=0)
        learned = Training(
            taught * length,
            taught / self.batch_size,
            self.rank,
            self.batch_size,
            checkpointing=self.gradient_checkpointing,
        )
        scored = old * scorings * self.scored * length
        return [learned, Forward(scored, self.batch_tokens, loads=old if stage else 0)]


def _what(long_name: str, units: str) -> dict:
    return {"long_name": long_name, "units": units}
