"""Neurons beside the network: what they refuse."""

import copy

import pytest
import torch

from implicit_sparsity.errors import InputError
from implicit_sparsity.models import loading
from implicit_sparsity.updates import neuron_branch


def test_branch_on_quantized_weights_is_one_clear_line(nano):
    model = copy.deepcopy(loading.load(nano("dense")[0]))
    linear = model.model.layers[0].mlp.gate_proj
    linear.weight = torch.nn.Parameter(linear.weight.data.to(torch.int8), requires_grad=False)
    with pytest.raises(InputError, match="unquantized"):
        neuron_branch.attach(model, {layer: torch.arange(3) for layer in range(4)})
