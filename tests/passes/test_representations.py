"""A network on the reference documents: which positions, which states, what is left to compare."""

import layouts
import networks
import numpy as np
import pytest
import torch

from implicit_sparsity.errors import InputError
from implicit_sparsity.models import ffn, forward, loading, losses
from implicit_sparsity.passes import representations

OPTIONS = {"documents": 3, "positions": 2, "skip_first": 1}


def test_the_reference_set_is_the_first_documents_with_a_place_and_a_completion():
    """Special: 1. Of the five, the second has no completion and the third no token that counts."""
    split = [
        networks.document([5, 6, 7, 8, 9], 2),
        networks.document([5, 6, 7], 3),
        networks.document([5, 1, 1], 1),
        networks.document([4, 1, 8], 1),
        networks.document([3, 4, 6, 1, 9], 2),
    ]
    result = representations.reference(split, [1], OPTIONS)
    assert [one.ids[0] for one in result.documents] == [5, 4, 3]
    assert [places.tolist() for places in result.positions] == [[2, 4], [2], [1, 4]]
    assert result.owner.tolist() == result.group.tolist() == [0, 0, 1, 2, 2]
    split[4].meta["group"] = split[0].meta["group"]
    result = representations.reference(split, [1], OPTIONS)
    assert [one.ids[0] for one in result.documents] == [5, 4, 3] and result.group.tolist() == [0, 0, 1, 0, 0]
    with pytest.raises(InputError, match="holds 3 documents with a completion, 4 are wanted") as error:
        representations.reference(split, [1], OPTIONS | {"documents": 4}, "folder")
    assert str(error.value).startswith("folder: probes.drift.documents: ")


def reference_of(lengths=(12, 5, 9)):
    documents = networks.documents(lengths)
    return representations.Reference(documents, [np.arange(1, n, 3) for n in lengths])


@pytest.mark.parametrize("kind", ["dense", "mixture", "llama"])
@pytest.mark.parametrize("batch_tokens", [1, 40])
def test_states_are_those_that_transformers_hands_out(float64, kind, batch_tokens):
    """Each document by itself and unpadded; what the last layer hands on, before the last norm."""
    model, domain = networks.network(kind), reference_of()
    seen = representations.observe(model, domain, batch_tokens)
    rows = []
    for one, places in zip(domain.documents, domain.positions, strict=True):
        ids = torch.from_numpy(one.ids.astype(np.int64))[None]
        with torch.no_grad():
            states = model.model(input_ids=ids, output_hidden_states=True).hidden_states
        rows.append([x[0, places] for x in states[1:]])
    for layer, observed in enumerate(seen.hidden):
        expected = torch.cat([parts[layer] for parts in rows])
        last = layer == len(seen.hidden) - 1
        observed = model.model.norm(torch.from_numpy(observed).double()) if last else observed
        assert np.asarray(observed) == pytest.approx(expected.numpy(), rel=1e-5, abs=1e-5)
    assert seen.hidden.dtype == np.float32 and seen.hidden.shape[1] == len(domain.owner) == 4 + 2 + 3
    assert seen.routed.shape == (4 if kind == "mixture" else 0, 9, 32)


def test_the_head_is_given_a_state_before_each_completion_token(float64):
    """So that its logits there have the loss of the documents."""
    model, domain = networks.network("llama"), reference_of()
    seen = representations.observe(model, domain, 40)
    wanted = torch.cat([torch.from_numpy(one.ids[3:].astype(np.int64)) for one in domain.documents])
    nats = torch.nn.functional.cross_entropy(forward.head(model)(seen.last), wanted, reduction="sum")
    expected = 0.0
    for one in domain.documents:
        ids = torch.from_numpy(one.ids.astype(np.int64))[None]
        labels = torch.where(torch.from_numpy(one.prompt), -100, ids)
        expected += float(model(input_ids=ids, labels=labels).loss) * (len(one.ids) - 3)
    assert float(nats) == pytest.approx(expected, rel=1e-9)


def test_states_that_are_not_finite_are_one_line():
    model = networks.network("llama")
    model.model.layers[1].mlp.down_proj.weight[3] = float("nan")
    with pytest.raises(InputError) as error:
        representations.observe(model, reference_of(), 40)
    assert str(error.value) == "hidden states of layer 1 are not finite"
    model = networks.network("llama")
    model.model.norm.weight[3] = float("nan")  # behind what the layers hand on
    with pytest.raises(InputError) as error:
        representations.observe(model, reference_of(), 40)
    assert str(error.value) == "hidden states are not finite"


def heads(*logits):
    """Heads that give these logits [V] of a state that is 1."""
    made = [torch.nn.Linear(1, len(row), bias=False).requires_grad_(False) for row in logits]
    for head, row in zip(made, logits, strict=True):
        head.weight[:] = torch.tensor(row)[:, None]
    return made


def test_divergence_of_two_heads_is_the_textbooks():
    p, q = np.array([0.5, 0.25, 0.25]), np.array([0.1, 0.1, 0.8])
    old, new = heads(np.log(p).tolist(), np.log(q).tolist())
    ones = torch.ones(2, 1)
    there = representations.divergences(old, ones, new, ones)
    assert there == pytest.approx([(p * np.log(p / q)).sum()] * 2, rel=1e-6)
    back = representations.divergences(new, ones, old, ones)
    assert back == pytest.approx([(q * np.log(q / p)).sum()] * 2, rel=1e-6)
    same = representations.divergences(old, ones, old, ones)
    assert same.dtype == np.float64 and (same == 0).all()
    uniform = representations.divergences(old, ones, old, torch.zeros(2, 1))
    assert uniform == pytest.approx([np.log(3) + (p * np.log(p)).sum()] * 2, rel=1e-5)


def test_divergence_in_pieces_is_the_same(nano, float64, monkeypatch):
    head = forward.head(loading.load(nano("dense")[0]))
    states = torch.randn(2, 9, 32, generator=torch.Generator().manual_seed(2))
    whole = representations.divergences(head, states[0], head, states[1])
    monkeypatch.setattr(losses, "LOGITS_AT_ONCE", 4 * 320 * 2)
    rows = []
    monkeypatch.setattr(head, "forward", lambda x, f=head.forward: rows.append(len(x)) or f(x))
    assert representations.divergences(head, states[0], head, states[1]) == pytest.approx(whole, rel=1e-10)
    assert (whole > 0).all() and len(whole) == 9 and max(rows) == 2


def test_a_router_chooses_its_largest_products():
    model = networks.network("mixture")
    states = np.random.default_rng(0).normal(size=(7, 32)).astype(np.float32)
    alone = representations.routers(model)
    assert list(alone) == [0, 1, 2, 3] and representations.routers(networks.network("dense")) == {}
    assert list(representations.routers(layouts.make("some_dense"))) == [0, 2]
    for block in ffn.feed_forwards(model):
        router = alone[block.layer]
        assert router is not block.mlp.gate
        products = states @ block.mlp.gate.weight.numpy().T
        expected = products >= np.sort(products, axis=1)[:, -2:-1]
        np.testing.assert_array_equal(representations.choices(router, states), expected)


def test_the_head_stays_when_the_network_changes():
    model = networks.network("llama")
    alone = representations.head(model)
    before = alone.weight.clone()
    forward.head(model).weight.mul_(2)
    assert torch.equal(alone.weight, before)


@pytest.mark.parametrize("kind, routers", [("mixture", 4), ("first_dense", 2)])
@pytest.mark.parametrize("silent, share", [("shared", 0), ("routed", 1)])
def test_where_only_one_part_speaks_the_share_is_nought_or_all(silent, share, kind, routers):
    """With a gate on the shared expert, and without."""
    model = networks.network("mixture") if kind == "mixture" else layouts.make(kind)
    for block in ffn.feed_forwards(model):
        if block.experts:
            shared = silent == "shared"
            part = block.dense.mlp.down_proj.weight if shared else block.mlp.experts.down_proj
            part.zero_()
    shares = representations.observe(model, reference_of(), 40).shared
    assert shares.shape == (2, routers, 9) and shares == pytest.approx(share, abs=1e-5)


def test_without_a_shared_expert_there_is_no_share():
    assert np.isnan(representations.observe(layouts.make("unshared"), reference_of(), 40).shared).all()


def test_shares_are_of_lengths_and_of_projections():
    """Both parts from the block itself, with the other one silenced."""
    model = networks.network("mixture")
    blocks = ffn.feed_forwards(model)
    states = np.random.default_rng(1).normal(size=(4, 6, 32)).astype(np.float32)
    norms, projections = representations.shared_shares(model, blocks, states)
    for i, block in enumerate(blocks):
        x = torch.from_numpy(states[i])[None]
        whole = block.mlp(x)[0].double()
        block.mlp.experts.down_proj.zero_()
        s = block.mlp(x)[0].double()
        r = whole - s
        assert norms[i] == pytest.approx(
            (s.norm(dim=-1) / (s.norm(dim=-1) + r.norm(dim=-1))).numpy(), rel=1e-4
        )
        expected = (s * whole).sum(-1) / (whole * whole).sum(-1)
        assert projections[i] == pytest.approx(expected.numpy(), rel=1e-3, abs=1e-5)
