"""Sequential full fine-tuning: every weight of the text model, in a mixture experts, router and shared expert
too.

The upper bound of what a stage can learn, and of what it can forget: nothing protects an old domain. No
adapter can hold it, so a stage leaves a whole model, in the base's precision, which transformers alone loads
and the next stage starts from.

Trained are float32 master weights, whatever the base's precision: a step of 1e-5 is lost on a bfloat16
weight, whose neighbours lie 2^-8 of it apart. They, their gradients and AdamW's two moments take 16 bytes a
parameter, which is what sharding divides by the number of GPUs. Between stages they are rounded to the
base's precision once.
"""

from dataclasses import dataclass

from implicit_sparsity.errors import InputError
from implicit_sparsity.models import loading
from implicit_sparsity.options import option

from .base import Method


@dataclass
class Full(Method):
    """Train all weights one domain after another."""

    learning_rate: float = option(1e-5, low=0, high=1, help="of all weights: far smaller than an adapter's")

    TRAINS = "all"
    adapter = False
    sharded = True

    UNQUANTIZED = True

    def begin(self, stage):
        if stage.training.get("quantization", "none") != "none":
            raise InputError("all weights can only be trained unquantized", key="models.*.quantization")
        return loading.fp32_master_weights(stage.model)

    def save(self, stage, folder):
        loading.save(stage.model, folder, stage.training.get("precision", "fp32"))
