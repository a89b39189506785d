"""Feed-forward blocks: what is read of them leaves the weights alone."""

import networks
import pytest
import torch

from implicit_sparsity.models import ffn, loading


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_norms_of_columns_leave_the_weights_alone(dtype):
    model = loading.create(networks.MIXTURE, 0).to(dtype)
    before = {name: weight.clone() for name, weight in model.named_parameters()}
    block = ffn.feed_forwards(model)[0]
    norms = block.down_norms()
    shared = block.mlp.shared_expert.down_proj.weight.double().norm(dim=0)
    torch.testing.assert_close(norms[-len(shared) :], shared)
    assert all(torch.equal(weight, before[name]) for name, weight in model.named_parameters())
