"""Which neurons are chosen: hubs, the least active, norms of weights."""

import pytest
import torch
from test_methods import KINDS

from implicit_sparsity.metrics import neuron_sets
from implicit_sparsity.models import ffn, loading
from implicit_sparsity.updates import neuron_choice


def test_hubs_are_the_intersection_of_the_domains_top_sets():
    used = [torch.tensor([[9.0, 8, 7, 1, 2, 3]]), torch.tensor([[0.1, 0.9, 0.8, 0.2, 0.7, 0.3]])]
    ranks = neuron_choice.worst_ranks(used[1], neuron_choice.worst_ranks(used[0]))
    assert ranks.tolist() == [[5, 1, 2, 5, 4, 3]]
    chosen = neuron_choice.choose(neuron_choice.scores("hub", used[1], None, 0, ranks), 1 / 3, {})
    both = neuron_sets.members({"a": used[0].numpy(), "b": used[1].numpy()}, 3)[("hubs", "")]
    assert chosen[0].tolist() == both[0].nonzero()[0].tolist() == [1, 2]
    wider = neuron_choice.worst_ranks(torch.tensor([[1.0, 2, 3]]), torch.tensor([[0, 1]]))
    assert wider.tolist() == [[2, 1, 3]], "what has come since is no hub"


def test_least_active_leaves_idle_neurons_out_while_others_are_left():
    used = torch.tensor([[0.0, 5, 0.2, 0.0, 0.1, 3]])
    scores = neuron_choice.scores("least", used, None, 0)
    assert neuron_choice.choose(scores, 2 / 6, {})[0].tolist() == [2, 4]
    assert neuron_choice.choose(scores, 5 / 6, {})[0].tolist() == [0, 1, 2, 4, 5]


@pytest.mark.parametrize("kind", KINDS)
def test_weight_norm_is_that_of_all_a_neurons_numbers(nano, kind):
    model = loading.load(nano(kind)[0])
    norms = neuron_choice.weight_norms(model)
    for block in ffn.feed_forwards(model):
        for first, last, gate, up, down in block.parts():
            whole = torch.cat([gate, up, down.T], 1).double().norm(dim=1)
            torch.testing.assert_close(norms[block.layer, first:last], whole)
