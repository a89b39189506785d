"""Routing scores against the router's own output."""

import numpy as np
import torch

from implicit_sparsity.models import loading
from implicit_sparsity.updates import expert_selection


def test_usage_is_esfts_scores_of_the_routers_own_output(nano):
    """Equations 7 and 8 by hand from what the routers return, padding left out, documents weighed alike."""
    model = loading.load(nano("mixture")[0])
    ids = torch.randint(3, 300, (3, 10), generator=torch.Generator().manual_seed(0))
    mask = torch.ones_like(ids)
    mask[1, 4:] = mask[2, 7:] = 0
    batches = [
        {"input_ids": ids[:2], "attention_mask": mask[:2]},
        {"input_ids": ids[2:], "attention_mask": mask[2:]},
    ]
    wanted = {"share": np.zeros((4, 8)), "gate": np.zeros((4, 8))}
    for row, retained in zip(ids, mask, strict=True):
        n, seen = int(retained.sum()), []
        handles = [
            block.mlp.gate.register_forward_hook(lambda _m, _a, out, seen=seen: seen.append(out))
            for block in model.model.layers
        ]
        with torch.no_grad():
            model.model(input_ids=row[None, :n])
        for handle in handles:
            handle.remove()
        for layer, (_, weights, chosen) in enumerate(seen):
            for w, c in zip(weights.tolist(), chosen.tolist(), strict=True):
                for gate, expert in zip(w, c, strict=True):
                    wanted["share"][layer, expert] += 1 / 2 / n / 3
                    wanted["gate"][layer, expert] += gate / n / 3
    for score, by_hand in wanted.items():
        got = expert_selection.usage(model, batches, score).numpy()
        np.testing.assert_allclose(got, by_hand, atol=1e-5)
        np.testing.assert_allclose(got.sum(1), 1, atol=1e-5)
