"""Loss of a network while feed-forward activations are zero: those below a threshold, or of some neurons.

Thresholds and masks are made from one half of a domain's documents (``calibration``), losses taken on the
other half of this or another domain, over three choices of tokens (``token_losses``). A threshold is a step:
what rounding moves across it moves the loss, so the curve is measured by a second attention kernel, too.
Shapes: L layers, N neurons of a layer, P parts of a layer, D documents.
"""

from contextlib import contextmanager, nullcontext

import numpy as np
import torch

from implicit_sparsity.errors import InputError
from implicit_sparsity.models import forward
from implicit_sparsity.models.hooks.changing import sparsified

from . import calibration, token_losses


class Zeroing:
    """What ``hooks.changing.sparsified`` asks: |h| below ``thresholds`` [L, P] and neurons not ``retained``
    [L, N] are set to zero, and zeros counted over the positions that are no padding."""

    def __init__(self, layers: int, device, thresholds=None, retained=None):
        def given(values, dtype):
            return None if values is None else torch.as_tensor(values, dtype=dtype, device=device)

        self.thresholds, self.retained = given(thresholds, torch.float32), given(retained, torch.bool)
        self.zeros, self.seen = (torch.zeros(layers, dtype=torch.int64, device=device) for _ in "zs")
        self.keep = None

    def begin_batch(self, keep) -> None:
        """bool [T]: flat positions of the next batch that hold a token."""
        self.keep = keep.to(self.zeros.device)

    def __call__(self, block, first, experts, positions, h):
        layer, n = block.layer, h.shape[-1]
        if self.retained is not None:
            retained = self.retained[layer, first : first + n]
            if experts is not None:
                retained = self.retained[layer, : block.experts * n].view(block.experts, n)[experts]
            h = h.masked_fill(~retained, 0)
        if self.thresholds is not None:
            parts = self.thresholds[layer]
            part = parts[-1] if experts is None or len(parts) == 1 else parts[experts][:, None]
            h = h.masked_fill(h.abs().float() < part, 0)
        keep = self.keep if positions is None else self.keep[positions]
        self.zeros[layer] += ((h == 0).sum(-1) * keep).sum()
        self.seen[layer] += keep.sum() * n
        return h

    def shares(self) -> np.ndarray:
        """Share of zeros in each layer, [L]."""
        return (self.zeros / self.seen).cpu().numpy().astype(np.float64)


def conditions(domain: str, calibrations: dict, options: dict) -> dict:
    """Every way to run the network, {name: (thresholds or None, retained or None)}, the dense one first.

    Names: (measure, place of the level, domain or number of the mask); of measure ``again`` with the other
    kernel. The domain's own thresholds at a cross level are one of its curve's where that has the level.
    """
    sizes = calibrations[domain].sizes
    levels = curve_levels(options)
    result = {("curve", i, ""): (calibrations[domain].thresholds(s), None) for i, s in enumerate(levels)}
    if options["numerical_floor"] != "none":
        result |= {("again", i, ""): result["curve", i, ""] for i in range(len(levels))}
    for c, s in enumerate(options["cross"]):
        for name, made in calibrations.items():
            if options["cross_thresholds"] and (name != domain or s not in levels):
                result["threshold", c, name] = made.thresholds(s), None
            result["mask", c, name] = None, made.retained(s)
        for r in range(options["random_masks"]):
            result["random", c, str(r)] = None, calibration.random_mask(sizes, s, r)
    return result


def curve_levels(options: dict) -> list[float]:
    """Levels of the curve, ascending, the dense network's 0 first."""
    return sorted({0.0, *map(float, options["levels"])})


@contextmanager
def other_attention(model):
    """Run the network with another attention kernel than its own: eager, or sdpa where it is eager."""
    network = forward.base_network(model)
    usual = network.config._attn_implementation
    network.set_attn_implementation("sdpa" if usual == "eager" else "eager")
    try:
        yield
    finally:
        network.set_attn_implementation(usual)


def measure(model, documents, domain: str, calibrations, options: dict, index, progress=iter, path=None):
    """{name of ``conditions``: (losses [3, D], shares of zeros [L])}: a pass over the documents for each.

    index: that of the documents' token shards.
    """
    device, layers = next(model.parameters()).device, len(calibrations[domain].score)
    batches = token_losses.batches(documents, index, options["batch_tokens"], device)
    result = {}
    asked = conditions(domain, calibrations, options)
    for name in progress(list(asked)):
        change = Zeroing(layers, device, *asked[name])
        with sparsified(model, change), other_attention(model) if name[0] == "again" else nullcontext():
            nats = token_losses.losses(model, batches, change.begin_batch)
        result[name] = nats, change.shares()
        if not np.isfinite(nats).all():
            raise InputError(f"a loss is not finite ({' '.join(map(str, name))})", path=path)
    for c, s in enumerate(options["cross"]):
        if options["cross_thresholds"] and ("threshold", c, domain) not in result:
            result["threshold", c, domain] = result["curve", curve_levels(options).index(s), ""]
    return result
