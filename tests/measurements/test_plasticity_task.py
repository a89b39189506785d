"""The task takes the steps that are planned, and neurons of a mixture are counted by their experts."""

import numpy as np
import pytest
import torch

from implicit_sparsity.measurements import plasticity_task
from implicit_sparsity.measurements.base import Subject
from implicit_sparsity.options import load

OPTIONS = {"tasks": 2, "pairs": 3, "prompt": 4, "completion": 2, "steps": 2, "rank": 2, "documents": 4}
OPTIONS |= {"positions": 4, "tau": [0.0, 0.7], "batch_tokens": 200}


class Counting(Subject):
    """Notes how many tokens the network is trained on."""

    def load(self):
        network = super().load()
        network.get_input_embeddings().register_forward_hook(self.count)
        return network

    def count(self, module, given, result):
        if torch.is_grad_enabled() and not torch.is_inference_mode_enabled():
            self.attrs["trained"] = self.attrs.get("trained", 0) + given[0].numel()


def subject_of(nano, tmp_path, kind, cls=Subject):
    from implicit_sparsity.corpora.tokens import Tokens

    model, tokens = nano(kind)
    shards = {domain: Tokens(tokens[domain]) for domain in ("code", "math")}
    return cls(str(model), {}, "base", shards, scratch=lambda: tmp_path)


def test_the_task_takes_the_tokens_that_are_planned(nano, tmp_path):
    measurement = load("measurements", "plasticity_task", **OPTIONS)
    subject = subject_of(nano, tmp_path, "llama", Counting)
    arrays, coords = measurement.measure(subject)
    learned, observed = measurement.passes(2, 50.0, 0)
    assert learned.tokens == subject.attrs["trained"] == 2 * 2 * 3 * 6
    assert (learned.steps, learned.rows, learned.length) == (2 * 2, 3, 6)
    assert observed.tokens == 2 * 4 * 50.0 and not observed.head
    assert subject.attrs["hidden"] == 32 and subject.attrs["vocabulary"] == 320
    shapes = {name: values.shape for name, (_, values, _) in arrays.items()}
    ranks = (2, 2, 1 + 4)  # domains, layers, without each document
    assert shapes == {
        "before": (2, 3),
        "after": (2, 3),
        "curve": (2, 3),
        "effective_rank": ranks,
        "stable_rank": ranks,
        "dormant_share": (2, 2, 2, 5),
        "sampled": (2,),
    }
    assert coords["domain"][1].tolist() == ["code", "math"] and coords["tau"][1].tolist() == [0.0, 0.7]
    assert set(shapes) == set(plasticity_task.METADATA)


def means(network, split, special, documents=4):
    """Mean |h| of each neuron of the first layer over the tokens that were routed to it, token by token."""
    from implicit_sparsity.models import ffn
    from implicit_sparsity.models.hooks.watching import ffn_activations

    block = ffn.feed_forwards(network)[0]
    sums, counts, counting = torch.zeros(block.size), torch.zeros(block.size), {}

    def observe(block, first, positions, h, weights):
        if block.layer == 0:
            rows = counting["now"] if positions is None else counting["now"][positions]
            sums[first : first + h.shape[1]] += h[rows].abs().sum(0)
            counts[first : first + h.shape[1]] += rows.sum()

    with ffn_activations(network, observe), torch.no_grad():
        for i in range(documents):
            ids = torch.from_numpy(np.asarray(split[i].ids).astype(np.int64))
            counting["now"] = ~torch.isin(ids, torch.tensor(special)) & (torch.arange(len(ids)) > 0)
            network(input_ids=ids[None])
    return (sums / counts.clamp_min(1)).numpy()


def test_neurons_of_an_expert_are_dormant_by_the_tokens_it_was_given(nano, tmp_path):
    subject = subject_of(nano, tmp_path, "mixture")
    network, measurement = subject.load(), load("measurements", "plasticity_task", **OPTIONS)
    result, _ = measurement._observed(subject, network)
    for place, domain in enumerate(subject.shards):
        mean = means(network, subject.halves(domain)["a"], subject.special_ids(domain))
        share = (mean <= 0.7 * mean.mean()).mean()
        one = 1 / len(mean)  # a neuron may lie on the threshold but for rounding
        assert result["dormant_share"][place][1, 0, 0] == pytest.approx(share, abs=1.01 * one)
        assert 5 * one < share < 1
