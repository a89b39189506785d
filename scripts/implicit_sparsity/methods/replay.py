"""Experience replay: one LoRA, continued, that sees a few old documents among the new ones.

Of each old domain's n train documents round(ratio * n), at least one, are mixed into the new domain's (TRACE
2310.06762 replays 10 %); ``ratio`` 0 is plain LoRA, to the bit. The steps stay those of a stage, so an old
document takes the place of a new one: of new and old documents alike, each pass sees every one.

``state.safetensors`` says which were replayed: int64 numbers of documents by domain, 8 * ratio * n bytes
each. Known to deviate from a replay buffer: the documents are drawn anew each stage from all of an old
domain's, which the token folders still hold, so no copy is kept, and none is bounded by a buffer's size.
"""

from dataclasses import dataclass

import numpy as np
import torch

from implicit_sparsity.options import option

from .base import LoraMethod


@dataclass
class Replay(LoraMethod):
    """Mix a share of the old domains' documents into the new ones."""

    ratio: float = option(
        0.1, low=0, high=1, help="share of each old domain's documents that is replayed; 0: plain LoRA"
    )

    READS = "all"
    sharded = True

    def mix(self, documents, stage):
        """The new documents, then the old ones drawn; the loop shuffles them."""
        return documents + [old[i] for _, old, chosen in self.drawn(stage) for i in chosen]

    def end(self, stage):
        return {f"replayed.{domain}": torch.tensor(chosen) for domain, _, chosen in self.drawn(stage)}

    def drawn(self, stage) -> list:
        """(domain, its train documents, ascending numbers of those to replay) of each old domain."""
        if not self.ratio:
            return []
        result = []
        for domain in stage.domains[:-1]:
            documents = stage.documents("train", domain)
            random = np.random.default_rng(stage.stream("replay", domain))
            count = max(1, round(self.ratio * len(documents)))
            result.append((domain, documents, sorted(random.permutation(len(documents))[:count].tolist())))
        return result
