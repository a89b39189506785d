"""Thresholds on |h| and masks of neurons, made from one half of a domain's documents.

Shapes: L layers, N neurons of a layer, P parts of a layer with a threshold of their own (1; or the routed
experts and, last, the shared one).
"""

from dataclasses import dataclass

import numpy as np
import torch

from implicit_sparsity.errors import InputError
from implicit_sparsity.metrics import overlap
from implicit_sparsity.models import ffn
from implicit_sparsity.randomness import stream_seed

from . import activation_pass
from .accumulators import BINS, bin_edges

HALF = "a"  # the half that calibrates; losses are taken on the other


@dataclass(frozen=True)
class Calibration:
    """What a domain says about a network: ``histogram`` [L, P, BINS] of |h|, ``score`` [L, N] mean |h|, NaN
    behind the last neuron of a layer."""

    histogram: np.ndarray
    score: np.ndarray

    def thresholds(self, level: float) -> np.ndarray:
        """[L, P]: below it is the share ``level`` of |h|. A part that no token reached takes its layer's."""
        whole = quantiles(self.histogram.sum(axis=1, keepdims=True), level)
        own = quantiles(self.histogram, level)
        return np.where(np.isnan(own), whole, own)

    def retained(self, level: float) -> np.ndarray:
        """bool [L, N]: the neurons used most, all but the share ``level``; one at least."""
        return _masks(self.score, level)

    @property
    def sizes(self) -> np.ndarray:
        """Neurons of each layer, int [L]."""
        return (~np.isnan(self.score)).sum(axis=1)


def retained_neurons(level: float, neurons: int) -> int:
    """Size of a mask that leaves out the share ``level``."""
    return max(1, round((1 - level) * neurons))


def random_mask(sizes, level: float, number: int) -> np.ndarray:
    """bool [L, N] with as many neurons as ``Calibration.retained``, drawn evenly from the ``sizes`` [L] that
    there are; the same for all domains."""
    random = np.random.default_rng(stream_seed(number, "thresholds", "mask"))
    scores = random.random((len(sizes), max(sizes)))
    return _masks(np.where(np.arange(max(sizes)) < np.asarray(sizes)[:, None], scores, np.nan), level)


def _masks(scores, level: float) -> np.ndarray:
    """bool [L, N]: of each layer all but the share ``level`` of lowest score; scores NaN behind its last."""
    result = np.zeros(scores.shape, bool)
    for row, mask in zip(scores, result, strict=True):
        size = int((~np.isnan(row)).sum())
        mask[:size] = overlap.top_k_sets(row[:size], retained_neurons(level, size))
    return result


def quantiles(histogram, level: float) -> np.ndarray:
    """|h| below which the share ``level`` of a histogram [..., BINS] is, log-linear within a bin; [...].

    The first bin holds zeros too and ends at 3.5e-10: what is in it cannot be told from zero, so its upper
    edge is returned. 0 for level 0; NaN where nothing was counted.
    """
    histogram, edges = np.asarray(histogram, dtype=np.float64), np.append(bin_edges(), np.inf)
    edges[-1] = 2 * edges[-3]
    total = histogram.sum(axis=-1)
    below = np.cumsum(histogram, axis=-1)
    wanted = level * total
    place = np.minimum((below < wanted[..., None]).sum(axis=-1), BINS - 1)
    at = np.take_along_axis(histogram, place[..., None], axis=-1)[..., 0]
    rest = wanted - (np.take_along_axis(below, place[..., None], axis=-1)[..., 0] - at)
    part = np.clip(np.divide(rest, at, out=np.ones_like(at), where=at > 0), 0, 1)
    low, high = edges[place], edges[place + 1]
    result = np.where(place == 0, high, low * (high / low) ** part)
    return np.where(total > 0, result if level > 0 else 0.0, np.nan)


def calibrate(store, model_sha256: str, blocks, path=None) -> Calibration:
    """The calibration of a domain from its activation store. InputError for one of another network."""
    widest = max(ffn.sizes(blocks))
    if store.attrs.get("model_sha256") != model_sha256:
        raise InputError("measured on other weights than those of this model", path=path)
    if (store.sizes["layer"], store.sizes["neuron"]) != (len(blocks), widest):
        raise InputError(f"has other neurons than the network's {len(blocks)} x {widest}", path=path)
    half = store.sel(half=HALF)
    histogram = half["histogram"].transpose("layer", "bin").values
    total = half["sum_abs"].transpose("layer", "neuron").values
    if not np.isfinite(total).all() or not histogram.sum(axis=1).all():
        raise InputError("activations are not finite, or none was counted in a layer", path=path)
    score = np.full(total.shape, np.nan)
    for block in blocks:
        tokens, owner = np.full(block.size, np.float64(half["tokens"])), block.owner.numpy()
        if block.experts:  # a mean over the tokens that were routed to the neuron's expert
            routed = half["routed_tokens"].transpose("layer", "expert_id").values[block.layer]
            tokens = np.where(owner < 0, tokens, routed[np.maximum(owner, 0)])
        sums = total[block.layer, : block.size]
        score[block.layer, : block.size] = np.divide(sums, tokens, out=np.zeros_like(sums), where=tokens > 0)
    return Calibration(histogram[:, None], score)


class ExpertHistogram:
    """In place of ``ActivationStatistics`` in ``activation_pass.run``: |h| of each expert by itself."""

    def __init__(self, blocks, device):
        self.experts = ffn.experts_of(blocks)
        self.counts = torch.zeros(len(blocks), self.experts + 1, BINS, dtype=torch.int64, device=device)
        self.documents, self.keep = 0, None

    def begin_batch(self, keep, groups=None) -> None:
        self.keep = keep.to(self.counts.device)

    def observe(self, block, first, positions, h, weights) -> None:
        """A dense layer or a shared expert."""
        self._count(block.layer, self.keep, self.experts, h)

    def observe_routed(self, block, experts, positions, h, weights) -> None:
        self._count(block.layer, self.keep[positions], experts, h)

    def _count(self, layer, keep, part, h):
        edges = torch.as_tensor(bin_edges(), dtype=torch.float32, device=h.device)
        bins = (torch.bucketize(h.float().abs().contiguous(), edges, right=True) - 1).clamp_(0, BINS - 1)
        part = part[:, None] if torch.is_tensor(part) else part
        flat = (part * BINS + bins)[keep].flatten()
        counts = self.counts[layer]
        counts += torch.bincount(flat, minlength=counts.numel()).view_as(counts)


def by_expert(model, blocks, calibration, split, special_ids, options, batch_tokens) -> Calibration:
    """``calibration`` with a histogram of each expert: a pass over the documents that its store was made of.

    options: those of the store.
    """
    counted = ExpertHistogram(blocks, next(model.parameters()).device)
    ids, keeps, *_ = activation_pass.take_tokens(split, options["tokens"], options["skip_first"], special_ids)
    activation_pass.run(model, ids, keeps, counted, batch_tokens)
    return Calibration(counted.counts.cpu().numpy(), calibration.score)
