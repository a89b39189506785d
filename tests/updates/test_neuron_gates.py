"""Use, background and gates by hand, and the gate on a real step."""

import math

import pytest
import torch

from implicit_sparsity.updates import neuron_choice, neuron_gates


def test_soft_use_and_gates_by_hand():
    """Activity 0 0 0 4: mean 1, deviation sqrt 3, so z = sqrt 3 for the last, and below 0 for the others."""
    use = neuron_gates.normalised_use(torch.tensor([[0.0, 0, 0, 4], [2, 2, 2, 2]], dtype=torch.float64))
    last = torch.tensor(3.0).sqrt().tanh()
    torch.testing.assert_close(use, torch.tensor([[0, 0, 0, last], [0, 0, 0, 0]]))
    gates = neuron_gates.gates(use, {0: torch.tensor([1, 3]), 1: torch.tensor([0])})
    torch.testing.assert_close(gates[0], torch.tensor([1, 1 - last]))
    assert gates[1].tolist() == [1]


def test_scores_and_gates_by_hand():
    """Three groups of old documents; the layer's neurons say 4 3 2 1 on the new domain."""
    background = neuron_gates.Background(
        3, torch.tensor([[3, 1, 0, 0]], dtype=torch.int32), torch.tensor([[1, 1 / 3, 0, 0]])
    )
    sums = torch.tensor([[[3.0, 1, 1, 1]], [[1.0, 2, 1, 0]]])
    want = [0.4 * math.log(4 / 4), 0.3 * math.log(4 / 2), 0.2 * math.log(4 / 1), 0.1 * math.log(4 / 1)]
    scores = background.scores(sums)
    assert scores[0].tolist() == pytest.approx(want)
    chosen = neuron_choice.choose(scores, 0.5, {})
    assert chosen[0].tolist() == [1, 2], "not the most active: every old document uses it"
    assert neuron_gates.gates(background.use, chosen)[0].tolist() == pytest.approx([2 / 3, 1])


def test_without_a_background_it_is_frequency_alone():
    scores = neuron_gates.Background().scores(torch.tensor([[[4.0, 3, 2, 1]]]))
    assert scores[0].tolist() == pytest.approx([0.4, 0.3, 0.2, 0.1])
    gates = neuron_gates.gates(None, neuron_choice.choose(scores, 0.5, {}))
    assert gates[0].tolist() == [1, 1]


def test_access_is_a_top_share_of_each_group_and_domains_pool():
    sums = torch.tensor([[[5.0, 4, 0, 0]], [[5.0, 1, 2, 0]], [[0.0, 0, 3, 0]]])
    result = neuron_gates.accessed(sums, 0.5)
    assert result[:, 0].int().tolist() == [[1, 1, 0, 0], [1, 0, 1, 0], [0, 0, 1, 0]], "idle is no access"
    one = neuron_gates.Background().with_domain(result)
    assert one.groups == 3 and one.accessed.tolist() == [[2, 1, 2, 0]]
    two = neuron_gates.Background.from_state(one.to_state()).with_domain(result[:1])
    assert two.groups == 4 and two.accessed.tolist() == [[3, 2, 2, 0]]
    assert two.use[0].tolist() == pytest.approx([1, 1, 2 / 3, 0]), "the largest of any domain"
    sizes = [sum(t.numel() * t.element_size() for t in b.to_state().values()) for b in (one, two)]
    assert sizes == [8 * 4 + 8] * 2, "8 bytes a neuron, however many domains"


def test_a_gate_scales_the_step_where_scaling_the_gradient_would_not():
    """One AdamW step with decay: 0, 1/4 and all of what it is without a gate."""
    torch.manual_seed(0)
    index, share = torch.tensor([0, 1, 2]), torch.tensor([0.0, 0.25, 1.0])
    gradients = [torch.randn(3, 5), torch.randn(3, 5), torch.randn(5, 3)]

    def step(on_step, on_gradient):
        start = [torch.full(g.shape, 0.5) for g in gradients]
        parts = [torch.nn.Parameter(s.clone()) for s in start]
        deltas = neuron_gates.GatedStep(
            type("Rows", (), {"layers": [(index, *parts)]}), {0: share if on_step else torch.ones(3)}
        )
        for part, gradient, shape in zip(parts, gradients, ((3, 1), (3, 1), (1, 3)), strict=True):
            part.grad = gradient * (share.view(shape) if on_gradient else 1)
        deltas.before()
        torch.optim.AdamW(parts, lr=0.01, weight_decay=0.1).step()
        deltas.after()
        moved = [part.detach() - s for part, s in zip(parts, start, strict=True)]
        return torch.cat([moved[0], moved[1], moved[2].T], 1)

    free, gated, cancelled = step(False, False), step(True, False), step(False, True)
    assert (gated[0] == 0).all() and torch.equal(gated[2], free[2])
    torch.testing.assert_close(gated[1], 0.25 * free[1], rtol=1e-4, atol=1e-7)
    torch.testing.assert_close(cancelled[1], free[1], rtol=1e-4, atol=1e-6)
    assert (cancelled[0] != 0).all(), "weight decay asks for no gradient"
