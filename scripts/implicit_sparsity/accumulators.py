"""One streaming pass over documents that sums up what every feed-forward neuron did. Memory does not grow
with tokens.

Shapes: L layers, N neurons per layer, K top-k sizes, E thresholds, X routed experts, T tokens of one batch,
n neurons of one part (a dense layer, one expert, the shared expert). Sums within a batch are float32, across
batches float64: bfloat16 has no numpy type and float16 overflows at 65504.
"""

import numpy as np

from .overlap import size_of

# |h| is binned by its exponent and the top bit of its mantissa: two bins an octave, read off the float's
# bits.
LOWEST_EXPONENT, OCTAVES = -32, 48
BINS = 2 * OCTAVES
HISTOGRAM_STRIDE = (
    8  # every 8th kept token goes into the histogram: a declared sample, the bins cost the most
)


def bin_edges() -> np.ndarray:
    """Lower edges of the histogram's bins, [BINS]; the first bin also takes all that is smaller, zero
    included."""
    octave, half = np.divmod(np.arange(BINS), 2)
    return np.ldexp(1.0 + 0.5 * half, octave + LOWEST_EXPONENT)


def top_sizes(top_k, n: int) -> list[int]:
    """Neurons in each top-k of a part with ``n`` neurons; a part narrower than a count gives all it has."""
    return [size_of(min(k, n), n) for k in top_k]


class ActivationStatistics:
    """What each neuron did, summed over one set of documents."""

    def __init__(self, blocks, top_k=(0.01,), thresholds=(0.01, 0.1), device="cpu"):
        import torch

        layers, size = len(blocks), max(block.size for block in blocks)
        self.blocks, self.top_k, self.thresholds = blocks, tuple(top_k), tuple(thresholds)

        def zeros(*dims, dtype=torch.float64):
            return torch.zeros(*dims, dtype=dtype, device=device)

        self.sum_abs, self.sum_sq, self.max_abs = (zeros(layers, size) for _ in range(3))
        self.top_count = zeros(layers, len(top_k), size, dtype=torch.int64)
        self.above_count = zeros(layers, len(thresholds), size, dtype=torch.int64)
        self.zero_count = zeros(layers, dtype=torch.int64)
        self.histogram = zeros(layers, BINS, dtype=torch.int64)
        self.histogram_tokens = self.tokens = self.documents = 0
        experts = max(block.experts for block in blocks)
        self.routed_tokens = zeros(layers, experts, dtype=torch.int64)
        self.routed_weight = zeros(layers, experts)
        self.keep = None  # bool [T] of the batch at hand: positions that count
        self.sampled = None  # bool [T]: kept positions whose values go into the histogram

    def begin_batch(self, keep) -> None:
        """``keep`` bool [T]: the flat positions of the next batch that count."""
        rank = keep.cumsum(0) - 1 + self.tokens
        self.keep, self.sampled = keep, keep & (rank % HISTOGRAM_STRIDE == 0)
        self.tokens += int(keep.sum())
        self.histogram_tokens += int(self.sampled.sum())

    def observe(self, block, first, positions, h, weights) -> None:
        """One part's activations h [T, n]; see ``hooks.ffn_activations``."""
        keep, sampled = self.keep, self.sampled
        if positions is not None:
            keep, sampled = keep[positions], sampled[positions]
        values = h[keep].float().abs_()
        if not len(values):
            return
        layer, here = block.layer, slice(first, first + h.shape[1])
        largest = values.amax(1, keepdim=True)
        self.sum_abs[layer, here] += values.sum(0)
        self.sum_sq[layer, here] += values.square().sum(0)
        self.max_abs[layer, here] = self.max_abs[layer, here].maximum(values.amax(0).double())
        self.zero_count[layer] += values.numel() - values.count_nonzero()
        for row, epsilon in enumerate(self.thresholds):
            self.above_count[layer, row, here] += (values >= epsilon * largest).sum(0)
        self._count_top(layer, here, values)
        self._count_bins(layer, values[sampled[keep]])
        if weights is not None:
            expert = first // block.width
            self.routed_tokens[layer, expert] += len(values)
            self.routed_weight[layer, expert] += weights[keep].double().sum()

    def _count_top(self, layer, here, values):
        import torch

        n = values.shape[1]
        sizes = top_sizes(self.top_k, n)
        order = values.topk(max(sizes), dim=1).indices
        for row, k in enumerate(sizes):
            self.top_count[layer, row, here] += torch.bincount(order[:, :k].reshape(-1), minlength=n)

    def _count_bins(self, layer, values):
        import torch

        if len(values):
            bits = (
                values.contiguous().view(torch.int32) >> 22
            )  # sign is 0: 8 exponent bits and one of the mantissa
            bins = (bits - 2 * (LOWEST_EXPONENT + 127)).clamp_(0, BINS - 1)
            self.histogram[layer] += torch.bincount(bins.reshape(-1), minlength=BINS)

    def arrays(self) -> dict[str, np.ndarray]:
        """Every accumulator as NumPy, with ``contribution`` = sum |h_i| * ||W_down[:, i]||_2, [L, N]."""
        import torch

        norms = torch.stack([block.down_norms() for block in self.blocks]).to(self.sum_abs.device)
        tensors = {name: value for name, value in vars(self).items() if torch.is_tensor(value)}
        tensors["contribution"] = self.sum_abs * norms
        for name in ("keep", "sampled"):
            tensors.pop(name, None)
        counts = {name: np.int64(getattr(self, name)) for name in ("tokens", "documents", "histogram_tokens")}
        return {name: value.cpu().numpy() for name, value in tensors.items()} | counts
