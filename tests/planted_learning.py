"""Tables of write_interference, plasticity, capacity and protection, known by construction."""

import numpy as np
import pandas as pd
from planted import DOMAINS, metadata
from probe_table import probe_table

from implicit_sparsity.measurements import functional_change, input_spectra
from implicit_sparsity.probes.write_interference import WriteInterference
from implicit_sparsity.storage.store import write_store
from implicit_sparsity.storage.tables import write_table

WIDTH, LAYERS = 24, 5
SETS = {"hubs": 0.03, "idle": 0.6, "old": 0.1, "new": 0.1}
BUDGET = {"tokens": 512}


def attrs(model, checkpoint):
    result = {"model": model, "checkpoint": checkpoint, "domain": "", "revision": "r", "model_sha256": "s"}
    return result | {"vocabulary": 1000, "hidden": 64}


def written(rng, model, methods, seeds):
    """Rows of write_interference: lora writes twice a set's share of parameters on hubs, others half of
    it.
    """
    for method in methods:
        for seed in seeds:
            for stage, domain in enumerate(DOMAINS, 1):
                for write in ("increment", "total"):
                    for name, share in SETS.items():
                        if name == "old" and stage == 1:
                            continue
                        for layer in [*range(LAYERS), -1]:
                            times = (2 if method == "lora" else 0.5) if name == "hubs" else 1
                            signal = share * times * np.exp(0.1 * rng.normal())
                            at = {"model": model, "revision": "r", "layer": layer, "write": write}
                            at |= {
                                "checkpoint": f"{method}.main.seed{seed}.stage{stage}",
                                "k": 0.1,
                                "top": 20,
                            }
                            at |= {"set": name if name in ("hubs", "idle") else "top", "n": 256, "unit": "1"}
                            at |= {"groups": 16, "trusted": True}
                            at |= {"role": name if name in ("old", "new") else "", "neurons": 200}
                            at |= {
                                "domain": domain if name in ("old", "new") else "",
                                "interval": "documents",
                            }
                            for quantity, value, reach in (
                                ("signal", signal, 0),
                                ("permuted", share, 0.2),
                                ("weights", 1.1 * share, 0),
                            ):
                                ends = {"low": (1 - reach) * value, "high": (1 + reach) * value}
                                yield at | {"quantity": quantity, "value": value} | ends


def task_store(path, rng, model, checkpoint, slower, steps=8, domains=DOMAINS, left=7):
    """A checkpoint whose losses fall from 7 by half every two steps, or ``slower`` times that; ranks fall
    with it.
    """
    fall = 7 * 0.5 ** (np.arange(steps + 1) / 2 / slower) + 0.05 * rng.normal(size=(2, 1))
    pairs = fall[:, [0, -1], None] + 0.1 * rng.normal(size=(2, 2, 6))
    learned = {"before": pairs[:, 0], "after": pairs[:, 1], "curve": fall}
    return write_task(path, learned, model, checkpoint, slower, domains, left)


def write_task(path, learned, model, checkpoint, slower=1.0, domains=DOMAINS, left=7):
    """A store of plasticity_task; ``learned``: before and after [task, pair], curve [task, step]."""
    rng, layers = np.random.default_rng(0), np.arange(LAYERS)
    rank = (10 + 3 * layers[:, None]) / slower + 0.1 * rng.normal(size=(len(domains), LAYERS, left))
    dormant = np.clip(0.02 * slower + 0.01 * rng.random((len(domains), 2, LAYERS, left)), 0, 1)
    arrays = {
        "before": (("task", "pair"), learned["before"], metadata()),
        "after": (("task", "pair"), learned["after"], metadata()),
        "curve": (("task", "step"), learned["curve"], metadata()),
        "effective_rank": (("domain", "layer", "left_out"), rank, metadata()),
        "stable_rank": (("domain", "layer", "left_out"), rank / 3, metadata()),
        "dormant_share": (("domain", "tau", "layer", "left_out"), dormant, metadata()),
        "sampled": (("domain",), np.full(len(domains), 48), metadata()),
    }
    coords = {"domain": (("domain",), np.array(domains), metadata()), "layer": layers}
    names = np.tile(np.arange(left - 1), (len(domains), 1))
    coords["group"] = (("domain", "document"), names, metadata())
    coords["tau"] = (("tau",), np.array([0.0, 0.1]), metadata())
    return str(write_store(path, arrays, coords, attrs(model, checkpoint) | {"options": {}}))


def spectra_store(path, rng, model, domains=DOMAINS):
    """A base model each of whose domains has a decaying spectrum with directions of its own."""
    scales = np.arange(1, WIDTH + 1.0) ** -0.7
    moments = {"a": {}, "b": {}}
    for half in moments.values():
        for i, domain in enumerate(domains):
            x = rng.normal(size=(LAYERS, 4, 100, WIDTH)) * np.roll(scales, 3 * i)
            half[domain] = {("ffn", layer): np.swapaxes(part, -1, -2) @ part for layer, part in enumerate(x)}
    arrays, coords = input_spectra.used(moments, {"main": list(domains)}, [0.95, 0.99])
    coords["layer"] = np.arange(LAYERS)
    return str(write_store(path, arrays, coords, attrs(model, "base") | {"options": BUDGET, "documents": 60}))


def change_store(path, rng, model, checkpoint, size, domains=DOMAINS):
    """A stage whose weights change outputs by ``size``, and keep off three quarters of what they read."""
    scale = np.array([4.0, 3.0, 1.0, 0.0, size**2])
    names = [
        f"layers.{layer}.{part}" for layer in range(LAYERS) for part in ("self_attn.q_proj", "mlp.down_proj")
    ]
    values = {key: scale * rng.uniform(0.8, 1.2, size=(12, len(names), 5)) for key in splits(domains)}
    return write_change(path, values, names, names, model, checkpoint)


def splits(domains) -> list:
    """(domain, split) that a store of functional_change has after a stage; the last domain is new."""
    old = [(domain, split) for domain in domains[:-1] for split in ("select", "held_out")]
    return [*old, (domains[-1], "held_out")]


def write_change(path, values, names, protected, model, checkpoint, groups=None):
    """A store of functional_change; ``values``: (domain, split) -> sums [document, weight, quantity].

    names: of the weights; protected: of those with a promise. groups: of the documents of every split.
    """
    owners = {key: groups or list(map(str, range(len(part)))) for key, part in values.items()}
    domains = list(dict.fromkeys(domain for domain, _ in values))
    arrays, coords = functional_change.as_store(values, owners, names, domains)
    roles = {"old": domains[:-1], "new": domains[-1], "protected": protected}
    return str(write_store(path, arrays, coords, attrs(model, checkpoint) | {"options": {}} | roles))


def write_tables(out, stores, rng, models, methods, seeds):
    """The four tables of these models in ``out``; stores go to ``stores``."""
    rows = [row for model in models for row in written(rng, model, methods, seeds)]
    columns = ["model", "revision", "checkpoint", *WriteInterference.COLUMNS]
    write_table(out / "write_interference.csv", pd.DataFrame(rows, columns=columns))
    tasks, spectra = [], []
    for model in models:
        spectra.append(spectra_store(stores / f"{model}.spectra.zarr", rng, model))
        runs = {"base": 1.0} | {f"{m}.main.seed{s}.stage4": 1.5 for m in methods for s in seeds}
        for checkpoint, slower in runs.items():
            path = stores / f"{model}.{checkpoint}.task.zarr"
            tasks.append(task_store(path, rng, model, checkpoint, slower))
    bases = [path for path in tasks if ".base." in path]
    probe_table(
        str(out / "plasticity.csv"), probe="plasticity", plasticity_task=tasks, plasticity_task_base=bases
    )
    probe_table(str(out / "capacity.csv"), probe="capacity", input_spectra=spectra)
    changed = [
        change_store(
            stores / f"{model}.{method}.{seed}.change.zarr",
            rng,
            model,
            f"{method}.main.seed{seed}.stage4",
            0.002 * (1 + place),
        )
        for model in models
        for place, method in enumerate(methods)
        for seed in seeds
    ]
    probe_table(str(out / "protection.csv"), probe="protection", functional_change=changed)
