"""A fresh LoRA on a network, for several short trainings that each start from the same factors."""

import torch

from implicit_sparsity.models import adapters
from implicit_sparsity.randomness import stream_seed
from implicit_sparsity.training import fit


class FreshAdapter:
    """``model``: the network with the LoRA on it, alpha twice the rank; what was there before is frozen.

    stream: names the random factors, which are the same for every checkpoint.
    """

    def __init__(self, model, rank: int, stream: str):
        torch.manual_seed(stream_seed(0, stream, "initialisation"))
        self.model = adapters.add_lora(model, rank, 2 * rank)
        trained = {name: p for name, p in self.model.named_parameters() if p.requires_grad}
        self.trained, self.start = trained, {name: p.detach().clone() for name, p in trained.items()}

    def reset(self) -> None:
        """Back to the first factors, whose product is 0."""
        with torch.no_grad():
            for name, p in self.trained.items():
                p.copy_(self.start[name])

    def learn(self, method, batches: list, options: dict, scratch, seed: int) -> list[dict]:
        """Train from the first factors on ``batches``, a step each, AdamW's rate constant after the first;
        returns ``fit.optimise``'s rows. options: learning_rate, gradient_checkpointing. What a killed attempt
        left in ``scratch`` is continued."""
        self.reset()
        budget = {"steps": len(batches), "learning_rate": options["learning_rate"], "warmup": 1}
        budget |= {"weight_decay": 0.0, "clip": 1.0, "checkpoint_every": len(batches)}
        budget |= {"gradient_checkpointing": options["gradient_checkpointing"]}
        return fit.optimise(self.model, method, batches, budget, scratch, seed)
