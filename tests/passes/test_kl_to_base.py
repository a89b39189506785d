"""Divergence from the base model: that of plain logits, over documents gone over once."""

import os

import networks
import numpy as np
import pytest
import torch
from test_evaluation import OPTIONS

from implicit_sparsity.corpora.tokens import Tokens
from implicit_sparsity.models import forward, loading
from implicit_sparsity.passes import evaluation, kl_to_base


def logits_by_hand(model, document):
    """Log-probabilities before each completion token, one document, no padding."""
    return networks.log_probabilities(model, document.ids)[~document.prompt[1:]]


def means(nats) -> dict:
    """Of completion tokens: all, and without the first and the last, the stop token."""
    return {"kl_completion": float(nats.mean()), "kl_content": float(nats[1:-1].mean())}


def trained_adapter(model, folder, targets="all-linear"):
    """A LoRA folder whose B is not zero."""
    from peft import LoraConfig, get_peft_model

    torch.manual_seed(1)
    wrapped = get_peft_model(model, LoraConfig(task_type="CAUSAL_LM", r=4, target_modules=targets))
    for name, parameter in wrapped.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter, std=0.1)
    wrapped.save_pretrained(str(folder))
    return folder


def whole_model(model, folder):
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.02 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(1)))
    model.save_pretrained(str(folder))
    return folder


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("kind", ["dense", "mixture"])
@pytest.mark.parametrize("make", [trained_adapter, whole_model])
def test_kl_of_base_and_tuned_is_that_of_plain_logits(nano, tmp_path, kind, precision, make):
    folder, tokens = nano(kind)
    base, stage = {"precision": precision}, make(loading.load(folder), tmp_path / "stage")
    shards, tokenizer = Tokens(tokens["math"]), evaluation.tokenizer_of(folder)
    options = OPTIONS | {"documents": 6, "generate": []}
    documents = {"math": evaluation.scored_documents(shards, options)}
    first = loading.load(folder, **base)
    p = [logits_by_hand(first, document) for document in documents["math"]]
    network, before = kl_to_base.load(folder, stage, base, documents, 100)
    q = [logits_by_hand(network, document) for document in documents["math"]]
    scores = evaluation.score_domain(network, shards, "math", options, tokenizer.decode, None, iter, before)
    wanted = [means((a.exp() * (a - b)).sum(-1)) for a, b in zip(p, q)]
    for name in ("kl_content", "kl_completion"):
        expected, result = ([row[name] for row in rows] for rows in (wanted, scores["documents"]))
        assert min(expected) > 1e-3
        assert result == pytest.approx(expected, rel=1e-3 if precision == "fp32" else 0.2)
        metric = scores["metrics"][name]
        assert metric["value"] == pytest.approx(np.mean(result))
        assert metric["n"] == 6 and not metric["higher_is_better"]
        assert metric["stderr"] == pytest.approx(np.std(result, ddof=1) / np.sqrt(6))


def test_the_base_model_goes_over_the_documents_once(nano, tmp_path, monkeypatch):
    """What it made of them is read by later jobs to the same bits; a damaged file is made anew."""
    folder, tokens = nano("dense")
    stage, options = trained_adapter(loading.load(folder), tmp_path / "stage"), OPTIONS | {"documents": 6}
    documents = {"math": evaluation.scored_documents(Tokens(tokens["math"]), options)}
    files, passes, given = {"math": tmp_path / ".base_model" / "key.safetensors"}, [], kl_to_base.given
    monkeypatch.setattr(kl_to_base, "given", lambda *a: passes.append(1) or given(*a))
    first = kl_to_base.load(folder, stage, {}, documents, 100, files)[1].states["math"]
    for damage in (lambda: None, lambda: os.truncate(files["math"], 100)):
        damage()
        again = kl_to_base.load(folder, stage, {}, documents, 100, files)[1].states["math"]
        assert len(again) == 6 and all(torch.equal(a, b) for a, b in zip(first, again))
    assert len(passes) == 2 and [path.name for path in files["math"].parent.iterdir()] == ["key.safetensors"]


def test_kl_of_base_is_zero_by_definition_and_by_computing(nano):
    folder, tokens = nano("dense")
    shards, tokenizer = Tokens(tokens["math"]), evaluation.tokenizer_of(folder)
    options = OPTIONS | {"generate": []}
    documents = {"math": evaluation.scored_documents(shards, options)}
    network, before = kl_to_base.load(folder, None, {}, documents, 100)
    assert before is None
    scores = evaluation.score_domain(network, shards, "math", options, tokenizer.decode, None)
    for name in ("kl_content", "kl_completion"):
        assert [row[name] for row in scores["documents"]] == [0.0] * 12
    computed = kl_to_base.BaseOutputs(
        forward.head(network), {"math": kl_to_base.given(network, documents["math"], 60)}
    )
    scores = evaluation.score_domain(network, shards, "math", options, tokenizer.decode, None, iter, computed)
    for name in ("kl_content", "kl_completion"):
        assert max(abs(row[name]) for row in scores["documents"]) < 1e-6


def test_kl_holds_the_logits_of_a_few_tokens(nano, float64, monkeypatch):
    """The largest tensor with a vocabulary's width has no more rows than are allowed at once."""
    from implicit_sparsity.models import losses

    folder, tokens = nano("dense")
    options = OPTIONS | {"generate": []}
    documents = {"math": evaluation.scored_documents(Tokens(tokens["math"]), options)}
    network = loading.load(folder)
    rows, head = [], forward.head(network)
    before = kl_to_base.BaseOutputs(head, {"math": kl_to_base.given(network, documents["math"], 100)})
    longest = max(range(12), key=lambda i: len(before.states["math"][i]))
    whole = before.divergences(network, "math", longest, before.states["math"][longest] * 1.5)
    monkeypatch.setattr(losses, "LOGITS_AT_ONCE", 4 * 3 * head.weight.shape[0])
    monkeypatch.setattr(head, "forward", lambda x, f=head.forward: rows.append(len(x)) or f(x))
    again = before.divergences(network, "math", longest, before.states["math"][longest] * 1.5)
    assert again == pytest.approx(whole, rel=1e-10)
    assert max(rows) == 3 and len(before.states["math"][longest]) > 3
