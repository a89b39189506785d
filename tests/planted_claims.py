"""Tables of studies in which a claim's effect, its interval and its noise floor are known.

A study of a claim is made by ``STUDIES[claim](effect, reach, noise)``: the effect comes out as given, its
interval reaches ``reach`` to either side, its noise floor is ``noise`` (where seeds make it: their SD).
"""

from itertools import combinations, permutations

import numpy as np
import pandas as pd

from implicit_sparsity.claims.base import Study
from implicit_sparsity.storage.tables import read_table, write_table

DOMAINS = ("code", "math", "medical", "general")
PAIRS = list(combinations(DOMAINS, 2))
ORDERS = {"forward": list(DOMAINS), "backward": list(DOMAINS)[::-1]}
SEEDS = (0, 1, 2)
METHODS = ("lora", "activation_mask", "activation_mask_random", "orthogonal", "orthogonal_random")
FAMILIES = {
    name: {
        "family": name,
        "role": "random" if name.endswith("random") else "method",
        "of": name.removesuffix("_random"),
        "point": {},
    }
    for name in METHODS
}
STUDY = Study(FAMILIES, ORDERS)
BASE = {"revision": "r", "checkpoint": "base"}


def three(value, reach):
    return {"value": value, "low": value - reach, "high": value + reach}


def around(middle, spread):
    """Three numbers with this mean and standard deviation."""
    return [middle - spread, middle, middle + spread]


def critical(effect, reach, noise, model="big", kernel=0.0, completion=0.4):
    """Levels lie 2 * noise apart around the critical sparsity; four independent domains halve the reach.

    kernel: how far another attention kernel moves it; completion: where it is over other tokens."""
    rows = []
    for domain in DOMAINS:
        at = {"model": model, **BASE, "layer": -1, "domain_a": domain, "domain_b": domain, "n": 16}
        at |= {"groups": 12, "tokens": "content"}
        rows += [
            at | {"measure": "curve", "quantity": "loss", "realised": share, "value": 1.0}
            for share in (0.0, effect - noise, effect + noise)
        ]
        point = at | {"measure": "critical_sparsity", "realised": effect}
        rows.append(point | {"quantity": "signal"} | three(effect, 2 * reach))
        rows.append(point | {"quantity": "numerical", "value": kernel})
        for tokens in ("completion", "all"):
            rows.append(point | {"tokens": tokens, "quantity": "signal"} | three(completion, 0.1))
            rows.append(point | {"tokens": tokens, "quantity": "numerical", "value": 0.5})
    return {"critical_sparsity": pd.DataFrame(rows)}


def separated(rows, at, effect, reach, noise, layers):
    """SEP and its null of every pair, layers around the mean."""
    for layer, shift in enumerate(np.linspace(-0.05, 0.05, layers)):
        for domain in DOMAINS:
            own = {
                "layer": layer,
                "domain_a": domain,
                "domain_b": domain,
                "quantity": "ceiling",
                "n": 64,
                "groups": 16,
            }
            rows.append(at | own | three(0.8, 0.01))
        for a, b in PAIRS:
            pair = at | {"layer": layer, "domain_a": a, "domain_b": b, "n": 128, "groups": 16}
            rows.append(pair | {"quantity": "sep"} | three(effect + shift, reach))
            rows.append(pair | {"quantity": "signal"} | three(0.8 - 0.7 * effect, reach))
            null = {"quantity": "sep_permuted", "value": 0.0, "low": -noise, "high": noise}
            rows.append(pair | null)


def overlap(effect, reach, noise, model="big", controls=("", "matched"), k=0.1, neurons=1000):
    rows = []
    for control in controls:
        at = {"model": model, **BASE, "control": control, "measure": "iou", "k": k, "top": 100}
        separated(rows, at | {"neurons": neurons}, effect, reach, noise, layers=3)
    return {"activation_overlap": pd.DataFrame(rows)}


def routing(effect, reach, noise, model="mixture", experts=16, active=4, layers=3):
    rows = []
    for measure in ("weighted_jaccard", "iou"):
        at = {"model": model, **BASE, "measure": measure, "k": active, "top": active}
        separated(rows, at | {"experts": experts, "active": active}, effect, reach, noise, layers)
    return {"routing_overlap": pd.DataFrame(rows)}


def gradients(effect, reach, noise, model="big"):
    """Cosines of both signs, all of the same size."""
    rows = []
    for i, (a, b) in enumerate(PAIRS):
        at = {"model": model, **BASE, "layer": -1, "kind": "all", "domain_a": a, "domain_b": b}
        at |= {"measure": "cosine", "n": 32, "groups": 32}
        cosine = (1 if i % 2 else -1) * effect
        rows.append(at | {"quantity": "disattenuated"} | three(cosine, reach))
        rows.append(at | {"quantity": "sketch_error", "value": noise})
    return {"gradient_overlap": pd.DataFrame(rows)}


def ladder(effect, reach, noise, widths=(256, 512, 1024, 2048, 4096)):
    """1 - SEP falls by ``effect`` a doubling, off the line so that Student's interval has the reach asked."""
    from scipy.special import stdtrit

    x = np.log2(widths) - np.mean(np.log2(widths))
    off = np.array([1.0, -2, 0, 2, -1])  # sums to 0, and has no slope
    off = off - off @ x / (x @ x) * x
    scatter = reach / stdtrit(len(x) - 2, 0.975) * np.sqrt((x @ x) * (len(x) - 2))
    y = 0.5 + effect * x + off * scatter / np.sqrt(off @ off)
    error = noise * np.sqrt(x @ x) * 1.959963984540054  # of each rung, so that the slope's is ``noise``
    frames = [
        overlap(1 - value, error, 0.1, model=f"w{width}", controls=("",), neurons=width)["activation_overlap"]
        for value, width in zip(y, widths)
    ]
    return {"activation_overlap": pd.concat(frames)}


def comparisons(method):
    def make(effect, reach, noise, seeds=3, orders=ORDERS, control=None, points=3):
        rows = []
        for order in orders:
            for family, against, value in (
                ("lora", "lora", np.nan),
                (method, "lora", -effect),
                (f"{method}_random", "lora", 0.0),
                (f"{method}_random", method, effect if control is None else control),
            ):
                at = {
                    "model": "big",
                    "order": order,
                    "score": "loss_content",
                    "family": family,
                    "against": against,
                }
                at |= {"role": FAMILIES[family]["role"], "of": FAMILIES[family]["of"], "seeds": seeds}
                at |= {"difference": value, "difference_low": value - reach, "difference_high": value + reach}
                at |= {"points": points, "noise_sd": noise if seeds > 1 else np.nan, "n": 96, "groups": 24}
                at |= {"kl_newest": np.nan, "update_norm": np.nan}
                at |= {"learned_gain": 0.5, "p_holm": 0.01, "unit": "nat", "note": "one point" * (points < 2)}
                rows.append(at)
        frame = pd.DataFrame(rows)
        if points < 2:
            frame[["difference", "difference_low", "difference_high"]] = np.nan
        return {"comparisons": frame}

    return make


def runs(method="lora", seeds=SEEDS, orders=ORDERS, model="big", stage=4):
    for order in orders:
        for i, seed in enumerate(seeds):
            name = f"{method}.{order}.seed{seed}.stage{stage}"
            yield i, {"model": model, "revision": "r", "checkpoint": name}


def written(effect, reach, noise, seeds=SEEDS, orders=ORDERS):
    """Hubs have a sixth of the weights; their share of an update that is dealt anew is a fifth."""
    rows = []
    for _, at in runs(seeds=seeds, orders=orders):
        at |= {"layer": -1, "write": "total", "set": "hubs", "k": 0.1, "n": 128, "groups": 16}
        rows.append(at | {"quantity": "signal"} | three(0.2 * effect, 0.2 * reach))
        rows.append(at | {"quantity": "corrected"} | three(effect, reach))
        rows.append(at | {"quantity": "weights", "value": 1 / 6, "low": np.nan, "high": np.nan})
        rows.append(at | {"quantity": "permuted"} | three(0.2, 0.2 * noise))
    return {"write_interference": pd.DataFrame(rows)}


def slower(effect, reach, noise, seeds=SEEDS, orders=ORDERS, floor=True):
    rows = []
    for _, at in runs(seeds=seeds, orders=orders):
        at |= {"layer": -1, "domain": "", "measure": "loss_after", "n": 24, "groups": 12}
        rows.append(at | {"quantity": "difference"} | three(effect, reach))
        rows.append(at | {"quantity": "floor", "value": noise if floor else np.nan, "low": np.nan})
    return {"plasticity": pd.DataFrame(rows)}


def recovered(effect, reach, noise, seeds=SEEDS, orders=ORDERS, groups=12):
    """Two nats are forgotten; the base model gains ``noise`` of it with the same documents."""
    rows = []
    for _, at in runs(seeds=seeds, orders=orders):
        at |= {"domain": "all", "source": "own", "documents": 50, "n": 48, "groups": groups}
        rows.append(at | {"quantity": "share"} | three(effect, reach))
        rows.append(at | {"documents": 10, "quantity": "share"} | three(effect / 2, reach))
        rows.append(at | {"source": "unrelated", "quantity": "share"} | three(effect / 4, reach))
        rows.append(at | {"source": "", "documents": 0, "quantity": "forgotten"} | three(2, 0.1))
    for domain in DOMAINS:
        at = {"model": "big", **BASE, "domain": domain, "source": "own", "documents": 50, "n": 24}
        rows.append(at | {"groups": groups, "quantity": "recovered"} | three(2 * noise, 0.01))
    return {"recovery": pd.DataFrame(rows)}


def growth(effect, reach, noise, width=400):
    """The floor grows by ``noise`` of the width; signal and floor err equally, and together by ``reach``."""
    own = reach / np.sqrt(2)
    rows = []
    for order, domains in ORDERS.items():
        for after, domain in enumerate(domains, 1):
            at = {"model": "big", **BASE, "layer": -1, "place": "ffn", "order": order, "after": after}
            at |= {"domain": domain, "energy": 0.95, "measure": "growth", "n": 60, "width": width}
            at["groups"] = 12
            grown = {k: width * v for k, v in three(noise + effect, own).items()}
            floor = {k: width * v for k, v in three(noise, own).items()}
            rows += [at | {"quantity": "signal"} | grown, at | {"quantity": "floor"} | floor]
    return {"capacity": pd.DataFrame(rows)}


def crossing(effect, reach, noise, seeds=SEEDS, orders=ORDERS):
    """The method starts behind LoRA by ``effect`` and ends ahead by as much; seeds scatter by ``noise``.

    Standard errors make up the reach that the seeds do not."""
    from scipy.special import stdtrit

    spread = stdtrit(len(seeds) - 1, 0.975) * noise / np.sqrt(len(seeds)) if len(seeds) > 1 else 0.0
    error = np.sqrt(max(reach**2 - spread**2, 0)) / stdtrit(15, 0.975) / np.sqrt(2)
    cells, scores = [], []
    for method in ("lora", "activation_mask", "orthogonal"):
        for order, domains in orders.items():
            for shift, seed in zip(around(0, noise) if len(seeds) > 1 else [0.0], seeds):
                run = {
                    "model": "big",
                    "method": method,
                    "order": order,
                    "seed": seed,
                    "metric": "loss_content",
                }
                for stage in range(len(domains) + 1):
                    share = (stage - 1) / (len(domains) - 1)
                    ahead = 0.0 if method == "lora" else effect * (2 * share - 1) * 1.0
                    jitter = 0.0 if method == "lora" else shift * (1 if stage == len(domains) else -1)
                    for position, domain in enumerate(domains, 1):
                        value = 3.0 if stage < position else 2.0 - ahead - jitter
                        at = run | {"stage": stage, "domain": domain, "value": value}
                        at |= {"higher_is_better": False, "position": position}
                        cells.append(at | {"trained_domain": domains[stage - 1] if stage else ""})
                        # the mean of as many domains as were trained has the standard error asked for
                        scores.append(at | {"stderr": error * np.sqrt(max(stage, 1)), "n": 32, "groups": 16})
    return {"r_matrices": pd.DataFrame(cells), "scores": pd.DataFrame(scores)}


def predicted(better, scatter, noise, seeds=SEEDS, orders=ORDERS):
    """Forgetting of LoRA's pairs follows the gradient cosine and not KL (``better`` > 0), or the reverse.

    scatter: noise of forgetting in units of its spread; noise: how much of each seed is its own."""
    rng = np.random.default_rng(0)
    cosine = {frozenset(pair): 0.1 + 0.15 * i for i, pair in enumerate(PAIRS)}
    rows, own = [], {pair: rng.normal() for pair in permutations(DOMAINS, 2)}
    moved = [0.9, 0.2, 0.6, 0.4, 0.3, 0.7, 0.1, 0.8]
    divergence = dict(zip(((o, d) for o in orders for d in DOMAINS), moved))
    for seed in seeds:
        for order in orders:
            domains, score = orders[order], dict.fromkeys(orders[order], 2.0)
            for stage, new in enumerate(domains, 1):
                for old in domains[: stage - 1]:
                    cause = cosine[frozenset((old, new))] if better > 0 else divergence[order, new]
                    lost = cause + 0.3 * (scatter * own[old, new] + noise * rng.normal())
                    score[old] += lost
                run = {"model": "big", "method": "lora", "order": order, "seed": seed, "stage": stage}
                for position, domain in enumerate(domains, 1):
                    at = run | {"trained_domain": new, "domain": domain, "position": position}
                    at |= {"higher_is_better": False}
                    rows.append(at | {"metric": "loss_content", "value": score[domain]})
                    if domain == new:
                        rows.append(at | {"metric": "kl_content", "value": divergence[order, new]})
    frames = gradients(0.0, 0.01, 0.01) | {"r_matrices": pd.DataFrame(rows)}
    table = frames["gradient_overlap"]
    for (a, b), value in ((tuple(sorted(pair)), v) for pair, v in cosine.items()):
        same = (table["domain_a"].isin([a, b])) & (table["domain_b"].isin([a, b]))
        table.loc[same & (table["quantity"] == "disattenuated"), "value"] = value
    return frames


STUDIES = {
    "h1a": critical,
    "h1b": overlap,
    "h1c": gradients,
    "h1d": ladder,
    "h1e": routing,
    "h2a": comparisons("activation_mask"),
    "h2b": comparisons("orthogonal"),
    "h3a": written,
    "h3b": slower,
    "h3c": growth,
    "h4": crossing,
    "h5": predicted,
    "h8": recovered,
}
OPTIONS = {
    "h1a": {"threshold": 0.95},
    "h1b": {"threshold": 0.5, "controls": ["matched"]},
    "h1c": {"threshold": 0.1},
    "h1d": {"threshold": -0.02, "models": [f"w{w}" for w in (256, 512, 1024, 2048, 4096)]},
    "h1e": {"threshold": 0.5},
    "h2a": {"threshold": 0.02},
    "h2b": {"threshold": 0.02},
    "h3a": {"threshold": 1.5},
    "h3b": {"threshold": 0.05},
    "h3c": {"threshold": 0.01},
    "h4": {"threshold": 0.02},
    "h5": {"threshold": 0.1, "predictor": "gradient"},
    "h8": {"threshold": 0.5},
}


def on_disk(folder, frames):
    """The tables as they are read in a study."""
    for name, frame in frames.items():
        write_table(folder / f"{name}.csv", frame)
    return {name: read_table(folder / f"{name}.csv", empty=True) for name in frames}


# A study of several claims at once, with a verdict of every kind.
CASES_OF_ALL = {
    **critical(0.98, 0.01, 0.01),
    **overlap(0.8, 0.1, 0.1),
    **gradients(0.4, 0.1, 0.01),
    **routing(0.55, 0.1, 0.1, model="big"),
    **STUDIES["h2a"](0.3, 0.1, 0.05),
    **written(3.0, 0.5, 0.2),
    **slower(0.4, 0.1, 0.05),
    **growth(0.05, 0.02, 0.01),
    **crossing(0.3, 0.2, 0.05),
}
