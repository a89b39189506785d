"""H2b: orthogonal-subspace mapping (B) forgets less than LoRA at equal learning, and not in any subspace."""

from dataclasses import dataclass

from implicit_sparsity.options import option

from .base import ForgetsLess


@dataclass
class H2b(ForgetsLess):
    QUESTION = "Does orthogonal-subspace mapping (B) forget less than LoRA at equal learning?"
    STATEMENT = "Orthogonal-subspace mapping (B) forgets less than LoRA at equal learning."
    REFUTED = "B on or above LoRA's front, or no better than the same with a random subspace"

    method: str = option("orthogonal", of="methods", help="the entry of methods that is judged")
