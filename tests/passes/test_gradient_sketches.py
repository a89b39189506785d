"""Sketched gradients against exact ones, on nano networks: the same, unbiased, as far off as told."""

import warnings

import networks
import numpy as np
import pytest
import torch
from measure import measure

from implicit_sparsity.corpora.tokens import Tokens
from implicit_sparsity.errors import InputError
from implicit_sparsity.models import adapters, forward, loading, lowrank
from implicit_sparsity.passes import gradient_sketches
from implicit_sparsity.passes.reference_documents import first_documents

OPTIONS = {"documents": 4, "rank": 4, "dim": 64, "gradient_checkpointing": False, "tokens": "content"}
KINDS = {
    "dense": {"attention", "deltanet", "ffn"},
    "mixture": {"attention", "deltanet", "experts", "shared_expert", "router"},
    "llama": {"attention", "ffn"},
}


def measure_gradients(store, folder, tokens, options):
    """A store of the domain math."""
    measure(str(store), str(folder), [str(tokens)], {}, "gradients", ["math"], "base", options, "math")


def documents(tokens, count=3):
    return first_documents(Tokens(tokens["math"]).split("probe_a"), count, "documents")


def loss_of(model, document, tokens):
    """From whole logits: mean nats of the completion, or without its first and its last, the stop token."""
    start, end = int(document.prompt.sum()), len(document.ids)
    places = slice(start + 1, end - 1) if tokens == "content" else slice(start, end)
    return networks.token_nats(model, document.ids)[places].mean()


def exact(folder, names, document, tokens="content"):
    """Gradient of the loss with respect to each named weight itself, [X, o, i]."""
    model = loading.load(folder).requires_grad_(True)
    loss_of(model, document, tokens).backward()
    weights = dict(model.named_parameters())
    result = {}
    for name in names:
        gradient = (weights[name] if name in weights else weights[f"{name}.weight"]).grad
        result[name] = gradient if gradient.dim() == 3 else gradient.unsqueeze(0)
    return result


@pytest.mark.parametrize("counted", ["content", "completion"])
@pytest.mark.parametrize("kind", KINDS)
def test_gradient_of_b_is_the_exact_gradient_projected(nano, kind, counted):
    folder, tokens = nano(kind)
    document = documents(tokens)[0]
    sketcher = gradient_sketches.GradientSketcher(loading.load(folder), 4, 64, tokens=counted)
    sketch, norm, loss = sketcher._one(document)
    with torch.no_grad():
        assert loss == pytest.approx(float(loss_of(loading.load(folder), document, counted)))
    gradients = exact(folder, sketcher.names, document, counted)
    assert {gradient_sketches.kind_of(name) for name in gradients} == KINDS[kind]
    assert {gradient_sketches.layer_of(name) for name in gradients} == set(range(4 if kind != "llama" else 2))
    for i, (name, factor) in enumerate(sketcher.factors.items()):
        a, _ = factor.views
        projected = gradients[name] @ a.transpose(1, 2)
        result = factor.shaped(*(p if p.grad is None else p.grad for p in factor.weights))[1]
        scale = float(projected.norm())
        assert float((result - projected).norm()) <= 1e-4 * scale + 1e-9, name
        assert norm[i] == pytest.approx(scale, rel=1e-4, abs=1e-9)
        assert np.abs(sketch[i] - sketcher.sketches[name](projected).detach().numpy()).max() <= 1e-4 * scale


def predicted_variance(g, h, rank, dim):
    """The formula of the module's docstring, experts added up."""
    m = g.transpose(1, 2) @ h
    square, twist = float(m.square().sum()), float((m @ m).diagonal(dim1=1, dim2=2).sum())
    inner = float((g * h).sum())
    middle = float(((g.transpose(1, 2) @ g) * (h.transpose(1, 2) @ h)).sum())
    both = float(g.square().sum() * h.square().sum())
    return (square + twist) / rank + (both + 2 * middle + inner**2 + square + twist) / dim


@pytest.mark.parametrize("rank, dim", [(4, 64), (16, 64), (8, 512)])
@pytest.mark.parametrize(
    "kind, name",
    [
        ("dense", "model.layers.1.mlp.gate_proj"),
        ("dense", "model.layers.3.self_attn.q_proj"),
        ("mixture", "model.layers.2.mlp.experts.gate_up_proj"),
    ],
)
def test_inner_products_are_unbiased_and_as_far_off_as_predicted(nano, kind, name, rank, dim):
    folder, tokens = nano(kind)
    g, h = (exact(folder, [name], document)[name] for document in documents(tokens, 2))
    draws = 1500
    result, (experts, rows, width) = np.empty(draws), g.shape
    for seed in range(draws):
        a = gradient_sketches.projection(name, (experts * rank, width), rank, seed).unflatten(
            0, (experts, -1)
        )
        sketch = gradient_sketches.Sketch(name, experts * rows, rank, dim, seed=seed)
        result[seed] = float(sketch(g @ a.transpose(1, 2)) @ sketch(h @ a.transpose(1, 2)))
    variance = predicted_variance(g, h, rank, dim)
    assert result.mean() == pytest.approx(float((g * h).sum()), abs=4 * (variance / draws) ** 0.5)
    assert 0.75 < result.var() / variance < 1.2


def hooked(model):
    layers = forward.base_network(model).model.layers
    return [len(module._forward_hooks) + len(module._forward_pre_hooks) for module in layers.modules()]


@pytest.mark.parametrize("kind", ["dense", "mixture"])
def test_gradients_with_checkpointing_are_the_same_and_nothing_is_left_behind(nano, kind):
    folder, tokens = nano(kind)
    plain = gradient_sketches.GradientSketcher(loading.load(folder), 4, 64)
    thrifty = gradient_sketches.GradientSketcher(loading.load(folder), 4, 64, checkpointing=True)
    before = hooked(thrifty.model)
    expected = list(plain.documents(documents(tokens)))
    result = list(thrifty.documents(documents(tokens)))
    for (a, _, _), (b, _, _) in zip(expected, result, strict=True):
        assert np.allclose(a, b, rtol=1e-3, atol=1e-5 * np.abs(a).max())
    assert not thrifty.model.training
    assert hooked(thrifty.model) == before


@pytest.mark.parametrize("kind, router", [("dense", False), ("mixture", False), ("mixture", True)])
def test_a_stage_that_was_trained_is_at_work_beside_the_probe(nano, tmp_path, kind, router):
    folder, tokens = nano(kind)
    trained = adapters.add_lora(loading.load(folder), 2, 4.0, router=router)
    for factor in lowrank.factors(trained).values():
        factor.weights[1].data.normal_(std=0.05)
    trained.save_pretrained(str(tmp_path / "stage"), selected_adapters=["default"])
    networks = {
        "base": loading.load(folder),
        "merged": adapters.load_checkpoint(folder, tmp_path / "stage"),
        # as adapters.with_adapter leaves it in bfloat16, where these networks' gradients are rounding alone
        "beside": adapters.add_adapter(
            loading.load(folder), tmp_path / "stage", name=adapters.EARLIER
        ).eval(),
    }
    result = {}
    for name, network in networks.items():
        sketcher = gradient_sketches.GradientSketcher(network, 4, 64)
        sketch, _, loss = next(sketcher.documents(documents(tokens, 1)))
        result[name] = dict(zip(sketcher.names, sketch, strict=True)), loss
    (base, before), (merged, after), (beside, beside_loss) = result.values()
    assert beside_loss == pytest.approx(after, rel=1e-4) and abs(before - after) > 0.01
    routers = {name for name in merged if gradient_sketches.kind_of(name) == "router"}
    assert set(merged) - set(beside) == (routers if not router else set()) and set(merged) == set(base)
    for name, sketch in beside.items():
        assert np.allclose(sketch, merged[name], rtol=0.01, atol=1e-3 * np.abs(merged[name]).max()), name
        assert not np.allclose(sketch, base[name], rtol=0.1) or not base[name].any()


@pytest.mark.parametrize("kind", KINDS)
def test_store_opens_with_xarray_alone_and_a_rerun_is_the_same(nano, tmp_path, kind):
    import xarray

    folder, tokens = nano(kind)
    for name in "ab":
        measure_gradients(tmp_path / name / "math.zarr", folder, tokens["math"], OPTIONS)
    files = [path for path in sorted((tmp_path / "a").rglob("*")) if path.is_file()]
    assert all((tmp_path / "b" / f.relative_to(tmp_path / "a")).read_bytes() == f.read_bytes() for f in files)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        store = xarray.open_zarr(tmp_path / "a/math.zarr")
    assert store["sketch"].dims == ("half", "document", "module", "dim")
    assert store["sketch"].shape[:2] == (2, 4) and store.sizes["dim"] == 64
    assert set(store["kind"].values) == KINDS[kind]
    assert store["document_id"].values[:, 0].tolist() == ["probe_a-0", "probe_b-0"]
    assert all({"long_name", "units"} <= set(store[name].attrs) for name in store.variables)
    assert (np.abs(store["sketch"]).sum("dim") > 0).all() or kind == "mixture"


def test_too_few_documents_are_one_line(nano, tmp_path):
    folder, tokens = nano("llama")
    wanted = OPTIONS | {"documents": 25}
    with pytest.raises(InputError, match=r"24 documents with content tokens, 25 are wanted.*splits\.probe"):
        measure_gradients(tmp_path / "x.zarr", folder, tokens["math"], wanted)
    assert not (tmp_path / "x.zarr").exists()


def test_a_gradient_that_is_not_finite_is_one_line(nano):
    folder, tokens = nano("llama")
    network = loading.load(folder)
    network.model.layers[1].mlp.up_proj.weight.data[3, 4] = float("nan")
    sketcher = gradient_sketches.GradientSketcher(network, 4, 64)
    with pytest.raises(InputError, match=r"the gradient of .* is not finite in document probe_a-0"):
        list(sketcher.documents(documents(tokens)))


def test_what_cannot_be_sketched_is_one_line(nano):
    folder, _ = nano("llama")
    with pytest.raises(InputError, match="dim = 65 is no multiple of rank = 4"):
        gradient_sketches.GradientSketcher(loading.load(folder), 4, 65)
    with pytest.raises(InputError, match="lm_head is neither"):
        gradient_sketches.kind_of("lm_head")
