"""What makes large models fit changes no result, or as little as is said here: packing, checkpointed
gradients, chunked logits, bfloat16, 8 and 4 bits."""

import copy
from types import SimpleNamespace

import networks
import numpy as np
import pytest
import test_methods
import torch
from test_methods import DOMAINS, KINDS, METHODS, OPTIONS, PAIRS, logits, train, trained  # noqa: F401 (a fixture)
from transformers.integrations import moe

from implicit_sparsity import errors
from implicit_sparsity.models import adapters, batching, ffn, forward, loading, losses
from implicit_sparsity.models.hooks.documents import separate_documents
from implicit_sparsity.models.hooks.routing import SteadyRouting
from implicit_sparsity.options import load
from implicit_sparsity.training import audit, fit, stage

# methods whose stages go on from an adapter; those that start from the base model learnt nothing before
CONTINUED = [m for m in METHODS if load("methods", m).adapter and load("methods", m).STARTS == "previous"]
LENGTHS = (7, 70, 33, 5)  # 70: over one chunk of the Gated DeltaNet


def documents(lengths=LENGTHS, seed=0):
    random = np.random.default_rng(seed)
    rows = [random.integers(3, 300, n).astype(np.uint32) for n in lengths]
    return [SimpleNamespace(ids=ids, prompt=np.arange(len(ids)) < 3) for ids in rows]


def network(kind, **more):
    model = loading.create(networks.CONFIGS[kind] | more, 0).to(torch.get_default_dtype())
    return model.requires_grad_(False).eval()


def packed_hidden(model, given):
    with torch.no_grad():
        return forward.hidden_states(model, **forward.inputs(batching.pack(given)))[0]


@pytest.mark.parametrize("kind", ["dense", "mixture", "llama"])
def test_packed_documents_do_not_see_each_other(float64, kind):
    """Packed and unpacked logits agree, for each document alone, whatever stands before it."""
    model, given = network(kind), documents()
    with separate_documents(model):
        together = packed_hidden(model, given).split(LENGTHS)
        for document, seen in zip(given, together, strict=True):
            ids = torch.from_numpy(document.ids.astype(np.int64))[None]
            with torch.no_grad():
                alone = model(input_ids=ids).logits[0]
                torch.testing.assert_close(forward.head(model)(seen), alone, atol=1e-8, rtol=0)
        other = documents((7, 70), seed=1) + given[2:]
        again = packed_hidden(model, other).split(LENGTHS)
        torch.testing.assert_close(again[2], together[2], atol=1e-8, rtol=0)
    if kind != "llama":  # the guard is needed: without it the recurrent state leaks across the border
        leaking = packed_hidden(model, given).split(LENGTHS)
        assert (leaking[1] - together[1]).abs().max() > 0.1


def test_packing_refuses_a_layer_whose_state_it_cannot_reset():
    model = network("dense")
    del model.model.layers[0].linear_attn
    with pytest.raises(errors.InputError, match=r"training\.packing"), separate_documents(model):
        pass


def test_checkpointed_gradients_hold_less(nano):
    """Bytes that autograd keeps for the backward pass, with and without."""
    held = {}
    for on in (False, True):
        model = adapters.add_lora(network("dense"), 2, 4).train()
        routing = SteadyRouting(model)
        if on:
            forward.checkpoint_gradients(model, routing.contexts)
        sizes = {}

        def note(tensor, sizes=sizes):
            sizes[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(note, lambda t: t):
            loss = losses.completion_loss(model, batching.collate(documents()))
        held[on] = sum(sizes.values())
        loss.backward()
    assert held[True] < 0.5 * held[False]


def test_a_router_that_would_flip_is_counted_and_held_to_its_choice():
    """Noise on a router's input in the recomputation alone: the gradient is that of the forward pass."""
    gradients = {}
    for noise in (0.0, 3.0):
        torch.manual_seed(0)
        model = adapters.add_lora(network("mixture"), 2, 4).train()
        with SteadyRouting(model).holding() as routing:
            forward.checkpoint_gradients(model, routing.contexts)
            gate = forward.base_network(model).model.layers[1].mlp.gate
            shaken = []

            def shake(_, args, noise=noise, routing=routing, shaken=shaken):
                if routing.again and noise:
                    shaken.append(1)
                    return (args[0] + noise * torch.randn_like(args[0]),)
                return args

            gate.register_forward_pre_hook(shake)
            losses.completion_loss(model, batching.collate(documents())).backward()
        gradients[noise] = {n: p.grad for n, p in model.named_parameters() if p.grad is not None}
        counts = routing.counts()
        positions = len(LENGTHS) * max(LENGTHS)
        assert counts["router_decisions"] == positions * 4
        assert (counts["router_flips"] > positions / 4) == bool(noise) and bool(shaken) == bool(noise)
        assert counts["router_flips"] <= positions
    # the experts of layer 3 and 2 do not see the shaken router at all; those of layer 1 keep their tokens
    for name, gradient in gradients[0.0].items():
        if ".layers.3." in name or ".layers.2." in name:
            torch.testing.assert_close(gradients[3.0][name], gradient, msg=name)


def test_chunked_logits_give_the_same_loss_and_gradients(float64, monkeypatch):
    model, batch = network("llama", tie_word_embeddings=False), batching.collate(documents())
    result = {}
    for size in (2**27, 10 * 320):  # one chunk; ten positions a chunk
        monkeypatch.setattr(losses, "LOGITS_AT_ONCE", size)
        here = copy.deepcopy(model).requires_grad_(True)
        widest = []
        here.lm_head.register_forward_hook(lambda _, args, out, widest=widest: widest.append(len(out)))
        loss = losses.completion_loss(here, batch)
        loss.backward()
        result[size] = (loss.item(), {n: p.grad for n, p in here.named_parameters()})
        wanted = int((batch["labels"] != -100).sum())
        assert max(widest) == min(wanted, size // 320)
    (one, whole), (two, chunked) = result.values()
    assert one == pytest.approx(two, abs=1e-10)
    for name, gradient in whole.items():
        torch.testing.assert_close(chunked[name], gradient, atol=1e-8, rtol=0, msg=name)


def test_loss_that_is_not_finite_stops_the_stage(nano, tmp_path, monkeypatch):
    from implicit_sparsity.methods.lora import Lora

    monkeypatch.setattr(Lora, "loss", lambda self, model, batch, loss: loss * float("nan"))
    with pytest.raises(audit.StageFailed, match=r"step 1: the (loss|gradient of \S+) is not finite"):
        train(nano, "dense", "lora", 1, tmp_path / "x")


def exact_logits(model, method=None):
    """Of the weights as they are, computed in float64; they have their own precision again afterwards."""
    tensors = [t for t in (*model.parameters(), *model.buffers()) if t.is_floating_point()]
    precisions = [tensor.dtype for tensor in tensors]
    for tensor in tensors:
        tensor.data = tensor.data.double()
    result = logits(model, method)
    for tensor, precision in zip(tensors, precisions, strict=True):
        tensor.data = tensor.data.to(precision)
    return result


@pytest.mark.parametrize("kind, name", [pair for pair in PAIRS if pair[1] in CONTINUED])
def test_bfloat16_keeps_what_earlier_stages_learnt(nano, kind, name, tmp_path, monkeypatch):
    """A small update added to bfloat16 weights would be rounded away: it stays beside them, to the bit.

    The networks are compared in float64, where no logit is rounded as much as the update moves it.
    """
    monkeypatch.setattr(moe, "_can_use_grouped_mm", lambda *given: False)  # torch's kernel has no float64
    model, tokens = nano(kind)
    given = {"precision": "bf16", "outputs": exact_logits}
    _, _, result, learnt = train(nano, kind, name, 1, tmp_path / "1", **given)
    assert np.isfinite([row["loss"] for row in result["curve"]]).all()
    shards = [tokens[domain] for domain in DOMAINS]
    here = stage.Stage(
        str(model), DOMAINS, shards, 0, networks.TRAINING | {"precision": "bf16"}, str(tmp_path / "1")
    )
    method = load("methods", name, **OPTIONS.get(name, {}))
    here.model = method.begin(here)
    untouched = loading.load(model, "bf16")
    measured = adapters.load_checkpoint(model, tmp_path / "1", {"precision": "bf16"})
    for changed in (here.model, measured):
        weights = {
            n.replace(".base_layer", ""): p for n, p in forward.base_network(changed).named_parameters()
        }
        assert all(torch.equal(weights[n], p) for n, p in untouched.named_parameters())
    assert (exact_logits(untouched) - learnt).abs().max() > 0.01
    for changed in ((here.model, method), (measured,)):
        torch.testing.assert_close(exact_logits(*changed), learnt, atol=1e-9, rtol=0)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("quantization", "error"), [("int8", 0.02), ("nf4", 0.12)])
def test_quantized_base_learns_and_is_measured(tmp_path, kind, quantization, error, monkeypatch):
    """8 and 4 bits (bitsandbytes): weights within ``error``, a LoRA learns on them, neurons have norms."""
    bnb = pytest.importorskip("bitsandbytes", reason="bitsandbytes is not installed")
    # its AVX-512 kernel takes widths in multiples of 32 only, which nano heads are not
    monkeypatch.setattr(bnb.nn.modules, "has_avx512bf16", lambda: False)
    wide = {"hidden_size": 64, "head_dim": 32, "linear_value_head_dim": 16}  # 4 bits come in blocks of 64
    wide |= {"moe_intermediate_size": 64, "shared_expert_intermediate_size": 64, "num_experts_per_tok": 8}
    monkeypatch.setitem(networks.CONFIGS, kind, networks.CONFIGS[kind] | wide)
    model = networks.make_model(tmp_path / "model", kind)
    tokens = networks.make_tokens(tmp_path / "code", model, "code")
    plain, small = loading.load(model), loading.load(model, "bf16", quantization=quantization)
    for name, module in plain.named_modules():
        if name.endswith("_proj"):
            here = small.get_submodule(name)
            assert here.weight.dtype == {"int8": torch.int8, "nf4": torch.uint8}[quantization]
            assert (forward.plain_weight(here) - module.weight).norm() < error * module.weight.norm()
    for here, whole in zip(ffn.feed_forwards(small), ffn.feed_forwards(plain), strict=True):
        torch.testing.assert_close(here.down_norms(), whole.down_norms(), rtol=0.1, atol=0.1)
    settings = networks.TRAINING | {"precision": "bf16", "quantization": quantization}
    here = stage.Stage(str(model), ["code"], [tokens], 0, settings)
    result = fit.run_stage(here, load("methods", "lora"), tmp_path / "scratch")
    assert result["audit"]["without_gradient"] == 0


@pytest.mark.parametrize("kind", KINDS)
def test_adapters_beside_the_weights_count_in_what_a_neuron_writes(trained, nano, kind):  # noqa: F811
    """Norms of down columns are those of the merged weights, in every layer, experts and shared expert."""
    model, folder = nano(kind)[0], trained(kind, "lora")[1][0]
    beside = ffn.feed_forwards(adapters.add_adapter(loading.load(model), folder))
    merged, base = (ffn.feed_forwards(adapters.load_checkpoint(model, a)) for a in (folder, None))
    for here, whole, before in zip(beside, merged, base, strict=True):
        torch.testing.assert_close(here.down_norms(), whole.down_norms(), atol=1e-4, rtol=1e-4)
        assert (whole.down_norms() - before.down_norms()).abs().max() > 1e-3


def test_routers_are_adapted_where_they_are_asked_for(nano, tmp_path):
    """Their LoRA gets a gradient, B's subspace covers them, and the second stage keeps off it."""
    from implicit_sparsity.models import lowrank

    for name in ("lora", "orthogonal"):
        options = OPTIONS.get(name, {}) | {"router": True}
        train(nano, "mixture", name, 1, tmp_path / f"{name}1", options=options)
        here, _, result, _ = train(
            nano, "mixture", name, 2, tmp_path / f"{name}2", tmp_path / f"{name}1", options
        )
        routers = [n for n in lowrank.factors(here.model) if n.endswith("mlp.gate.weight")]
        assert len(routers) == 4 and result["audit"]["without_gradient"] == 0
        if name == "orthogonal":
            assert result["audit"]["constraint_violation_max_step"] < 1e-5 and set(routers) <= set(
                result["state"]
            )


def test_experts_that_no_token_reached_are_counted(nano, tmp_path, monkeypatch):
    """With routers that send every token to two experts, six of eight have nothing to learn from."""
    create = loading.load

    def biased(*args, **kwargs):
        model = create(*args, **kwargs)
        for block in ffn.feed_forwards(model):
            inputs = torch.nn.functional.one_hot(torch.tensor(0), 32).float()
            block.mlp.gate.weight.copy_(torch.zeros(8, 32))
            block.mlp.gate.weight[:2] = 1e-6 * inputs
        return model

    monkeypatch.setattr(loading, "load", lambda *a, **k: torch.no_grad()(biased)(*a, **k))
    _, _, result, _ = train(nano, "mixture", "lora", 1, tmp_path / "x")
    outcome = result["audit"]
    assert outcome["expert_tensors"] == 4 * 2 * 8  # layers, fused parameters, experts
    assert outcome["expert_tensors_without_gradient"] > 0
    monkeypatch.undo()
    _, _, result, _ = train(nano, "mixture", "lora", 1, tmp_path / "y")
    assert result["audit"]["expert_tensors_without_gradient"] < outcome["expert_tensors_without_gradient"]


def test_the_matrix_of_methods_is_not_empty():
    assert {"lora", "activation_mask", "orthogonal"} <= set(METHODS) and test_methods.ROOM.is_dir()
