"""Scores against the same computed one document at a time from plain logits."""

import networks
import numpy as np
import pytest
import torch

from implicit_sparsity.corpora.tokens import Tokens
from implicit_sparsity.models import forward, loading
from implicit_sparsity.passes import evaluation, scoring

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
