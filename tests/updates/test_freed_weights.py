"""Freed weights: tracks that share nothing, and masks as bits."""

import pytest
import torch
from test_wanda import generator

from implicit_sparsity.updates import freed_weights, wanda


@pytest.mark.parametrize("count", [1, 2, 3, 4, 7])
def test_tracks_are_disjoint_and_cover_what_is_free(count):
    keep = wanda.two_of_four(torch.randn(3, 10, 24, generator=generator()), torch.ones(1, 24))
    dealt = [freed_weights.positions(keep, t, count) for t in range(count)]
    joined = torch.cat(dealt)
    assert len(joined) == len(joined.unique()) == 3 * 10 * 12, "disjoint, and half of all"
    assert torch.equal(joined.sort().values, (~keep).flatten().nonzero().flatten().int()), "all that is free"
    each = torch.stack([torch.bincount(d.long() // 24, minlength=30) for d in dealt])
    assert int((each.max(0).values - each.min(0).values).max()) <= 1, "equal shares of every row"


def test_a_mask_survives_its_bits():
    keep = torch.rand(3, 5, 7, generator=generator()) > 0.5
    bits = freed_weights.pack(keep)
    assert bits.dtype == torch.uint8 and len(bits) == -(-105 // 8)
    assert torch.equal(freed_weights.unpack(bits, keep.shape), keep)
