"""Stores, evaluations and stage folders whose contents are known by construction."""

import json

import numpy as np
import pandas as pd

from implicit_sparsity.storage.store import write_store

DOMAINS = ("code", "math", "medical", "general")
TOKENS = 1000
PAIR = ["domain_a", "source_a", "domain_b", "source_b"]  # columns that say what is compared


def metadata(text="planted"):
    return {"long_name": text, "units": "1"}


def one(table, **keys) -> dict:
    """The one row of a table, or of a list of rows, that has these values; "" is an empty cell, too."""
    table = pd.DataFrame(table)
    for name, value in keys.items():
        table = table[(table[name] == value) | (table[name].isna() & (value == ""))]
    assert len(table) == 1, table
    return table.iloc[0].to_dict()


def clustered(rng, groups, correlation, columns=()):
    """Values of documents, [n, *columns], standard normal, those of one group as correlated as that.

    groups: [n] names.
    """
    place = np.unique(groups, return_inverse=True)[1]
    if place.max() + 1 == len(place):  # a group of one shares its part with none
        return rng.standard_normal((len(place), *columns))
    shared, own = (rng.standard_normal((n, *columns)) for n in (place.max() + 1, len(place)))
    return np.sqrt(correlation) * shared[place] + np.sqrt(1 - correlation) * own


def _groups(scores, tokens):
    """What documents of these scores, each [half, layer, neuron], and equally many tokens add, with noise."""
    rng, scores = np.random.default_rng(0), np.stack(scores, axis=1)
    groups, layers, neurons = scores.shape[1:]
    noise = rng.lognormal(0, 0.3, scores.shape)
    sums = scores * noise / noise.mean(1, keepdims=True) * (tokens / groups)[:, None, None, None]
    each = np.repeat((tokens // groups)[:, None], groups, axis=1)
    sampled = np.full((2, groups, layers), 20 * neurons)
    return {
        "documents": (("half",), np.array([groups, groups]), metadata()),
        "document_groups": (("half",), np.array([groups, groups]), metadata()),
        "group_tokens": (("half", "group"), each, metadata()),
        "group_documents": (("half", "group"), np.ones_like(each), metadata()),
        "group_sum_abs": (("half", "group", "layer", "neuron"), sums.astype(np.float32), metadata()),
        "group_sampled": (("half", "group", "layer"), sampled, metadata()),
        "group_zero": (("half", "group", "layer"), rng.binomial(sampled, 0.1), metadata()),
        "group_above": (
            ("half", "group", "layer", "threshold"),
            rng.binomial(sampled[..., None], [0.5, 0.25]),
            metadata(),
        ),
    }


def write_scores(
    path, scores, domain, tokens=(TOKENS, TOKENS), model="nano", checkpoint="base", groups=0, **more
):
    """A dense store whose mean |h| is ``scores`` [half, layer, neuron] (or [layer, neuron] twice), of
    ``groups`` documents a half; or (source, scores) of each of these documents."""
    names, each = None, None
    if isinstance(scores, list):
        names, each = zip(*scores)
        groups, scores = len(names), np.mean(each, axis=0)
    scores = np.broadcast_to(scores, (2, *np.shape(scores)[-2:])).astype(np.float64)
    tokens = np.asarray(tokens)
    layers, neurons = scores.shape[1:]
    sums = scores * tokens[:, None, None]
    above = np.rint(np.nan_to_num(scores).clip(0, 1) * tokens[:, None, None]).astype(np.int64)
    dims = ("half", "layer", "neuron")
    arrays = {
        "tokens": (("half",), tokens, metadata()),
        "sum_abs": (dims, sums, metadata()),
        "contribution": (dims, sums * np.arange(1, neurons + 1), metadata()),
        "top_count": (("half", "layer", "top_k", "neuron"), above[:, :, None, :], metadata()),
        "above_count": (
            ("half", "layer", "threshold", "neuron"),
            np.stack([above, above // 2], axis=2),
            metadata(),
        ),
        "zero_count": (("half", "layer"), (scores == 0).sum(-1) * tokens[:, None], metadata()),
    }
    if groups:
        arrays |= _groups([np.broadcast_to(x, scores.shape) for x in each or [scores] * groups], tokens)
    coords = {
        "half": np.array(["a", "b"]),
        "layer": np.arange(layers),
        "top_k": np.array([0.01]),
        "threshold": np.array([0.01, 0.1]),
    }
    if names:
        coords["source"] = (("half", "group"), np.array([names, names]), metadata())
    attrs = {"model": model, "checkpoint": checkpoint, "domain": domain, "revision": "r", "model_sha256": "s"}
    return write_store(path, arrays, coords, attrs | more)


def write_routing(path, counts, domain, active=1, model="moe", weights=None, **more):
    """A mixture's store of what routing needs: ``counts`` [half, layer, expert] of routed tokens."""
    counts = np.asarray(counts)
    dims = ("half", "layer", "expert_id")
    arrays = {
        "tokens": (("half",), counts[:, 0].sum(-1) // active, metadata()),
        "routed_tokens": (dims, counts, metadata()),
        "routed_weight": (dims, counts / active if weights is None else weights, metadata()),
    }
    coords = {"half": np.array(["a", "b"]), "layer": np.arange(counts.shape[1])}
    coords["expert_id"] = np.arange(counts.shape[2])
    attrs = {"model": model, "checkpoint": "base", "domain": domain, "revision": "scratch-1"}
    return write_store(path, arrays, coords, attrs | {"model_sha256": "s"} | more)


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
        name: {"value": value, "stderr": 0.02, "n": 24, "groups": 12, "higher_is_better": better}
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
        return {"loss_content": (loss, False), "acc": (float(np.clip(1.05 - 0.2 * loss, 0, 1)), True)}

    files = [write_eval(folder / model / f"base.{d}.json", d, both(BASE[d]), model) for d in DOMAINS]
    for method in methods:
        for seed in seeds:
            for stage in range(1, len(DOMAINS) + 1):
                for j, domain in enumerate(DOMAINS):
                    retained = RETAINED.get(method, 0.7) ** (stage - 1 - j) if j < stage else 0.15
                    speed = 0.75 if method == "activation_mask" else 1.0
                    loss = BASE[domain] - LEARNED[domain] * retained * speed + 0.02 * rng.normal()
                    path = folder / model / f"{method}.main.seed{seed}.stage{stage}" / f"{domain}.json"
                    files.append(write_eval(path, domain, both(loss), model, method, "main", seed, stage))
    return files


COMPLETION = 48 / 128  # what the parts of a completion add to the loss of its content, as of their tokens
OBJECTIVE = 3 + COMPLETION  # and what is trained: a method adds 3


def write_stage(folder, study, loss, **record):
    """One stage folder: stage.json and learning_curve.csv; ``loss`` of the content, by step."""
    folder.mkdir(parents=True)
    (folder / "stage.json").write_text(json.dumps({"study": study, **record}))
    parts = {"content": (0, 96), "first": (1, 16), "stop": (2, 16)}  # what is added to the loss, tokens
    columns = ["step", "loss", *(f"loss_{part}" for part in parts), "loss_completion", "learning_rate"]
    columns += ["grad_norm", "constraint_violation", "n", "groups", "tokens"]
    columns += [f"tokens_{part}" for part in parts]
    lines = [",".join(columns)]
    for i, value in enumerate(loss):
        losses = [value + OBJECTIVE, *(value + more for more, _ in parts.values()), value + COMPLETION]
        row = [i + 1, *losses, 0.001, 1.0, "", 4, 3]
        lines.append(",".join(map(str, [*row, (i + 1) * 512, *(count for _, count in parts.values())])))
    (folder / "learning_curve.csv").write_text("\n".join(lines) + "\n")
    return str(folder)


def write_stages(
    folder, rng, methods=("lora", "activation_mask", "orthogonal"), seeds=(0,), model="nano", steps=40
):
    """Stage folders of whole chains, with falling and noisy losses, which are exact in binary."""
    folders = []
    for m, method in enumerate(methods):
        for seed in seeds:
            for stage, domain in enumerate(DOMAINS, 1):
                study = {"model": model, "method": method, "order": "main", "seed": seed}
                study |= {"stage": stage, "domain": domain}
                fall = LEARNED[domain] * (1 - np.exp(-np.arange(steps) / (8 + 3 * m)))
                loss = np.round(1024 * (BASE[domain] - fall + 0.12 * rng.normal(size=steps))) / 1024
                path = folder / model / f"{method}.main.seed{seed}.stage{stage}"
                training = {"steps": steps, "tokens": steps * 512}
                training["loss_at_end"] = float(loss[-1]) + OBJECTIVE
                folders.append(
                    write_stage(
                        path, study, loss, training=training, audit={"constraint_violation_total": None}
                    )
                )
    return folders


def write_gradients(
    path,
    sketches,
    domain,
    kinds=("attention", "ffn"),
    columns=4,
    model="nano",
    names=None,
    sources=None,
    **more,
):
    """A gradient store: ``sketches`` [half, document, module, dim], a module of each kind in every layer.

    names: the group of each document [half, document]; else each has its own. sources: of each document.
    """
    sketches = np.asarray(sketches, np.float32)
    dims, count = ("half", "document", "module"), sketches.shape[2]
    layers = np.arange(count) // len(kinds)
    kind = np.array([kinds[i % len(kinds)] for i in range(count)])
    arrays = {
        "sketch": ((*dims, "dim"), sketches, metadata()),
        "norm": (dims, np.linalg.norm(sketches, axis=-1), metadata()),
        "loss": (dims[:2], np.ones(sketches.shape[:2]), metadata()),
    }
    column = np.repeat(np.arange(columns), sketches.shape[-1] // columns)
    coords = {
        "half": np.array(["a", "b"]),
        "module": (
            ("module",),
            np.array([f"{layer}.{name}" for layer, name in zip(layers, kind)]),
            metadata(),
        ),
        "layer": (("module",), layers, metadata()),
        "kind": (("module",), kind, metadata()),
        "column": (("dim",), column, metadata()),
        "group": (dims[:2], np.arange(2 * sketches.shape[1]).reshape(2, -1), metadata()),
    }
    if names is not None:
        coords["group"] = (dims[:2], np.asarray(names), metadata())
    if sources is not None:
        coords["source"] = (dims[:2], np.asarray([sources, sources]), metadata())
    attrs = {"model": model, "checkpoint": "base", "domain": domain, "revision": "r", "model_sha256": "s"}
    return write_store(path, arrays, coords, attrs | more)


def write_drift(
    path, moved, domains=DOMAINS, documents=6, model="nano", checkpoint="lora.main.seed0.stage4", **more
):
    """A drift store of two references: hidden states ``moved(reference, layer) -> share`` away, 24 wide."""
    from implicit_sparsity.metrics import drift

    random, owner = np.random.default_rng(len(path.name)), np.repeat(np.arange(documents), 3)
    layers = more.pop("layers", 3)
    shape = 2, len(domains), layers, len(drift.MEASURES)
    values, unrelated = np.empty((*shape, 1 + documents)), np.empty(shape)
    for place in np.ndindex(*shape[:-1]):
        old, other = random.standard_normal((2, len(owner), 24))
        new = old + moved(place[0], place[2]) * other
        values[place] = list(drift.moved(old, new, owner, 3).values())
        unrelated[place] = list(drift.unrelated(old, new, owner, 3).values())
    dims, sizes = ("reference", "domain", "layer", "measure"), ("domain", "document")
    arrays = {
        "drift": ((*dims, "left_out"), values, metadata()),
        "unrelated": (dims, unrelated, metadata()),
        **{
            f"kl_{part}": (sizes, random.gamma(2.0, 0.1, (len(domains), documents)), metadata())
            for part in ("content", "completion")
        },
        **{
            part: (sizes, np.full((len(domains), documents), 9), metadata())
            for part in ("content", "completion")
        },
    }
    names = {"reference": ["base", "previous"], "domain": list(domains), "measure": list(drift.MEASURES)}
    names |= {"layer": range(layers), "left_out": range(-1, documents), "document": range(documents)}
    coords = {name: ((name,), np.array(labels), metadata()) for name, labels in names.items()}
    coords["group"] = (sizes, np.tile(np.arange(documents), (len(domains), 1)), metadata())
    attrs = {"model": model, "checkpoint": checkpoint, "revision": "r", "model_sha256": "s"}
    return write_store(path, arrays, coords, attrs | more)


def noisy_gradients(rng, cosine, documents=8, modules=4, dim=64, noise=1.0, domains=DOMAINS):
    """domain -> sketches [half, document, module, dim]: a mean of length 1 and documents scattered about it.

    Between the means of two domains the cosine is ``cosine`` in every module.
    """
    basis = np.linalg.qr(rng.normal(size=(modules, dim, len(domains) + 1)))[0]
    means = np.sqrt(cosine) * basis[..., 0] + np.sqrt(1 - cosine) * np.moveaxis(basis[..., 1:], -1, 0)
    scatter = noise * rng.normal(size=(len(domains), 2, documents, modules, dim)) / dim**0.5
    return dict(zip(domains, means[:, None, None] + scatter, strict=True))


LEVELS = {"levels": [0.25, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.99], "cross": [0.5], "random_masks": 2}
LEVELS |= {"cross_thresholds": True, "numerical_floor": "eager"}
BARE = {"special_ids": [], "template_tokens": {"before": 0, "between": 0, "after": 0}}
SHARES = np.array([0.0, *LEVELS["levels"]])


def noisy_losses(
    rng,
    domain,
    critical=0.5,
    own=1.1,
    other=1.5,
    chance=3.0,
    documents=12,
    layers=4,
    noise=0.02,
    numerical=0.0,
):
    """What ``thresholding.measure`` gives: content losses that are 1 % up at ``critical``, and ratios under
    masks; of the completion twice as far up. Another kernel's losses are ``numerical`` of dense higher."""
    dense = 2 * np.exp(0.3 * rng.normal(size=documents))

    def cell(ratio, share, off=0.0):
        content = dense * (ratio + noise * (ratio - 1) * rng.normal(size=documents) + off)
        return np.stack([content, 2 * content - dense, 3 * content - dense]), np.full(layers, share)

    result = {("curve", 0, ""): cell(1, 0), ("again", 0, ""): cell(1, 0)}
    for i, s in enumerate(LEVELS["levels"], 1):
        losses, zeros = result["curve", i, ""] = cell(1 + 0.01 * (s / critical) ** 4, s)
        result["again", i, ""] = losses + numerical * dense, zeros
    for maker in DOMAINS:
        result["threshold", 0, maker] = cell(1.01 if maker == domain else 1.02, 0.5)
        result["mask", 0, maker] = cell(own if maker == domain else other, 0.5)
    return result | {("random", 0, str(r)): cell(chance, 0.5) for r in range(LEVELS["random_masks"])}


def write_thresholds(path, result, domain, model="nano", **more):
    """A store of losses under thresholds and masks: ``result`` as ``noisy_losses`` gives it."""
    from implicit_sparsity.corpora.tokens import Document
    from implicit_sparsity.passes import threshold_store
    from implicit_sparsity.passes.calibration import Calibration

    losses, zeros = result["curve", 0, ""]
    groups = more.pop("groups", range(losses.shape[1]))
    documents = [Document(np.arange(9), np.arange(9) < 3, {"group": f"g{group}"}) for group in groups]
    made = Calibration(np.ones((len(zeros), 1, 96), int), np.ones((len(zeros), 5)))
    given = documents, domain, dict.fromkeys(DOMAINS, made), LEVELS, BARE
    arrays, coords = threshold_store.as_store(result, *given)
    attrs = {"model": model, "checkpoint": "base", "domain": domain, "revision": "r", "model_sha256": "s"}
    return write_store(path, arrays, coords, attrs | more)
