"""How much each routed expert of a mixture is used by the documents of a domain; training a few of them.

Shapes: L layers, E experts, K experts a token, B documents, S positions.
"""

from contextlib import contextmanager

import numpy as np
import torch

from implicit_sparsity.models import ffn, forward, lowrank
from implicit_sparsity.models.hooks.gradients import masked_gradients
from implicit_sparsity.models.hooks.watching import ffn_activations


def usage(model, batches, score: str = "share"):
    """Use of each expert, float64 [L, E]; each layer sums to 1 (ESFT, 2407.01906, equations 7 and 8).

    Per document the mean over its tokens of: "share", 1 / K where the token goes to the expert; "gate", the
    weight that the router gives it there. Then the mean over documents, so that each counts alike.
    """
    blocks = ffn.feed_forwards(model)
    widest = ffn.experts_of(blocks)  # a dense layer among them has zeros
    total, count, batch = torch.zeros(len(blocks), widest, dtype=torch.float64), 0, {}

    def observe(block, first, positions, h, weights):
        pass  # the shared expert, which every token reads

    def observe_routed(block, expert, positions, h, weights):
        slots = len(positions) // batch["share"].numel()
        share = batch["share"].to(positions.device)[positions]  # 1 / tokens of its document; 0: padding
        each = weights.double() if score == "gate" else torch.full_like(share, 1 / slots)
        total[block.layer] += torch.bincount(expert, each * share, minlength=widest).cpu()

    with torch.inference_mode(), ffn_activations(model, observe, observe_routed):
        for given in batches:
            mask = given["attention_mask"].double()
            batch["share"] = (mask / mask.sum(1, keepdim=True)).flatten()
            count += len(mask)
            forward.hidden_states(model, given["input_ids"], given["attention_mask"])
    return total / count


def random_choice(chosen: list, experts: int, seed: int) -> list:
    """In each layer as many experts as were chosen, drawn at random."""
    random = np.random.default_rng(seed)
    return [random.permutation(experts)[: len(layer)].tolist() for layer in chosen]


class Slices:
    """The chosen experts' slices of a LoRA on fused experts: nothing else of it is trained.

    A slice that is not chosen gets no gradient (``masked``) and is put back after each step (``put_back``),
    as AdamW's decay moves it all the same. Factors on anything but fused experts are frozen.
    """

    def __init__(self, model, chosen: list):
        self.factors = {name: f for name, f in lowrank.factors(model).items() if f.experts > 1}
        for name, factor in lowrank.factors(model).items():
            for weight in factor.weights:
                weight.requires_grad_(name in self.factors)
        self.trained, self.retained = {}, {}  # name -> bool [E]; copies of (A, B) of the others
        for name, factor in self.factors.items():
            layer = int(name.split("layers.")[1].split(".")[0])
            mask = torch.zeros(factor.experts, dtype=torch.bool, device=factor.weights[0].device)
            mask[chosen[layer]] = True
            self.trained[name] = mask
            self.retained[name] = tuple(view.detach()[~mask].clone() for view in factor.views)

    @contextmanager
    def masked(self):
        pairs = []
        for name, factor in self.factors.items():
            a, b = factor.weights
            ones = self.trained[name].to(a.dtype)
            ranks = len(a) // factor.experts  # A is expert-major, B rank-major
            pairs += [(a, ones.repeat_interleave(ranks)[:, None]), (b, ones.repeat(ranks)[None, :])]
        with masked_gradients(pairs):
            yield

    def put_back(self) -> None:
        with torch.no_grad():
            for name, factor in self.factors.items():
                for view, retained in zip(factor.views, self.retained[name], strict=True):
                    view[~self.trained[name]] = retained
