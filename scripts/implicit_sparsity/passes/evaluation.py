"""One domain's scores of one checkpoint, as a JSON in lm-eval's shape with ours under ``study``.

Metrics: ``loss`` (mean over documents of nats per completion token), ``acc`` (the right choice has the
largest log-likelihood), ``acc_norm`` (the largest per token), ``exact_match`` (number after ``####``),
``exact_match_flexible`` (last number), ``format_failure`` (no number after ``####``), ``kl_base`` (mean over
documents of KL(base || tuned) in nats per completion token; 0 of the base model by definition). The document
is the unit of every mean and standard error, and ``documents`` has its own values.
"""

import math
from pathlib import Path

import numpy as np
from tokenizers import Tokenizer

from implicit_sparsity.models.batching import sorted_batches

from . import scoring

VERSION = 2  # of the definitions above
HIGHER_IS_BETTER = {
    "loss": False,
    "acc": True,
    "acc_norm": True,
    "exact_match": True,
    "exact_match_flexible": True,
    "format_failure": False,
    "kl_base": False,
}


def scored_documents(tokens, options: dict) -> list:
    """The documents of the eval split that are scored."""
    split = tokens.split("eval")
    return [split[i] for i in range(min(options["documents"], len(split)))]


def score_domain(
    model, tokens, domain: str, options: dict, decode, stop: int | None, progress=iter, base_outputs=None
) -> dict:
    """{metrics: {name: {value, stderr, n, higher_is_better}}, documents: [one dict each]} on the eval split.

    ``options`` as in the config's ``evals``; ``decode`` turns ids into text; generation runs where
    ``generate`` names the domain. base_outputs: ``kl_to_base.BaseOutputs`` with this domain; None: this is
    base.
    """
    documents = scored_documents(tokens, options)
    rows = [{name: document.meta[name] for name in ("id", "group", "source")} for document in documents]
    see = _watch(model, base_outputs, domain, rows)
    _likelihoods(model, documents, rows, options, progress, see)
    if domain in options["generate"]:
        _answers(model, documents, rows, options, decode, stop, progress)
    return {"metrics": summarise(rows), "documents": rows}


def _watch(model, base_outputs, domain, rows):
    """What is done with the states of each sequence: those of the documents are compared with base's."""

    def see(i, states):
        if i < len(rows) and len(states):
            rows[i]["kl_base"] = base_outputs.divergence(model, domain, i, states) if base_outputs else 0.0

    return see


def _likelihoods(model, documents, rows, options, progress, see):
    """Loss of every document, and of every choice of the first that have choices, in one pass of sorted
    batches."""
    asked = [i for i, document in enumerate(documents) if document.meta.get("choices")][
        : options["choice_items"]
    ]
    sequences = [scoring.Sequence(document.ids, document.prompt) for document in documents]
    spans = {}
    for i in asked:
        choices = scoring.choice_sequences(documents[i])
        spans[i] = slice(len(sequences), len(sequences) + len(choices))
        sequences += choices
    nats = scoring.log_likelihoods(model, sequences, options["batch_tokens"], progress, see)
    for row, (total, count) in zip(rows, nats):
        row |= {"loss": -total / max(count, 1), "tokens": int(count)}
    for i, span in spans.items():
        total, count = nats[span].T
        correct = documents[i].meta["correct"]
        rows[i] |= {
            "acc": int(np.argmax(total) == correct),
            "acc_norm": int(np.argmax(total / count) == correct),
        }


def _answers(model, documents, rows, options, decode, stop, progress):
    asked = [i for i, document in enumerate(documents) if scoring.is_number(document.meta.get("answer"))]
    asked = asked[: options["generation_items"]]
    if not asked:
        return
    new = options["max_new_tokens"]
    lengths = [int(documents[i].prompt.sum()) + new for i in asked]
    texts = {}
    for batch in progress(sorted_batches(lengths, options["batch_tokens"])):
        answers = scoring.generate(model, [documents[asked[j]] for j in batch], new, stop)
        texts |= dict(zip([asked[j] for j in batch], map(decode, answers), strict=True))
    for i, text in sorted(texts.items()):
        answer, strict = documents[i].meta["answer"], scoring.extract_number(text)
        rows[i] |= {
            "exact_match": int(scoring.same_number(strict, answer)),
            "exact_match_flexible": int(
                scoring.same_number(scoring.extract_number(text, strict=False), answer)
            ),
            "format_failure": int(strict is None),
            "generated": text,
        }


def summarise(rows: list[dict]) -> dict:
    """Mean, standard error of the mean and n over the documents that have each metric."""
    metrics = {}
    for name, higher in HIGHER_IS_BETTER.items():
        values = np.array([row[name] for row in rows if name in row], dtype=np.float64)
        if len(values):
            stderr = values.std(ddof=1) / math.sqrt(len(values)) if len(values) > 1 else None
            metrics[name] = {
                "value": float(values.mean()),
                "stderr": None if stderr is None else float(stderr),
                "n": len(values),
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


def stop_token(tokens, tokenizer) -> int | None:
    """The token that ends a completion in the template: the first of ``after``; None for bare text."""
    after = tokens.index["template"]["after"]
    ids = tokenizer.encode(after, add_special_tokens=False).ids if after else []
    return ids[0] if ids else None


def tokenizer_of(model_folder):
    return Tokenizer.from_file(str(Path(model_folder) / "tokenizer.json"))
