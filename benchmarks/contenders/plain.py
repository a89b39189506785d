"""The statistics of ``ActivationStatistics`` in the PyTorch that a reader of their definitions would write.

It is what a peer's user has to bring along, and a second opinion on ours. Dense layers only; shapes as there.
"""

from implicit_sparsity.metrics.overlap import top_sizes
from implicit_sparsity.passes.accumulators import BINS, ActivationStatistics, bin_edges


class PlainStatistics(ActivationStatistics):
    def observe(self, block, first, positions, h, weights) -> None:
        import torch

        layer, values, n = block.layer, h[self.keep].abs(), h.shape[1]
        largest = values.amax(1, keepdim=True)
        self.sum_abs[layer] += values.sum(0)
        self.sum_sq[layer] += values.square().sum(0)
        self.max_abs[layer] = self.max_abs[layer].maximum(values.amax(0))
        self.zero_count[layer] += (values == 0).sum()
        for row, epsilon in enumerate(self.thresholds):
            self.above_count[layer, row] += (values >= epsilon * largest).sum(0)
        for row, k in enumerate(top_sizes(self.top_k, n)):
            chosen = values.topk(k, dim=1).indices
            self.top_count[layer, row] += torch.bincount(chosen.flatten(), minlength=n)
        if self.groups:
            self.group_plain[layer].index_add_(0, self.retained_groups, values)
        self._sample(layer, h[self.sampled].abs())

    def _sample(self, layer, values):
        import torch

        edges = torch.from_numpy(bin_edges()[1:]).float()
        bins = torch.bucketize(values.flatten(), edges, right=True)
        self.histogram[layer] += torch.bincount(bins, minlength=BINS)
        if not self.groups:
            return
        largest, group = values.amax(1, keepdim=True), self.sampled_groups
        self.group_zero[:, layer].index_add_(0, group, (values == 0).sum(1))
        self.group_sampled[:, layer].index_add_(0, group, torch.full_like(group, values.shape[1]))
        for row, epsilon in enumerate(self.thresholds):
            self.group_above[:, layer, row].index_add_(0, group, (values >= epsilon * largest).sum(1))
