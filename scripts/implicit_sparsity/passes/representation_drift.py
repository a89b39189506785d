"""Networks observed on the reference set -> the arrays of one drift store.

Shapes: R references ("base", "previous"), D documents of a domain, L layers; 1 + G numbers of a measure: its
value, then what it is with each group of documents left out, NaN where a domain has fewer groups than others.
"""

import gc
from dataclasses import dataclass

import numpy as np

from implicit_sparsity.corpora.tokens import CONTENT
from implicit_sparsity.metrics import clusters, drift
from implicit_sparsity.models.batching import completion_tokens, label_parts

from . import representations

SPLIT = {  # name: whether the new states, whether the new router, on either side of the comparison
    "both": ((0, 0), (1, 1)),
    "states_old_router": ((0, 0), (1, 0)),
    "states_new_router": ((0, 1), (1, 1)),
    "router_old_states": ((0, 0), (0, 1)),
    "router_new_states": ((1, 0), (1, 1)),
}
SHARES = ("shared_norm_share", "shared_projection")
COUNTS = {
    "positions": lambda document, positions: len(positions),
    "completion": lambda document, positions: completion_tokens(document),
    "content": lambda document, positions: int((label_parts([document]) == CONTENT).sum()),
}
MOVED = ("reference", "domain", "layer", "measure")
ROUTED = ("reference", "domain", "layer", "split")
UNITS = {  # variable: (dims, long name, units)
    "drift": ((*MOVED, "left_out"), "drift of hidden states", "1 or rad"),
    "unrelated": (MOVED, "the same, between unrelated states", "1 or rad"),
    "kl_content": (("domain", "document"), "mean KL(base || tuned) of content tokens, NaN without", "nat"),
    "kl_completion": (("domain", "document"), "mean KL(base || tuned) of completion tokens", "nat"),
    "positions": (("domain", "document"), "positions compared", "tokens"),
    "completion": (("domain", "document"), "completion tokens", "tokens"),
    "content": (("domain", "document"), "content tokens", "tokens"),
    "rerouted": ((*ROUTED, "document"), "share of a token's experts that changed", "1"),
    "rerouted_null": (ROUTED, "the same, between positions of different groups of documents", "1"),
    "shared": (
        ("network", "domain", "share", "layer", "document"),
        "the shared expert's share of its block's output",
        "1",
    ),
}
COORDINATES = {
    "reference": "network that is compared with",
    "domain": "domain of the documents",
    "layer": "index of the decoder layer, from 0",
    "measure": "what is measured",
    "left_out": "group of documents left out, in the order of their first documents, -1 for none",
    "document": "document of the domain",
    "split": "what differs: states, router or both",
    "network": "network",
    "share": "which share",
}


@dataclass
class Visited:
    """What is left of a network: by domain what was observed, its head, its routers by layer."""

    observed: dict
    head: object
    routers: dict


def visit(load, references: dict, batch_tokens: int) -> Visited:
    """``load()`` a network, observe it on the reference documents of every domain, and let it go again."""
    network = load()
    observed = {
        domain: representations.observe(network, documents, batch_tokens)
        for domain, documents in references.items()
    }
    result = Visited(observed, representations.head(network), representations.routers(network))
    del network
    gc.collect()
    return result


def as_store(seen: dict, references: dict, directions: int) -> tuple[dict, dict]:
    """(arrays, coordinates) for ``store.write_store``.

    seen: {"base": Visited, ["previous": ...], "tuned": ...}.
    """
    domains = list(references)
    before = {which: visited for which, visited in seen.items() if which != "tuned"}
    values, documents = _values(seen, before, references, directions), references[domains[0]].documents
    groups = values["drift"].shape[-1] - 1
    names = {
        "reference": list(before),
        "domain": domains,
        "layer": range(values["drift"].shape[2]),
        "measure": list(drift.MEASURES),
        "left_out": range(-1, groups),
        "document": range(len(documents)),
    }
    if seen["tuned"].routers:
        values |= _routing(seen, before, references)
        names |= {"split": list(SPLIT), "network": list(seen), "share": list(SHARES)}
    arrays = {
        name: (dims, values[name], {"long_name": long_name, "units": units})
        for name, (dims, long_name, units) in UNITS.items()
        if name in values
    }
    coords = {
        name: ((name,), np.array(labels), {"long_name": COORDINATES[name], "units": "1"})
        for name, labels in names.items()
    }
    for name in ("group", "source"):
        of = [[document.meta[name] for document in references[domain].documents] for domain in domains]
        coords[name] = (("domain", "document"), np.array(of), {"long_name": f"{name} of it", "units": "1"})
    return arrays, coords


def _values(seen: dict, before: dict, references: dict, directions: int) -> dict:
    """What is stored of every network, {name: array}; ``before``: those that the tuned one came from."""
    domains, tuned, values = list(references), seen["tuned"], {"drift": [], "unrelated": []}
    for visited in before.values():
        for domain in domains:
            states = visited.observed[domain].hidden, tuned.observed[domain].hidden
            for name, find in (("drift", drift.moved), ("unrelated", drift.unrelated)):
                layers = (find(*pair, references[domain].group, directions) for pair in zip(*states))
                values[name].append(np.array([list(layer.values()) for layer in layers]))
    shape = len(before), len(domains), -1, len(drift.MEASURES)
    drifted = clusters.filled(values["drift"])
    values["drift"] = np.reshape(drifted, (*shape, drifted.shape[-1]))
    values["unrelated"] = np.reshape(values["unrelated"], shape)
    moved = [_divergence(seen["base"], tuned, d, references[d]) for d in domains]
    values |= {name: np.array([of[name] for of in moved]) for name in moved[0]}
    return values | {name: _counts(references, count) for name, count in COUNTS.items()}


def _divergence(base, tuned, domain, reference) -> dict:
    """Mean KL of each document's content tokens, and of all its completion tokens, [D] each."""
    states = (visited.observed[domain].last for visited in (base, tuned))
    nats = representations.divergences(base.head, next(states), tuned.head, next(states))
    parts = [label_parts([document]) for document in reference.documents]
    each = np.split(nats, np.cumsum([len(part) for part in parts])[:-1])
    content = [own[part == CONTENT] for own, part in zip(each, parts, strict=True)]
    return {
        "kl_content": [own.mean() if len(own) else np.nan for own in content],
        "kl_completion": [own.mean() for own in each],
    }


def _routing(seen, before, references):
    """What a mixture has beside: choices that changed, and the shared expert's share."""
    tuned, domains = seen["tuned"], list(references)
    changed, null = [], []
    for visited in before.values():
        for domain in domains:
            states = visited.observed[domain].routed, tuned.observed[domain].routed
            owners = references[domain].owner, references[domain].group
            layers = [
                rerouted(tuple(s[i] for s in states), routers, *owners)
                for i, routers in enumerate(
                    zip(visited.routers.values(), tuned.routers.values(), strict=True)
                )
            ]
            changed.append([each for each, _ in layers])
            null.append([chance for _, chance in layers])
    shares = [
        [_document_means(share, references[domain].owner) for share in visited.observed[domain].shared]
        for visited in seen.values()
        for domain in domains
    ]
    shape = len(before), len(domains), len(tuned.routers), len(SPLIT)
    values = {
        "rerouted": (2, np.reshape(changed, (*shape, -1))),
        "rerouted_null": (2, np.reshape(null, shape)),
        "shared": (3, np.reshape(shares, (len(seen), len(domains), len(SHARES), len(tuned.routers), -1))),
    }
    if np.isnan(shares).all():  # there is no shared expert
        del values["shared"]
    layers = len(tuned.observed[domains[0]].hidden)
    return {name: _by_layer(part, axis, list(tuned.routers), layers) for name, (axis, part) in values.items()}


def _by_layer(values, axis: int, places: list, layers: int) -> np.ndarray:
    """Values of routers along ``axis`` as values of all layers, NaN in dense ones."""
    result = np.full((*values.shape[:axis], layers, *values.shape[axis + 1 :]), np.nan)
    result[(slice(None),) * axis + (places,)] = values
    return result


def rerouted(states, routers, owner, group) -> tuple[np.ndarray, np.ndarray]:
    """Share of a token's experts that changed, [split, D], and between positions of different groups of
    documents, [split]; owner, group: of each position [n].

    states: (old, new) ``[n, H]``; routers: (old, new).
    """
    chosen = {(s, r): representations.choices(routers[r], states[s]) for s in (0, 1) for r in (0, 1)}
    active = chosen[0, 0].sum(axis=1)
    changed, null = [], []
    for one, other in SPLIT.values():
        retained = (chosen[one] & chosen[other]).sum(axis=1)
        changed.append(_document_means(1 - retained / active, owner))
        use = [_document_means(chosen[x].T, group) for x in (one, other)]  # [experts, G]
        meet = use[0].sum(axis=1) @ use[1].sum(axis=1) - (use[0] * use[1]).sum()
        groups = use[0].shape[1]
        null.append(1 - meet / (groups * (groups - 1) * active[0]) if groups > 1 else np.nan)
    return np.array(changed), np.array(null)


def _document_means(values, owner):
    """Means over a document's positions, ``[..., n] -> [..., D]``."""
    same = (owner[:, None] == np.arange(owner.max() + 1)).astype(np.float64)
    return np.asarray(values, np.float64) @ (same / same.sum(axis=0))


def _counts(references, count):
    return np.array([[count(*pair) for pair in zip(r.documents, r.positions)] for r in references.values()])
