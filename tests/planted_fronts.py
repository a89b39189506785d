"""Losses of documents after every stage of runs whose learned gain and forgetting are known."""

import json

import numpy as np
import pandas as pd
import planted
from compare_methods import compare_methods

from implicit_sparsity.metrics.fronts import Family
from implicit_sparsity.storage.tables import write_table


def documents(rng, sizes=(24, 24, 24)):
    """Per domain: base losses, and how far each document is learned and forgotten beyond the mean."""
    rng = np.random.default_rng(rng)
    return [(3 + 0.5 * rng.normal(size=n), rng.normal(size=n), rng.normal(size=n)) for n in sizes]


def clustered_documents(rng, names, correlation=0.9):
    """The same, documents of a group as correlated as that; names: of each domain its documents' groups."""
    make = planted.clustered
    return [(3 + 0.5 * make(rng, g, correlation), *(make(rng, g, correlation) for _ in "ab")) for g in names]


def own(rng, documents, names, correlation=0.9):
    """The documents for one method: where they come in groups, what it forgets of each is its own."""
    if not names:
        return documents
    return [(*x[:2], planted.clustered(rng, g, correlation)) for x, g in zip(documents, names)]


def family(rng, documents, gains, losses, seeds=3, seed=0.02, document=0.2, cell=0.02) -> Family:
    """A family of points with these mean gains and forgetting.

    seed, document, cell: SD of what a run, a document and a (run, stage, document) add. Each domain is
    learned in its stage and forgotten by half the loss in the next, the rest at the end.
    """
    rng, T = np.random.default_rng(rng), len(documents)
    shift = seed * rng.normal(size=(2, len(gains), seeds, 1, 1))
    gains, losses = (np.asarray(x)[:, None, None, None] for x in (gains, losses))
    base, runs = [], []
    for j, (before, easy, lasting) in enumerate(documents):
        stage = np.arange(T)[:, None]
        gain = gains + shift[0] + document * easy
        lost = losses + shift[1] + document * lasting
        share = np.clip((stage - j) / max(T - 1 - j, 1), 0, 1)
        x = before - (stage >= j) * gain + share * lost
        runs.append(x + cell * rng.normal(size=x.shape))
        base.append(before)
    return Family(base, runs, -1.0)


def write_evals(folder, model, families, seeds, order="main", domains=("code", "math", "medical")):
    """Evaluation files with documents; families: {method: (Family, point)}. KL is a tenth of the gain."""
    files, first = [], next(iter(families.values()))[0]
    for j, domain in enumerate(domains):
        zeros = np.zeros_like(first.base[j])
        files.append(write_eval(folder, model, "base", "", None, 0, domain, first.base[j], zeros))
        for method, (family, point) in families.items():
            for s, seed in enumerate(seeds):
                for k in range(len(domains)):
                    loss = family.runs[j][point, s, k]
                    moved = np.maximum(0.1 * (family.base[j] - loss).mean() + zeros, 0)
                    key = model, method, order, seed, k + 1, domain
                    files.append(write_eval(folder, *key, loss, moved))
    return files


def write_eval(folder, model, method, order, seed, stage, domain, loss, moved):
    study = {"model": model, "method": method, "order": order, "seed": seed, "stage": stage, "domain": domain}
    study["metrics"] = {
        name: {
            "value": float(values.mean()),
            "stderr": 0.1,
            "n": len(values),
            "groups": len(values),
            "higher_is_better": False,
        }
        for name, values in (("loss_content", loss), ("kl_content", moved))
    }
    study["documents"] = [
        {"id": f"{domain}-{i}", "group": f"{i}", "loss_content": float(a), "kl_content": float(b)}
        for i, (a, b) in enumerate(zip(loss, moved))
    ]
    path = folder / model / f"{method}.{order}.seed{seed}.stage{stage}" / f"{domain}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"results": {}, "study": study}))
    return str(path)


def write_stages(path, models, methods, seeds, order="main", stages=3):
    """A table of stages in which the i-th method has 1000 * (i + 1) trainable parameters."""
    rows = [
        {"model": model, "method": method, "order": order, "seed": seed, "stage": stage, "domain": "x"}
        | {"audit.trainable_parameters": 1000 * (i + 1), "training.tokens": 512}
        | {"update_norm_since_base": (i + 1) * stage}
        for model in models
        for i, method in enumerate(methods)
        for seed in seeds
        for stage in range(1, stages + 1)
    ]
    write_table(path, pd.DataFrame(rows))
    return str(path)


OPTIONS = {"reference": "lora", "at": "reference", "margins": {"loss_content": 0.05}, "draws": 200}


def write_tables(out, folder, models, methods, seeds, options=OPTIONS):
    """Tables comparisons and fronts of these methods, at three learning rates where seeds are several."""
    points = (0.2, 0.4, 0.6) if len(seeds) > 1 else (0.4,)
    families, evals = {}, []
    for i, model in enumerate(models):
        rng, result = np.random.default_rng(i), {}
        texts = documents(rng)
        for m, method in enumerate(methods):
            losses = tuple((0.5 + 0.1 * m) * x**1.5 for x in points)
            made = family(rng, texts, tuple(x + 0.01 * m for x in points), losses, len(seeds))
            for p in range(len(points)):
                name = f"{method}_{p}" if len(points) > 1 else method
                result[name] = made, p
                families[name] = {"family": method, "role": "method", "of": method, "point": {"rate": p}}
        evals += write_evals(folder / "evals_of_fronts", model, result, seeds)
    stages = write_stages(folder / "stages_of_fronts.csv", models, families, seeds)
    tables = str(out / "comparisons.csv"), str(out / "fronts.csv")
    orders = {"main": ["code", "math", "medical"]}
    compare_methods(*tables, evals, stages, families, options, orders)
    return tables
