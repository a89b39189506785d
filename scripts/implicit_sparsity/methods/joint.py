"""Joint training: one fresh LoRA on all domains so far, shuffled together; the bound that forgetting is
measured against.

Stage k starts from the base model and trains k times the steps of a stage, so that of each domain it sees
as many documents as one stage alone: steps * batch_size, or the largest domain's number where that is less.
Every domain gives exactly that many; one that has fewer is repeated (whole, then a random rest), and its
copies may meet in a batch. Stage 1 is plain LoRA, to the bit. Its scores, less those of a method, are that
method's intransigence (Chaudhry et al. 1801.10112). No state.
"""

from dataclasses import dataclass

import numpy as np

from .base import LoraMethod


@dataclass
class Joint(LoraMethod):
    """Train on all domains so far at once."""

    STARTS = "base"
    READS = "all"
    BUDGET = "domains"
    sharded = True

    def begin(self, stage):
        return self.new_adapter(stage)

    def mix(self, documents, stage):
        """Equally many documents of every domain; the loop shuffles them."""
        if len(stage.domains) == 1:
            return documents
        by_domain = {domain: stage.documents("train", domain) for domain in stage.domains}
        wanted = min(
            stage.training["steps"] * stage.training["batch_size"], max(map(len, by_domain.values()))
        )
        return [
            d
            for domain in by_domain
            for d in self.drawn(by_domain[domain], wanted, stage.stream("joint", domain))
        ]

    def drawn(self, documents, wanted, seed):
        """``wanted`` of the documents: all as often as they fit in whole, then a random rest."""
        whole, rest = divmod(wanted, len(documents))
        chosen = np.random.default_rng(seed).permutation(len(documents))[:rest]
        return documents * whole + [documents[i] for i in sorted(chosen)]
