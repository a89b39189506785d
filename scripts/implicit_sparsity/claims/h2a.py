"""H2a: activation-mask tuning (A) forgets less than LoRA at equal learning, and not because of any mask."""

from dataclasses import dataclass

from implicit_sparsity.options import option

from .base import ForgetsLess


@dataclass
class H2a(ForgetsLess):
    QUESTION = "Does activation-mask tuning (A) forget less than LoRA at equal learning?"
    STATEMENT = "Activation-mask tuning (A) forgets less than LoRA at equal learning."
    REFUTED = "A on or above LoRA's front, or no better than the same with a random mask"

    method: str = option("activation_mask", of="methods", help="the entry of methods that is judged")
