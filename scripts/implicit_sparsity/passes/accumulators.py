"""One streaming pass over documents that sums up what every feed-forward neuron did. Memory does not grow
with tokens.

Shapes: L layers, N neurons per layer, K top-k sizes, E thresholds, X routed experts, G groups of documents,
T tokens of one batch, n neurons of one part (a dense layer, one expert, the shared expert), S = T * slots
rows of routed tokens, t rows that are summed at once. Sums of t rows are float32, across them float64:
bfloat16 has no numpy type and float16 overflows at 65504.

On a GPU nothing here waits for the device: how many rows count is known on the host beforehand, and no shape
depends on a value. So no boolean indexing, no ``unique``, no ``bincount`` there.
"""

import numpy as np
import torch

from implicit_sparsity.models import ffn

from . import device_sums
from .device_sums import tally

# |h| is binned by its exponent and the top bit of its mantissa: two bins an octave, read off the float's
# bits.
LOWEST_EXPONENT, OCTAVES = -32, 48
BINS = 2 * OCTAVES
HISTOGRAM_STRIDE = 8  # every 8th kept token goes into the histogram: a declared sample
OF_BATCH = ("keep", "sampled", "kept_rows", "sampled_rows", "group_of", "kept_groups", "sampled_groups")


def bin_edges() -> np.ndarray:
    """Lower edges of the histogram's bins, [BINS]; the first bin also takes all that is smaller, zero
    included."""
    octave, half = np.divmod(np.arange(BINS), 2)
    return np.ldexp(1.0 + 0.5 * half, octave + LOWEST_EXPONENT)


class ActivationStatistics:
    """What each neuron did, summed over one set of documents; |h| also over each of ``groups`` of them."""

    def __init__(self, blocks, top_k=(0.01,), thresholds=(0.01, 0.1), device="cpu", groups=0):
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
        experts = ffn.experts_of(blocks)
        self.routed_tokens = zeros(layers, experts, dtype=torch.int64)
        self.routed_weight = zeros(layers, experts)
        # sums over groups in float32: of routed experts, and of a dense layer or the shared expert
        self.groups, routed = groups, max(block.routed for block in blocks)
        plain = max(block.size - block.routed for block in blocks)
        if groups:
            self.group_tokens = zeros(groups, dtype=torch.int64).cpu()
            self.group_routed_tokens = zeros(layers, groups, experts, dtype=torch.int64)
            self.group_routed = zeros(layers, groups, routed, dtype=torch.float32)
            self.group_plain = zeros(layers, groups, plain, dtype=torch.float32)
            # of the tokens in the histogram alone: activations above each threshold, and all of them
            self.group_above = zeros(groups, layers, len(thresholds), dtype=torch.int64)
            self.group_zero, self.group_sampled = (zeros(groups, layers, dtype=torch.int64) for _ in "zs")
        # of the batch at hand: positions that count, and those of them that go into the histogram
        self.keep = self.sampled = self.retained_rows = self.sampled_rows = None
        # the group of each position, of those that count, and of those in the histogram
        self.group_of = self.retained_groups = self.sampled_groups = None

    def begin_batch(self, keep, groups=None) -> None:
        """``keep`` bool [T], best in the host's memory: the flat positions of the next batch that count;
        ``groups`` int64 [T]: the group of documents that each position belongs to."""
        device, keep = self.sum_abs.device, keep.cpu()
        sampled = keep & ((keep.cumsum(0) - 1 + self.tokens) % HISTOGRAM_STRIDE == 0)
        rows, sampled_rows = (mask.nonzero().flatten() for mask in (keep, sampled))
        self.tokens += len(rows)
        self.histogram_tokens += len(sampled_rows)
        self.keep, self.sampled = keep.to(device), sampled.to(device)
        self.retained_rows, self.sampled_rows = rows.to(device), sampled_rows.to(device)
        if self.groups:
            tally(self.group_tokens, groups[rows])
            here = (groups.to(device), groups[rows].to(device), groups[sampled_rows].to(device))
            self.group_of, self.retained_groups, self.sampled_groups = here

    def observe(self, block, first, positions, h, weights) -> None:
        """A dense layer's or shared expert's activations h [T, n]; see ``hooks.watching``."""
        h = h.to(self.sum_abs.device)  # of a network that is spread over several GPUs
        self._sum(block.layer, first, h, self.retained_rows, self.retained_groups)
        values = h.index_select(0, self.sampled_rows).float().abs_()
        self._count_bins(block.layer, values)
        self._count_groups(block.layer, values, self.sampled_groups)

    def observe_routed(self, block, experts, positions, h, weights) -> None:
        """All routed experts' activations h [S, n] in one call: row i is what expert ``experts[i]`` did at
        the flat position ``positions[i]``, with routing weight ``weights[i]``."""
        device = self.sum_abs.device
        experts, positions, h, weights = (x.to(device) for x in (experts, positions, h, weights))

        def chosen(mask, count):
            """Where a mask of positions is true; ``count`` is of positions, known on the host."""
            rows = count * (len(positions) // len(mask))
            return torch.nonzero_static(mask[positions], size=rows).flatten()

        retained = chosen(self.keep, len(self.retained_rows))
        groups = self.group_of[positions[retained]] if self.groups else None
        self._sum(block.layer, 0, h, retained, groups, experts, block.experts)
        sampled = chosen(self.sampled, len(self.sampled_rows))
        values = h.index_select(0, sampled).float().abs_()
        self._count_bins(block.layer, values)
        self._count_groups(block.layer, values, self.group_of[positions[sampled]] if self.groups else None)
        experts = experts[retained]
        tally(self.routed_tokens[block.layer], experts)
        self.routed_weight[block.layer].index_add_(0, experts, weights[retained].double())
        if self.groups:
            tally(self.group_routed_tokens[block.layer].view(-1), groups * block.experts + experts)

    def _sum(self, layer, first, h, rows, groups, experts=None, parts=1):
        """Add up ``rows`` of h, those of each of ``parts`` experts by itself; neurons from ``first`` on."""
        where = device_sums
        if on_host(h):
            from . import host_sums as where  # imports numba, which a GPU's job does without
        where.add(self, layer, first, h, rows, groups, experts, parts)

    def _count_bins(self, layer, values):
        """The histogram of values [t, n] >= 0."""
        # sign is 0: 8 exponent bits and one of the mantissa
        bits = values.contiguous().view(torch.int32) >> 22
        bins = (bits - 2 * (LOWEST_EXPONENT + 127)).clamp_(0, BINS - 1).flatten()
        if bins.is_cuda:  # atomic sums into so few bins would queue up; histc sums in each block's own memory
            self.histogram[layer] += torch.histc(bins.float(), BINS, 0, BINS - 1).long()
        else:
            self.histogram[layer] += torch.bincount(bins, minlength=BINS)

    def _count_groups(self, layer, values, group):
        """Counts of the sampled values [t, n] >= 0 by group, for the spread over documents."""
        if not self.groups:
            return
        largest, n = values.amax(1, keepdim=True), values.shape[1]
        other = torch.empty_like(values)  # as numbers: a table of booleans is slower to sum
        self.group_zero[:, layer].index_add_(0, group, torch.eq(values, 0, out=other).sum(1).long())
        self.group_sampled[:, layer].index_add_(0, group, group.new_full(group.shape, n))
        for row, epsilon in enumerate(self.thresholds):
            above = torch.ge(values, epsilon * largest, out=other).sum(1).long()
            self.group_above[:, layer, row].index_add_(0, group, above)

    def _wide(self, values):
        """A layer's [n] as [N], zeros where it has no neurons."""
        return torch.nn.functional.pad(values, (0, self.sum_abs.shape[1] - len(values))).to(
            self.sum_abs.device
        )

    def group_sums(self):
        """sum |h| by group of documents, float32 [G, L, N], in the host's memory."""
        result = torch.zeros(self.groups, *self.sum_abs.shape)
        for block in self.blocks:
            layer, routed, size = block.layer, block.routed, block.size
            result[:, layer, :routed] = self.group_routed[layer, :, :routed].cpu()
            result[:, layer, routed:size] = self.group_plain[layer, :, : size - routed].cpu()
        return result

    def arrays(self) -> dict[str, np.ndarray]:
        """Every accumulator as NumPy, with ``contribution`` = sum |h_i| * ||W_down[:, i]||_2, [L, N]."""
        norms = torch.stack([self._wide(block.down_norms()) for block in self.blocks])
        tensors = {name: value for name, value in vars(self).items() if torch.is_tensor(value)}
        tensors = {name: value for name, value in tensors.items() if name not in OF_BATCH}
        tensors["contribution"] = self.sum_abs * norms
        if self.groups:
            del tensors["group_routed"], tensors["group_plain"]
            tensors["group_sum_abs"] = self.group_sums()
            tensors["group_routed_tokens"] = tensors["group_routed_tokens"].transpose(0, 1)
        counts = {name: np.int64(getattr(self, name)) for name in ("tokens", "documents", "histogram_tokens")}
        return {name: value.cpu().numpy() for name, value in tensors.items()} | counts


def on_host(tensor) -> bool:
    return tensor.device.type == "cpu"
