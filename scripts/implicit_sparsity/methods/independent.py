"""Independent adapters: one fresh LoRA for each domain, from the base model; nothing is shared or forgotten.

Stage k is what domain k learns without a past: the diagonal of its score matrix is the bound of what LoRA
learns, and no stage waits for another. Below the diagonal stands what an adapter of another domain does to
a domain, which is transfer, not forgetting: whoever serves domain j loads the adapter of stage j. No state.
"""

from dataclasses import dataclass

from .base import LoraMethod


@dataclass
class Independent(LoraMethod):
    """One LoRA a domain, each from the base model."""

    STARTS = "base"
    sharded = True

    def begin(self, stage):
        return self.new_adapter(stage)
