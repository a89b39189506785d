"""One LoRA, fine-tuned through the domains one after another: what every other method is compared with.

dW = alpha / rank * B A, A ~ Kaiming uniform, B = 0 at the start (Hu et al. 2106.09685).
"""

from dataclasses import dataclass

from .base import LoraMethod


@dataclass
class Lora(LoraMethod):
    """Plain sequential LoRA: nothing protects an old domain."""

    sharded = True
