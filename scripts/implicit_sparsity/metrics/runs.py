"""Evaluation files -> scores of every document, arranged as runs: JSON in, NumPy out.

Shapes: T stages and domains in the order trained, D_j documents of domain j.
"""

import json
from dataclasses import dataclass, field

import numpy as np

from implicit_sparsity.errors import InputError

IDENTITY = ("model", "method", "order", "seed", "stage", "domain")


@dataclass
class Evaluated:
    """What the evaluations of one model hold: scores by (method, order, seed, stage, domain)."""

    scores: dict = field(default_factory=dict)  # -> {score: float64 [documents], NaN where it has none}
    better: dict = field(default_factory=dict)  # score -> whether higher is better
    ids: dict = field(default_factory=dict)  # domain -> ids of its documents, the same in every evaluation
    groups: dict = field(default_factory=dict)  # domain -> the group of each of these documents

    def base(self, domains, score):
        """T arrays [D_j] of the base model; None where a domain has no document with this score."""
        by_domain = [self.scores.get(("base", "", None, 0, domain), {}).get(score) for domain in domains]
        if any(values is None or np.isnan(values).all() for values in by_domain):
            return None
        return [values[np.isfinite(values)] for values in by_domain]

    def groups_of(self, domains, score) -> list:
        """T arrays [D_j]: the group of each document that base has this score of."""
        known = [np.isfinite(self.scores["base", "", None, 0, domain][score]) for domain in domains]
        return [np.array(self.groups[domain])[here] for domain, here in zip(domains, known, strict=True)]

    def run(self, method, order, seed, domains, score):
        """T arrays [T, D_j] of the documents that base has; NaN where a stage was not evaluated."""
        result = []
        for domain in domains:
            known = np.isfinite(self.scores["base", "", None, 0, domain][score])
            rows = [
                self.scores.get((method, order, seed, stage, domain), {}).get(
                    score, np.full(len(known), np.nan)
                )
                for stage in range(1, len(domains) + 1)
            ]
            result.append(np.stack(rows)[:, known])
        return result

    def seeds(self, method, order) -> list:
        return sorted({key[2] for key in self.scores if key[:2] == (method, order)})


def read(evals, scores) -> dict:
    """model -> Evaluated, with these scores of every document. InputError: no evaluation, or one of other
    documents than the same model's first on that domain."""
    result: dict = {}
    for path in evals:
        study, documents, groups = _study(path)
        model = result.setdefault(study["model"], Evaluated())
        key = tuple(study[name] for name in IDENTITY[1:])
        ids = tuple(document.get("id") for document in documents)
        if model.ids.setdefault(study["domain"], ids) != ids:
            raise InputError(f"an evaluation on other documents of {study['domain']} than others", path=path)
        model.groups[study["domain"]] = groups
        model.better |= {name: entry["higher_is_better"] for name, entry in study["metrics"].items()}
        model.scores[key] = {
            score: np.array([document.get(score, np.nan) for document in documents], np.float64)
            for score in scores
            if any(score in document for document in documents)
        }
    return result


def _study(path):
    try:
        with open(path, encoding="utf-8") as file:
            study = json.load(file)["study"]
        documents = study["documents"]
        groups = [document["group"] for document in documents]
        return {name: study[name] for name in (*IDENTITY, "metrics")}, documents, groups
    except (OSError, ValueError) as error:
        raise InputError(f"not an evaluation in JSON ({error})", path=path) from error
    except (KeyError, TypeError) as error:
        raise InputError(f"not an evaluation of documents (no {error})", path=path) from error
