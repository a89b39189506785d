"""One domain's scores of one checkpoint, as a JSON in lm-eval's shape with ours under ``study``.

Losses are in nats per token of a part of the completion: ``loss_content`` (all but its first token and the
stop tokens), ``loss_first``, ``loss_stop``, and ``loss_completion`` (all three). Each is a mean over the
documents that have such a token. Where one has them all, sum_p tokens_p loss_p = tokens loss_completion.
``kl_content``, ``kl_completion``: KL(base || tuned) in nats per such token; 0 of the base model by
definition. ``acc`` (the right choice has the largest log-likelihood) and ``acc_norm`` (the largest per token)
are of the choices' texts, without stop tokens. Of the base model also ``acc_chance``, ``acc_overlap`` and
``acc_longest``: what the same questions give who does not read them (``corpora.choice_baselines``).

Of generated answers: ``answer_cut`` (no end of the template within ``max_new_tokens``), ``exact_match``
(number after ``####``), ``exact_match_flexible`` (last number), ``format_failure`` (ended, and no number
after ``####``). A cut answer is not parsed: it matches nothing and is no format failure, so that right,
wrong, badly formed and cut add up to 1. The document is the unit of every mean, its group that of every
standard error (``metrics.clusters``), and ``documents`` has every document's own values.
"""

import logging
from pathlib import Path

import numpy as np

from implicit_sparsity.corpora import tokenizer
from implicit_sparsity.corpora.tokens import CONTENT, FIRST, LOSSES, SCORED
from implicit_sparsity.metrics.clusters import clustered_mean
from implicit_sparsity.models.batching import label_parts, sorted_batches
from implicit_sparsity.models.losses import by_part

from . import document_groups, ending, scoring

log = logging.getLogger(__name__)

VERSION = 4  # of the definitions above
HIGHER_IS_BETTER = {
    **{f"loss_{part}": False for part in LOSSES},
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


def scored_documents(tokens, options: dict) -> list:
    """The documents of the eval split whose losses are taken: of as many groups as there can be, those that
    have some content first."""
    return document_groups.by_content(tokens.split("eval"))[: options["documents"]]


def also_asked(tokens, options: dict, scored: list) -> list:
    """Documents of the eval split whose choices are scored beside those of ``scored``, where these are too
    few: the others, in turn from their groups."""
    known = {document.meta["id"] for document in scored}
    missing = options["choice_items"] - sum(bool(document.meta.get("choices")) for document in scored)
    others = [document for document in tokens.split("eval") if document.meta["id"] not in known]
    able = [document for document in document_groups.in_turn(others) if document.meta.get("choices")]
    return able[: max(0, missing)]


def score_domain(
    model, tokens, domain: str, options: dict, decode, stop, progress=iter, base_outputs=None
) -> dict:
    """{metrics: {name: {value, stderr, n, groups, higher_is_better}}, documents: [one dict each]} on the eval
    split, and ``answer_room`` where answers are generated.

    ``options`` as in the config's ``evals``; ``decode`` turns ids into text, ``stop`` (of ``stop_token``)
    ends an answer; generation runs where ``generate`` names the domain. base_outputs:
    ``kl_to_base.BaseOutputs`` with this domain; None: this is base.
    """
    documents = scored_documents(tokens, options)
    both = documents + also_asked(tokens, options, documents)
    rows = [{name: document.meta[name] for name in ("id", "group", "source")} for document in both]
    see = _watch(model, base_outputs, domain, documents, rows)
    asked = _likelihoods(model, both, len(documents), rows, options, progress, see)
    if base_outputs is None:
        for i in asked:
            rows[i] |= {f"acc_{rule}": hit for rule, hit in both[i].meta["baselines"].items()}
    room = {}
    if domain in options["generate"]:
        room = _answers(model, documents, rows, domain, options, decode, stop, progress)
    return {"metrics": summarise(rows), "documents": rows} | room


def _watch(model, base_outputs, domain, documents, rows):
    """What is done with the states of each sequence: those of the documents are compared with base's."""

    def see(i, states):
        if i < len(documents) and len(states):
            counted = {"completion": slice(None), "content": label_parts([documents[i]]) == CONTENT}
            nats = np.zeros(len(states))
            if base_outputs:
                nats = base_outputs.divergences(model, domain, i, states)
            rows[i] |= {f"kl_{part}": float(nats[c].mean()) for part, c in counted.items() if len(nats[c])}

    return see


def _likelihoods(model, documents, with_loss: int, rows, options, progress, see) -> list[int]:
    """Losses of the first ``with_loss`` documents, and what is chosen in the first ``choice_items`` that have
    choices, in one pass of sorted batches; returns the places of the latter."""
    asked = [i for i, document in enumerate(documents) if document.meta.get("choices")]
    asked = asked[: options["choice_items"]]
    sequences, places = list(documents), {}
    for i in asked:
        places[i] = []
        for other in scoring.choice_documents(documents[i]):
            places[i].append(i if other is documents[i] else len(sequences))
            sequences += [] if other is documents[i] else [other]
    nats, counts = scoring.part_nats(model, sequences, options["batch_tokens"], progress, see)
    for row, total, count in zip(rows[:with_loss], nats, counts):
        row["tokens"] = int(count.sum())
        row |= {f"tokens_{part}": int(count[number]) for part, number in SCORED.items()}
        row |= by_part(total, count)
    for i, place in places.items():
        total, count = (values[place][:, [CONTENT, FIRST]].sum(axis=1) for values in (nats, counts))
        correct = documents[i].meta["correct"]
        rows[i] |= {
            "acc": int(np.argmin(total) == correct),
            "acc_norm": int(np.argmin(total / count) == correct),
        }
    return asked


def _answers(model, documents, rows, domain, options, decode, stop, progress) -> dict:
    """Generated answers into the rows; how much room they have, and how much the right ones take."""
    asked = [i for i, document in enumerate(documents) if scoring.is_number(document.meta.get("answer"))]
    asked = asked[: options["generation_items"]]
    if not asked:
        log.warning("%s: no scored document has a number as its answer, so none is generated", domain)
        return {}
    new = options["max_new_tokens"]
    longest = max(_answer_tokens(documents[i]) for i in asked)
    if stop is None:
        log.warning("%s: tokens.template.after is empty, so nothing ends an answer: all are cut", domain)
    if new < longest:
        log.warning(
            "%s: evals.max_new_tokens is %d, but the longest of the right answers that are asked for has %d "
            "tokens: answers are cut that might have been right",
            domain,
            new,
            longest,
        )
    lengths = [int(documents[i].prompt.sum()) + scoring.new_tokens(new, stop) for i in asked]
    for batch in progress(sorted_batches(lengths, options["batch_tokens"])):
        answers = scoring.generate(model, [documents[asked[j]] for j in batch], new, stop)
        for j, (ids, cut) in zip(batch, answers, strict=True):
            text, answer = decode(ids), documents[asked[j]].meta["answer"]
            rows[asked[j]] |= scoring.match(text, cut, answer) | {"generated": text}
    return {"answer_room": {"max_new_tokens": new, "longest_gold_answer": longest, "items": len(asked)}}


def _answer_tokens(document) -> int:
    """Tokens of the right answer, the template's end as one."""
    end = document.meta.get("stop", 0)
    return int((~document.prompt).sum()) - end + min(end, 1)


def summarise(rows: list[dict]) -> dict:
    """Mean, standard error over groups (None of a single one), n and groups of the documents that have each
    metric."""
    metrics = {}
    for name, higher in HIGHER_IS_BETTER.items():
        have = [row for row in rows if name in row]
        if have:
            mean = clustered_mean([row[name] for row in have], [row["group"] for row in have])
            metrics[name] = {
                "value": mean.value,
                "stderr": None if np.isnan(mean.se) else mean.se,
                "n": mean.n,
                "groups": mean.groups,
                "higher_is_better": higher,
            }
    return metrics


def as_lm_eval(domain: str, scores: dict, study: dict, options: dict, settings: dict) -> dict:
    """The record in the top-level shape of lm-eval's results files."""
    metrics = scores["metrics"]
    results = {"alias": domain}
    for name, metric in metrics.items():
        results |= {f"{name},none": metric["value"], f"{name}_stderr,none": _or_na(metric["stderr"])}
    n = len(scores["documents"])
    return {
        "results": {domain: results},
        "group_subtasks": {domain: []},
        "configs": {domain: {"task": domain, "output_type": "loglikelihood", "num_fewshot": 0, **options}},
        "versions": {domain: VERSION},
        "n-shot": {domain: 0},
        "higher_is_better": {domain: {name: metric["higher_is_better"] for name, metric in metrics.items()}},
        "n-samples": {domain: {"original": n, "effective": n}},
        **settings,
        "study": study | scores,
    }


def _or_na(value):
    return "N/A" if value is None else value


def stop_token(tokens, tokenizer):
    """What ends an answer in the template: the control token that ``after`` is, an ``ending.Ending`` where it
    is another text; None for bare text."""
    return ending.of_template(tokens.index["stop_ids"], tokenizer, tokens.index["special_ids"])


def tokenizer_of(model_folder):
    """The model's tokenizer in its known state, which recognises control tokens."""
    return tokenizer.load(Path(model_folder) / "tokenizer.json").template
