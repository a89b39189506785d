"""Every architecture of the registry computes what transformers' own forward does; any other is refused."""

import copy
import json

import families as nanos
import prepare_model
import pytest
import torch
from networks import document, documents
from transformers import GenerationConfig

from implicit_sparsity import errors
from implicit_sparsity.models import adapters, batching, families, ffn, forward, loading, losses
from implicit_sparsity.models.hooks.documents import separate_documents
from implicit_sparsity.passes import representations, scoring
from implicit_sparsity.planning import plan
from implicit_sparsity.updates import distillation

BIASED = "llama with a bias in its head"
# those that do something to logits, and one whose head has a bias
HEADS = [*(name for name, family in families.FAMILIES.items() if family.logits), BIASED]


def unknown(folder, **config):
    """A folder whose configuration is of no known family."""
    folder.mkdir()
    for name in ("tokenizer.json", "model.safetensors"):
        (folder / name).write_text("{}")
    (folder / "config.json").write_text(json.dumps(config))
    return folder


@pytest.mark.parametrize("name", ["gpt2", "gemma3", "no_such_family", None, ["llama"]])
def test_an_unknown_family_is_refused_by_name_before_anything_else(tmp_path, name):
    """At preparation, by the plan and where a folder is loaded; no weights are read."""
    folder = unknown(tmp_path / "given", model_type=name, text_config={"model_type": "llama"})
    base = {"source": "path", "path": str(folder), "layers": 2, "width": 64}
    line = rf"model_type: {name!r} is no architecture .*; known: cohere, .*llama".replace("[", r"\[")
    for refused in (
        lambda: prepare_model.prepare_model(str(tmp_path / "made"), "m", base),
        lambda: plan.study_of({"models": {"m": base}}, tmp_path),
        lambda: loading.load(folder),
        lambda: loading.create({"model_type": name}, 0),
    ):
        with pytest.raises(errors.InputError, match=line):
            refused()
    assert not (tmp_path / "made").exists()


NASTY = {  # what chat models ship, and more; each alone changes a greedy answer
    "do_sample": True,
    "temperature": 0.2,
    "top_k": 3,
    "repetition_penalty": 3.0,
    "no_repeat_ngram_size": 1,
    "suppress_tokens": [3, *range(10, 150)],
    "begin_suppress_tokens": list(range(150, 250)),
    "bad_words_ids": [[250], [251]],
    "sequence_bias": {(252,): 50.0},
    "forced_bos_token_id": 7,
    "forced_eos_token_id": 8,
    "eos_token_id": list(range(255, 300)),
    "min_length": 3,
    "min_new_tokens": 2,
    "max_length": 2,
    "max_time": 1e-9,
    "num_beams": 3,
    "renormalize_logits": True,
    "guidance_scale": 3.0,
}


@pytest.mark.parametrize("name", families.FAMILIES)
def test_losses_and_gradients_are_the_models_own(name, float64):
    """Of padded rows; and the transform shows: without it the loss is another."""
    model = nanos.network(name).requires_grad_(True)
    batch = batching.collate(documents())
    wanted = batch["labels"] != -100
    hidden = forward.hidden_states(model, **forward.inputs(batch))[wanted]
    ours = losses.token_nats(model, hidden, batch["labels"][wanted])
    asked = {key: batch[key] for key in ("input_ids", "attention_mask")}
    logits = model(**asked, use_cache=False).logits[wanted]
    theirs = torch.nn.functional.cross_entropy(logits, batch["labels"][wanted], reduction="none")
    torch.testing.assert_close(ours.double(), theirs, atol=1e-5, rtol=1e-5)
    weights = dict(model.named_parameters())
    got, right = (
        torch.autograd.grad(nats.double().mean(), list(weights.values()), allow_unused=True)
        for nats in (ours, theirs)
    )
    for key, one, other in zip(weights, got, right, strict=True):
        assert (one is None) == (other is None), key
        if one is not None:
            torch.testing.assert_close(one, other, atol=1e-5 * float(other.abs().max()), rtol=1e-5, msg=key)
    bare = model.get_output_embeddings()(hidden)
    assert bool(families.FAMILIES[name].logits) == (float((bare - logits).abs().max().detach()) > 0.1)


@pytest.mark.parametrize("name", HEADS)
def test_divergences_and_losses_beside_an_adapter_are_those_of_the_models_own_logits(name, monkeypatch):
    """KL to an earlier state, in training and afterwards, in chunks of two positions; under PEFT."""
    base, batch = nanos.network(name.split()[0]), batching.collate(documents())
    if name == BIASED:
        base.lm_head.bias = torch.nn.Parameter(torch.randn(320), requires_grad=False)
    asked, wanted = {key: batch[key] for key in ("input_ids", "attention_mask")}, batch["labels"] != -100
    tuned = adapters.add_lora(copy.deepcopy(base), 2, 8, init_lora_weights=False)
    with torch.no_grad():
        states = [forward.hidden_states(m, **forward.inputs(batch))[wanted] for m in (base, tuned)]
        p, q = ((m(**asked).logits[wanted].double() / 2).log_softmax(-1) for m in (base, tuned))
        kl, two = (p.exp() * (p - q)).sum(-1), 2 * 2 * base.config.vocab_size
        monkeypatch.setattr(losses, "LOGITS_AT_ONCE", two)
        got = distillation.divergence(tuned, states[1], states[0], 2.0) / 4
        torch.testing.assert_close(got.double(), kl, atol=1e-5, rtol=1e-4)
        p, q = (m(**asked).logits[wanted].double().log_softmax(-1) for m in (base, tuned))
        got = representations.divergences(
            representations.head(base), states[0], forward.head(tuned), states[1]
        )
        torch.testing.assert_close(torch.from_numpy(got), (p.exp() * (p - q)).sum(-1), atol=1e-5, rtol=1e-4)
        nats = -q[range(len(q)), batch["labels"][wanted]]
        ours = losses.completion_nats(tuned, batch)[0]
        torch.testing.assert_close(ours.double(), nats, atol=1e-4, rtol=1e-4)
    assert kl.mean() > 1e-3


def test_what_a_configuration_wants_to_see_of_a_forward_pass_changes_nothing(tmp_path):
    """Such switches stay in a config.json that somebody saved in the middle of an analysis."""
    nanos.network("granite").save_pretrained(str(tmp_path))
    config, batch = json.loads((tmp_path / "config.json").read_text()), batching.collate(documents())
    wanted = losses.completion_loss(loading.load(tmp_path, device="cpu"), batch)
    config |= {"return_dict": False, "output_attentions": True, "output_hidden_states": True}
    config |= {"use_cache": False, "repetition_penalty": 3.0, "num_beams": 4, "max_length": 5}
    (tmp_path / "config.json").write_text(json.dumps(config))
    model = loading.load(tmp_path, device="cpu")
    torch.testing.assert_close(losses.completion_loss(model, batch), wanted, atol=1e-6, rtol=1e-6)
    loading.without_numbers(tmp_path), loading.shape(tmp_path), loading.save(model, tmp_path / "b", "fp32")
    again = losses.completion_loss(loading.load(tmp_path / "b", device="cpu"), batch)
    torch.testing.assert_close(again, wanted, atol=1e-6, rtol=1e-6)


@pytest.mark.parametrize("name", families.FAMILIES)
def test_packed_documents_have_the_losses_of_padded_ones(name, float64):
    """None sees another: masks, windows, latent attention and recurrent states of every family."""
    model, given = nanos.network(name), documents()
    with torch.no_grad(), separate_documents(model):
        packed, padded = (
            losses.completion_nats(model, batch)[0]
            for batch in (batching.pack(given), batching.collate(given))
        )
    torch.testing.assert_close(packed, padded, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("name", families.FAMILIES)
def test_generated_answers_are_the_models_own_argmax(name, float64):
    """Whatever generation settings it was shipped with; prompts of two lengths in one padded batch."""
    model = nanos.network(name)
    model.generation_config = GenerationConfig(**NASTY)
    asked = [document(range(20, 20 + length), length) for length in (3, 9)]
    given = scoring.generate(model, asked, 6, None)
    for prompt, (ids, cut) in zip(asked, given, strict=True):
        row = prompt.ids.astype(int).tolist()
        for _ in range(6):
            with torch.no_grad():
                row.append(int(model(input_ids=torch.tensor([row]), use_cache=False).logits[0, -1].argmax()))
        assert ids.tolist() == row[len(prompt.ids) :] and cut
    assert model.generation_config.repetition_penalty == 3.0, "left as it was"


@pytest.mark.parametrize("name", families.FAMILIES)
def test_what_the_registry_says_of_layers_and_kernels(name):
    model = nanos.network(name)
    family = families.FAMILIES[name]
    assert ffn.traits(model) == {*family.traits, *(["eager"] if family.eager else [])}
    assert family.eager == (not model._supports_sdpa)
    assert forward.last_norm(model) is forward.decoder(model).norm
