"""Scores against the same computed one document at a time from plain logits."""

import os

import networks
import numpy as np
import pytest
import torch

from implicit_sparsity.corpora.tokens import Tokens
from implicit_sparsity.models import forward, loading
from implicit_sparsity.passes import evaluation, kl_to_base, scoring

OPTIONS = {
    "documents": 12,
    "choice_items": 5,
    "generate": ["math"],
    "generation_items": 4,
    "max_new_tokens": 6,
    "batch_tokens": 100,
}


def by_hand(model, ids, prompt):
    """Sum of log p(token | before) over completion tokens, one sequence, no padding."""
    ids = torch.from_numpy(np.asarray(ids).astype(np.int64))
    with torch.no_grad():
        logp = torch.log_softmax(model(input_ids=ids[None]).logits[0].double(), -1)
    return sum(logp[t - 1, ids[t]].item() for t in range(1, len(ids)) if not prompt[t])


@pytest.fixture(scope="module", params=["dense", "mixture"])
def scored(request, nano):
    folder, tokens = nano(request.param)
    model, shards, tokenizer = loading.load(folder), Tokens(tokens["math"]), evaluation.tokenizer_of(folder)
    stop = evaluation.stop_token(shards, tokenizer)
    assert tokenizer.id_to_token(stop) == networks.TEMPLATE["after"]
    scores = evaluation.score_domain(model, shards, "math", OPTIONS, tokenizer.decode, stop)
    return model, shards.split("eval"), tokenizer, stop, scores


def test_loss_is_nats_per_completion_token(scored):
    model, split, _, _, scores = scored
    assert len(scores["documents"]) == scores["metrics"]["loss"]["n"] == 12
    for document, row in zip(split, scores["documents"], strict=False):
        n = int((~document.prompt).sum())
        assert row["tokens"] == n
        assert row["loss"] == pytest.approx(-by_hand(model, document.ids, document.prompt) / n, rel=1e-4)
    values = [row["loss"] for row in scores["documents"]]
    assert scores["metrics"]["loss"]["value"] == pytest.approx(np.mean(values))
    assert scores["metrics"]["loss"]["stderr"] == pytest.approx(np.std(values, ddof=1) / np.sqrt(12))


def test_choice_is_the_likeliest_completion(scored):
    model, split, _, _, scores = scored
    for i, row in enumerate(scores["documents"]):
        assert ("acc" in row) == (i < OPTIONS["choice_items"])
        if "acc" in row:
            prompt = split[i].ids[split[i].prompt]
            sums, lengths = [], []
            for choice in split[i].meta["choices"]:
                mask = np.arange(len(prompt) + len(choice)) < len(prompt)
                sums.append(by_hand(model, np.concatenate([prompt, choice]), mask))
                lengths.append(len(choice))
            assert row["acc"] == int(np.argmax(sums) == split[i].meta["correct"])
            assert row["acc_norm"] == int(np.argmax(np.divide(sums, lengths)) == split[i].meta["correct"])


def test_generation_is_greedy_and_batching_does_not_change_it(scored):
    """Left padding must not leak into the recurrent state of linear attention."""
    model, split, tokenizer, stop, scores = scored
    for i in range(OPTIONS["generation_items"]):
        ids = split[i].ids[split[i].prompt].astype(np.int64).tolist()
        start = len(ids)
        for _ in range(OPTIONS["max_new_tokens"]):
            with torch.no_grad():
                ids.append(int(model(input_ids=torch.tensor([ids])).logits[0, -1].argmax()))
            if ids[-1] == stop:
                ids.pop()
                break
        assert scores["documents"][i]["generated"] == tokenizer.decode(ids[start:])


def test_same_sequence_is_computed_once(scored, monkeypatch):
    model, split, *_ = scored
    sequences = [scoring.Sequence(split[i].ids, split[i].prompt) for i in (0, 1, 0, 0)]
    seen, run = [], forward.hidden_states
    monkeypatch.setattr(
        forward, "hidden_states", lambda m, ids, mask: seen.append(len(ids)) or run(m, ids, mask)
    )
    nats = scoring.log_likelihoods(model, sequences, 10_000)
    assert sum(seen) == 2 and np.array_equal(nats[0], nats[2]) and np.array_equal(nats[0], nats[3])


@pytest.mark.parametrize(
    ("text", "strict", "flexible"),
    [
        ("so 6 * 7 = 42\n#### 42", "42", "42"),
        ("#### $1,234.50", "1,234.50", "1,234.50"),
        ("the answer is -3.", None, "-3"),
        ("#### twelve", None, None),
        ("#### 3\n#### 4", "4", "4"),
    ],
)
def test_numbers_are_read_as_gsm8k_writes_them(text, strict, flexible):
    assert scoring.extract_number(text) == strict
    assert scoring.extract_number(text, strict=False) == flexible


def test_same_number_looks_at_the_value():
    assert scoring.same_number("1,234.0", "1234") and scoring.same_number("42", "$42")
    assert not scoring.same_number("41", "42") and not scoring.same_number(None, "42")
    assert scoring.is_number("1,000") and not scoring.is_number("1/(n+1)") and not scoring.is_number(None)


def test_record_has_lm_evals_shape(scored):
    import json

    record = evaluation.as_lm_eval(
        "math", scored[-1], {"model": "nano"}, OPTIONS, {"config": {}, "date": 0.0}
    )
    for key in (
        "results",
        "configs",
        "versions",
        "n-shot",
        "n-samples",
        "higher_is_better",
        "config",
        "date",
    ):
        assert key in record
    assert record["results"]["math"]["loss,none"] == scored[-1]["metrics"]["loss"]["value"]
    assert record["higher_is_better"]["math"] == {
        "loss": False,
        "acc": True,
        "acc_norm": True,
        "exact_match": True,
        "exact_match_flexible": True,
        "format_failure": False,
        "kl_base": False,
    }
    json.dumps(record, allow_nan=False)


def logits_by_hand(model, document):
    """Log-probabilities before each completion token, one document, no padding."""
    ids = torch.from_numpy(document.ids.astype(np.int64))[None]
    with torch.no_grad():
        logp = torch.log_softmax(model(input_ids=ids).logits[0].double(), -1)
    return logp[np.flatnonzero(~document.prompt[1:])]


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
    expected = [float((a.exp() * (a - b)).sum(-1).mean()) for a, b in zip(p, q)]
    result = [row["kl_base"] for row in scores["documents"]]
    assert min(expected) > 1e-3
    assert result == pytest.approx(expected, rel=1e-3 if precision == "fp32" else 0.2)
    metric = scores["metrics"]["kl_base"]
    assert (
        metric["value"] == pytest.approx(np.mean(result))
        and metric["n"] == 6
        and not metric["higher_is_better"]
    )
    assert metric["stderr"] == pytest.approx(np.std(result, ddof=1) / np.sqrt(6))


def test_the_base_model_goes_over_the_documents_once(nano, tmp_path, monkeypatch):
    """What it made of them is read by later jobs to the same bits; a damaged file is made anew."""
    folder, tokens = nano("dense")
    stage, options = trained_adapter(loading.load(folder), tmp_path / "stage"), OPTIONS | {"documents": 6}
    documents = {"math": evaluation.scored_documents(Tokens(tokens["math"]), options)}
    files, passes, given = {"math": tmp_path / ".before" / "key.safetensors"}, [], kl_to_base.given
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
    assert [row["kl_base"] for row in scores["documents"]] == [0.0] * 12
    computed = kl_to_base.BaseOutputs(
        forward.head(network), {"math": kl_to_base.given(network, documents["math"], 60)}
    )
    scores = evaluation.score_domain(network, shards, "math", options, tokenizer.decode, None, iter, computed)
    assert max(row["kl_base"] for row in scores["documents"]) < 1e-6


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
    whole = before.divergence(network, "math", longest, before.states["math"][longest] * 1.5)
    monkeypatch.setattr(losses, "LOGITS_AT_ONCE", 4 * 3 * head.weight.shape[0])
    monkeypatch.setattr(head, "forward", lambda x, f=head.forward: rows.append(len(x)) or f(x))
    again = before.divergence(network, "math", longest, before.states["math"][longest] * 1.5)
    assert (
        again == pytest.approx(whole, rel=1e-10)
        and max(rows) == 3
        and len(before.states["math"][longest]) > 3
    )
