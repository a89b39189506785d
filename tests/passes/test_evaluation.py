"""Scores against the same computed one document at a time from plain logits."""

from types import SimpleNamespace

import networks
import numpy as np
import pytest
import torch

from implicit_sparsity.corpora.tokens import CONTENT, FIRST, SCORED, Document, Tokens
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


def by_hand(model, ids, counted):
    """Nats of the tokens that count, added up."""
    return float(networks.token_nats(model, ids)[counted].sum())


@pytest.fixture(scope="module", params=["dense", "mixture"])
def scored(request, nano):
    folder, tokens = nano(request.param)
    model, shards, tokenizer = loading.load(folder), Tokens(tokens["math"]), evaluation.tokenizer_of(folder)
    stop = evaluation.stop_token(shards, tokenizer)
    assert tokenizer.id_to_token(stop) == networks.TEMPLATE["after"]
    scores = evaluation.score_domain(model, shards, "math", OPTIONS, tokenizer.decode, stop)
    return model, shards.split("eval"), tokenizer, stop, scores


def tokens_of(document) -> dict:
    """Which tokens of a document are of each part, from its ids and the template alone."""
    end, start = len(document.ids) - 1, int(document.prompt.sum())
    assert document.ids[end] not in document.ids[start:end], "the stop token comes once, last"
    places = np.arange(len(document.ids))
    parts = {"first": places == start, "content": (places > start) & (places < end), "stop": places == end}
    return parts | {"completion": places >= start}


def documents_of(*groups):
    """Documents of a prompt token, so many completion tokens (content: all but the first) and choices."""
    result = []
    for i, (group, content, choices) in enumerate(groups):
        prompt = np.arange(content + 2) < 1
        meta = {"group": group, "id": i, "choices": choices}
        result.append(Document(np.arange(content + 2), prompt, meta))
    return SimpleNamespace(split=lambda _: result)


def test_scored_documents_are_of_as_many_groups_as_there_can_be_and_have_content():
    alike = documents_of(*((group, 9, []) for group in "aaabbac"))
    mixed = documents_of(*((group, 9 if i % 2 else 1, []) for i, group in enumerate("aaabbac")))
    for shards, count, ids in (
        (alike, 2, [0, 3]),
        (alike, 3, [0, 3, 6]),
        (alike, 5, [0, 3, 6, 1, 4]),
        (alike, 99, [0, 3, 6, 1, 4, 2, 5]),
        (mixed, 3, [1, 3, 5]),
        (mixed, 99, [1, 3, 5, 0, 4, 6, 2]),
    ):
        chosen = evaluation.scored_documents(shards, {"documents": count})
        assert [document.meta["id"] for document in chosen] == ids


def test_where_few_of_the_scored_documents_have_choices_others_are_asked():
    shards = documents_of(("a", 9, []), ("b", 1, ["x", "y"]), ("c", 9, ["x", "y"]), ("b", 1, ["x", "y"]))
    scored = evaluation.scored_documents(shards, {"documents": 2})
    for count, ids in ((1, []), (2, [1]), (9, [1, 3])):
        asked = evaluation.also_asked(shards, {"choice_items": count}, scored)
        assert [document.meta["id"] for document in asked] == ids


def test_losses_of_the_parts_are_those_of_plain_logits(scored):
    model, split, _, _, scores = scored
    assert len(scores["documents"]) == 12
    for document, row in zip(split, scores["documents"], strict=False):
        for part, counted in tokens_of(document).items():
            expected = by_hand(model, document.ids, counted) / counted.sum()
            assert row[f"loss_{part}"] == pytest.approx(expected, rel=1e-4), part
            assert row["tokens" if part == "completion" else f"tokens_{part}"] == counted.sum()
        assert row["tokens_first"] == row["tokens_stop"] == 1
    for part in ("content", "first", "stop", "completion"):
        values, metric = (
            [row[f"loss_{part}"] for row in scores["documents"]],
            scores["metrics"][f"loss_{part}"],
        )
        assert metric["value"] == pytest.approx(np.mean(values))
        assert metric["n"] == metric["groups"] == 12  # a group each
        assert metric["stderr"] == pytest.approx(np.std(values, ddof=1) / np.sqrt(12))


def test_parts_add_up_to_the_completion(nano, float64):
    """In float64, against the model's own logits: of documents with a stop token, cut before it, of one
    token, and of bare text, whose first token nothing predicts."""
    folder, tokens = nano("dense")
    model, split = loading.load(folder), Tokens(tokens["math"]).split("eval")
    whole, meta = split[0], split[0].meta
    start = int(whole.prompt.sum())
    without = {name: value for name, value in meta.items() if name != "choices"}
    cut = Document(whole.ids[:-1], whole.prompt[:-1], without | {"stop": 0})
    short = Document(
        np.append(whole.ids[: start + 1], whole.ids[-1]), np.arange(start + 2) < start, without | {"stop": 1}
    )
    empty = Document(
        np.append(whole.ids[:start], whole.ids[-1]), np.arange(start + 1) < start, without | {"stop": 1}
    )
    bare = Document(whole.ids, np.zeros(len(whole.ids), bool), without | {"stop": 0})
    documents = [whole, cut, bare, short, empty]
    options = OPTIONS | {"generate": [], "documents": 5}
    shards = SimpleNamespace(split=lambda name: documents)
    scores = evaluation.score_domain(model, shards, "math", options, None, None)
    n, missing = len(whole.ids) - start, []
    for row, document in zip(scores["documents"], documents, strict=True):
        sums = [row[f"tokens_{part}"] * row.get(f"loss_{part}", 0) for part in SCORED]
        counts = [row[f"tokens_{part}"] for part in SCORED]
        whole_sum = by_hand(model, document.ids, ~document.prompt)
        assert sum(sums) == pytest.approx(row["tokens"] * row["loss_completion"], rel=1e-12)
        assert sum(sums) == pytest.approx(whole_sum, rel=1e-9) and sum(counts) == row["tokens"]
        missing.append([part for part, count in zip(SCORED, counts) if not count])
        assert [f"loss_{part}" in row for part in SCORED] == [count > 0 for count in counts]
    assert missing == [[], ["stop"], ["first", "stop"], ["content"], ["content", "first"]]
    assert [row["tokens"] for row in scores["documents"]] == [n, n - 1, len(whole.ids) - 1, 2, 1]
    expected = {"loss_content": 3, "loss_first": 3, "loss_stop": 3, "loss_completion": 5}
    assert {name: scores["metrics"][name]["n"] for name in expected} == expected


def test_the_error_of_a_score_is_over_groups():
    """Four groups, within which documents agree: as if there were four documents."""
    values = np.array([1.0, 2.0, 4.0, 7.0])
    rows = [{"group": f"g{g}", "loss_content": value} for g, value in enumerate(values) for _ in range(5)]
    metric = evaluation.summarise([*rows, {"group": "h", "acc": 1}])["loss_content"]
    assert (metric["n"], metric["groups"], metric["value"]) == (20, 4, pytest.approx(3.5))
    assert metric["stderr"] == pytest.approx(np.std(values, ddof=1) / 2)
    assert evaluation.summarise(rows[:5])["loss_content"]["stderr"] is None  # one group says nothing


def test_choice_is_the_likeliest_text(scored):
    model, split, _, stop, scores = scored
    for i, row in enumerate(scores["documents"]):
        assert ("acc" in row) == (i < OPTIONS["choice_items"])
        if "acc" in row:
            prompt = split[i].ids[split[i].prompt]
            sums, lengths = [], []
            for choice in split[i].meta["choices"]:
                assert stop not in choice
                counted = np.arange(len(prompt) + len(choice)) >= len(prompt)
                sums.append(by_hand(model, np.concatenate([prompt, choice]), counted))
                lengths.append(len(choice))
            assert row["acc"] == int(np.argmin(sums) == split[i].meta["correct"])
            assert row["acc_norm"] == int(np.argmin(np.divide(sums, lengths)) == split[i].meta["correct"])


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


def test_a_document_is_the_choice_that_it_ends_in(scored):
    """The right choice here is the document's own completion, without the stop token."""
    model, split, *_ = scored
    document = split[0]
    choices = scoring.choice_documents(document)
    assert choices[0] is document and len(choices) == 3
    text = [CONTENT, FIRST]
    nats, counts = (values[:, text].sum(axis=1) for values in scoring.part_nats(model, choices, 10_000))
    alone = Document(document.ids[:-1], document.prompt[:-1], {})
    assert nats[0] == pytest.approx(scoring.part_nats(model, [alone], 100)[0][0, text].sum(), rel=1e-5)
    assert counts.tolist() == [len(choice) for choice in document.meta["choices"]]


def test_what_is_scored_twice_is_computed_once(scored, monkeypatch):
    """12 documents, and of five of them the two choices of three that they do not end in."""
    model, split, tokenizer, _, scores = scored
    rows, run = [], forward.hidden_states

    def counted(model, ids, mask):
        rows.append(len(ids))
        return run(model, ids, mask)

    monkeypatch.setattr(forward, "hidden_states", counted)
    shards, options = SimpleNamespace(split=lambda name: split), OPTIONS | {"generate": []}
    again = evaluation.score_domain(model, shards, "math", options, tokenizer.decode, None)
    assert sum(rows) == 12 + 5 * 2
    for name in ("loss_content", "acc", "acc_norm"):
        assert again["metrics"][name] == scores["metrics"][name]


def test_baselines_of_choices_are_scores_of_the_base_model_alone(scored):
    model, split, tokenizer, _, scores = scored
    asked = [row for row in scores["documents"] if "acc" in row]
    for document, row in zip(split, asked, strict=False):
        for rule in ("chance", "overlap", "longest"):
            assert row[f"acc_{rule}"] == document.meta["baselines"][rule]
    assert scores["metrics"]["acc_chance"]["value"] == pytest.approx(1 / 3)
    assert scores["metrics"]["acc_longest"] == scores["metrics"]["acc_longest"] | {"value": 1.0, "n": 5}
    documents = [split[i] for i in range(12)]
    past = kl_to_base.BaseOutputs(forward.head(model), {"math": kl_to_base.given(model, documents, 100)})
    shards, options = SimpleNamespace(split=lambda name: split), OPTIONS | {"generate": []}
    tuned = evaluation.score_domain(
        model, shards, "math", options, tokenizer.decode, None, base_outputs=past
    )["metrics"]
    assert "acc" in tuned and not {"acc_chance", "acc_overlap", "acc_longest"} & set(tuned)


def test_cut_answers_are_counted_and_match_nothing(scored, caplog):
    """Six tokens are no room for the right answers: said in the log and in the record."""
    model, split, tokenizer, stop, scores = scored
    answered = [row for row in scores["documents"] if "generated" in row]
    assert len(answered) == 4
    for row in answered:
        parts = [row[name] for name in ("exact_match", "format_failure", "answer_cut")]
        assert sum(parts) in (0, 1), "a cut answer is no format failure too"
        assert row["exact_match_flexible"] <= 1 - row["answer_cut"]
    assert any(row["answer_cut"] for row in answered)
    gold = [int((~split[i].prompt).sum()) for i in range(4)]
    assert scores["answer_room"] == {"max_new_tokens": 6, "longest_gold_answer": max(gold), "items": 4}
    shards = SimpleNamespace(split=lambda name: split)
    for room, warned in ((6, True), (max(gold), False)):
        caplog.clear()
        evaluation.score_domain(
            model, shards, "math", OPTIONS | {"max_new_tokens": room}, tokenizer.decode, stop
        )
        assert warned == any("evals.max_new_tokens is" in text for text in caplog.messages)


def test_an_answer_is_cut_where_its_stop_token_never_came(scored):
    """Whatever token is taken for the stop token: the same answers, cut before it, or not ended."""
    model, split, _, _, _ = scored
    documents = [split[i] for i in range(4)]
    whole = scoring.generate(model, documents, 6, None)
    assert all(cut and len(ids) == 6 for ids, cut in whole)
    stop = int(whole[0][0][3])
    for (ids, _), (again, cut) in zip(whole, scoring.generate(model, documents, 6, stop), strict=True):
        assert cut == (stop not in ids)
        assert again.tolist() == (ids if cut else ids[: ids.tolist().index(stop)]).tolist()


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
    content = scored[-1]["metrics"]["loss_content"]["value"]
    assert record["results"]["math"]["loss_content,none"] == content
    assert record["higher_is_better"]["math"] == {
        "loss_content": False,
        "loss_first": False,
        "loss_stop": False,
        "loss_completion": False,
        "acc": True,
        "acc_norm": True,
        "acc_chance": True,
        "acc_overlap": True,
        "acc_longest": True,
        "exact_match": True,
        "exact_match_flexible": True,
        "format_failure": False,
        "answer_cut": False,
        "kl_content": False,
        "kl_completion": False,
    }
    json.dumps(record, allow_nan=False)
