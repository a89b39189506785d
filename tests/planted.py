"""Stores, evaluations and stage folders whose contents are known by construction."""

import json

import numpy as np

from implicit_sparsity.store import write_store

DOMAINS = ("code", "math", "medical", "general")
TOKENS = 1000


def about(text="planted"):
    return {"long_name": text, "units": "1"}


def write_scores(path, scores, domain, tokens=(TOKENS, TOKENS), model="nano", checkpoint="base", **more):
    """A dense store whose mean |h| is ``scores`` [half, layer, neuron] (or [layer, neuron] twice)."""
    scores = np.broadcast_to(scores, (2, *np.shape(scores)[-2:])).astype(np.float64)
    tokens = np.asarray(tokens)
    layers, neurons = scores.shape[1:]
    sums = scores * tokens[:, None, None]
    above = np.rint(np.nan_to_num(scores).clip(0, 1) * tokens[:, None, None]).astype(np.int64)
    dims = ("half", "layer", "neuron")
    arrays = {
        "tokens": (("half",), tokens, about()),
        "sum_abs": (dims, sums, about()),
        "contribution": (dims, sums * np.arange(1, neurons + 1), about()),
        "top_count": (("half", "layer", "top_k", "neuron"), above[:, :, None, :], about()),
        "above_count": (
            ("half", "layer", "threshold", "neuron"),
            np.stack([above, above // 2], axis=2),
            about(),
        ),
        "zero_count": (("half", "layer"), (scores == 0).sum(-1) * tokens[:, None], about()),
    }
    coords = {
        "half": np.array(["a", "b"]),
        "layer": np.arange(layers),
        "top_k": np.array([0.01]),
        "threshold": np.array([0.01, 0.1]),
    }
    attrs = {"model": model, "checkpoint": checkpoint, "domain": domain, "revision": "r", "model_sha256": "s"}
    return write_store(path, arrays, coords, attrs | more)


def planted_sets(layers, neurons, k, shared, domains=DOMAINS):
    """domain -> scores [layer, neuron]: k strong neurons per domain, ``shared`` of them in every domain."""
    scores = {}
    for i, domain in enumerate(domains):
        weak = np.linspace(0.01, 0.02, neurons)
        own = range(shared + i * (k - shared), shared + (i + 1) * (k - shared))
        weak[[*range(shared), *own]] += 0.5
        scores[domain] = np.tile(weak, (layers, 1))
    return scores


def noisy_scores(rng, layers, neurons, domains=DOMAINS, spread=1.0, noise=0.25):
    """domain -> scores [half, layer, neuron] with heavy tails, shared hubs and halves that differ."""
    hubs = rng.normal(size=(layers, neurons))
    depth = np.linspace(0.4, 1.2, layers)[:, None] * spread
    return {
        domain: 0.05 * np.exp(hubs + own[None] + noise * rng.normal(size=(2, layers, neurons)))
        for domain in domains
        for own in [depth * rng.normal(size=(layers, neurons))]
    }


def write_eval(path, domain, metrics, model="nano", method="base", order="", seed=None, stage=0):
    """One evaluation file: metrics name -> (value, higher_is_better)."""
    study = {"model": model, "method": method, "order": order, "seed": seed, "stage": stage, "domain": domain}
    study["metrics"] = {
        name: {"value": value, "stderr": 0.02, "n": 24, "higher_is_better": better}
        for name, (value, better) in metrics.items()
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"results": {}, "study": study}))
    return str(path)


BASE = {"code": 2.640, "math": 1.382, "medical": 3.364, "general": 4.091}
LEARNED = {"code": 0.61, "math": 0.50, "medical": 0.68, "general": 0.55}
RETAINED = {"lora": 0.55, "activation_mask": 0.9, "orthogonal": 0.85, "replay": 0.95}


def write_evals(folder, rng, methods=("lora", "activation_mask", "orthogonal"), seeds=(0,), model="nano"):
    """Evaluations of whole chains over DOMAINS: each is learned in its stage, then partly forgotten."""

    def both(loss):
        return {"loss": (loss, False), "acc": (float(np.clip(1.05 - 0.2 * loss, 0, 1)), True)}

    files = [write_eval(folder / model / f"base.{d}.json", d, both(BASE[d]), model) for d in DOMAINS]
    for method in methods:
        for seed in seeds:
            for stage in range(1, len(DOMAINS) + 1):
                for j, domain in enumerate(DOMAINS):
                    kept = RETAINED.get(method, 0.7) ** (stage - 1 - j) if j < stage else 0.15
                    speed = 0.75 if method == "activation_mask" else 1.0
                    loss = BASE[domain] - LEARNED[domain] * kept * speed + 0.02 * rng.normal()
                    path = folder / model / f"{method}.main.seed{seed}.stage{stage}" / f"{domain}.json"
                    files.append(write_eval(path, domain, both(loss), model, method, "main", seed, stage))
    return files


def write_stage(folder, study, loss, **record):
    """One stage folder: stage.json and learning_curve.csv."""
    folder.mkdir(parents=True)
    (folder / "stage.json").write_text(json.dumps({"study": study, **record}))
    lines = ["step,loss,learning_rate,grad_norm,leak,tokens"]
    lines += [f"{i + 1},{value},0.001,1.0,,{(i + 1) * 512}" for i, value in enumerate(loss)]
    (folder / "learning_curve.csv").write_text("\n".join(lines) + "\n")
    return str(folder)


def write_stages(
    folder, rng, methods=("lora", "activation_mask", "orthogonal"), seeds=(0,), model="nano", steps=40
):
    """Stage folders of whole chains, with falling and noisy losses."""
    folders = []
    for m, method in enumerate(methods):
        for seed in seeds:
            for stage, domain in enumerate(DOMAINS, 1):
                study = {"model": model, "method": method, "order": "main", "seed": seed}
                study |= {"stage": stage, "domain": domain}
                fall = LEARNED[domain] * (1 - np.exp(-np.arange(steps) / (8 + 3 * m)))
                loss = BASE[domain] - fall + 0.12 * rng.normal(size=steps)
                path = folder / model / f"{method}.main.seed{seed}.stage{stage}"
                training = {"steps": steps, "tokens": steps * 512, "loss_last": float(loss[-1])}
                folders.append(write_stage(path, study, loss, training=training, audit={"leak_total": None}))
    return folders
