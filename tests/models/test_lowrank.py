"""Low-rank algebra on tensors whose answer is known by construction."""

import pytest
import torch

from implicit_sparsity.models import adapters, loading, lowrank


@pytest.mark.parametrize("experts", [1, 4])
def test_stacked_adapters_add_up(experts):
    """Side by side in PEFT's layout, two updates act as their sum."""
    g = torch.Generator().manual_seed(0)
    name = "m.layers.0.mlp.experts.x" if experts > 1 else "m.layers.0.mlp.x"
    states = [
        {
            f"{name}.lora_A.weight": torch.randn(experts * r, 10, generator=g),
            f"{name}.lora_B.weight": torch.randn(6, r * experts, generator=g),
        }
        for r in (2, 3)
    ]
    both = lowrank.stack(*states, experts)
    shaped = lowrank.Factors(name, None, experts, None).shaped

    def update(state):
        a, b = shaped(state[f"{name}.lora_A.weight"], state[f"{name}.lora_B.weight"])
        return b @ a

    assert both[f"{name}.lora_A.weight"].shape == (experts * 5, 10)
    torch.testing.assert_close(update(both), update(states[0]) + update(states[1]), atol=1e-4, rtol=1e-4)


def test_audit_tells_one_rounding_of_a_slice_from_none(nano):
    """Chosen slices may move; of the others the last bit of one factor is seen, though B and dW are zero."""
    torch.manual_seed(0)
    model = adapters.add_lora(loading.load(nano("mixture")[0]), 4, 8, "mlp")
    stacked = {name: factor for name, factor in lowrank.factors(model).items() if factor.experts > 1}
    chosen = {name: torch.arange(8) < 3 for name in stacked}
    before = lowrank.snapshot(model)
    with torch.no_grad():
        for factor in stacked.values():
            for view in factor.views:
                view[:3] += torch.randn_like(view[:3])
        forbidden, total = lowrank.expert_change_norms(model, before, chosen)
        assert forbidden == 0 < total
        last = next(reversed(stacked.values())).views[0]
        last[7, 0, 0] = torch.nextafter(last[7, 0, 0], torch.tensor(9.0))
    forbidden, _ = lowrank.expert_change_norms(model, before, chosen)
    assert 0 < forbidden < 1e-6
