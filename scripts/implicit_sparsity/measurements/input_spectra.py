"""Second moments of what feed-forward layers read, and the dimensions that domains use one after another.

After domains 1 .. t of an order: those of the sum of their second moments (half a of the documents, each
with trace 1). The null adds to domains 1 .. t - 1 the other half of domain t - 1 instead of a new domain,
so that equally many documents are added; there is none at t = 1.

Inputs are of two places: "ffn", what gate and up read (and the router, in a mixture), width H; "down", what
``down_proj`` reads, width N, in dense layers alone, as a mixture's experts read their own tokens each.
Shapes: G groups of whole documents, R = 1 + G replicates, E energies.
"""

from functools import cache

import numpy as np

from implicit_sparsity.errors import InputError
from implicit_sparsity.metrics import capacity
from implicit_sparsity.models import loading
from implicit_sparsity.models.ffn import feed_forwards
from implicit_sparsity.models.hooks.watching import module_inputs

from . import activations
from .reference_documents import counting, evenly


class Groups:
    """What a pass tells of the batch at hand: which rows count and whose they are; see
    ``activations.run``.
    """

    documents = 0

    def begin_batch(self, keep, groups=None):
        self.rows = keep.nonzero().flatten()
        self.owner = groups[self.rows]

    def observe(self, *_):
        pass

    def observe_routed(self, *_):
        pass


def take(split, special_ids, options: dict) -> tuple[list, list]:
    """(ids, which tokens count) of the first documents with ``options["tokens"]`` tokens that count.

    Of one document no more than a share of one group in them, evenly spaced: a group has one at least.
    """
    left, ids, keeps = options["tokens"], [], []
    most = -(-left // options["groups"])
    for document in split:
        places = np.flatnonzero(counting(document.ids, special_ids, options["skip_first"]))
        taken = evenly(places, min(most, left))
        if len(taken):
            ids.append(np.asarray(document.ids))
            keeps.append(np.isin(np.arange(len(document.ids)), taken))
        left -= len(taken)
        if not left:
            break
    return ids, keeps


def measure(model, layers, split, special_ids, options: dict, path=None) -> dict:
    """{(place, layer): sum of x x' by group, float64 [G, width, width]} of one half of a domain.

    Exactly ``options["tokens"]`` tokens; documents are dealt in turn to ``options["groups"]`` groups.
    """
    groups = options["groups"]
    ids, keeps = take(split, special_ids, options)
    counted = int(sum(keep.sum() for keep in keeps))
    if counted < options["tokens"]:
        raise InputError(
            f"a probe half has {counted} tokens that count, at most {-(-options['tokens'] // groups)} of a "
            f"document, {options['tokens']} are wanted: raise splits.probe or lower the budget",
            path=path,
            key="probes.input_spectra.tokens",
        )
    blocks = feed_forwards(model)
    modules = {("ffn", layer): blocks[layer].mlp for layer in layers}
    if options["down"]:
        modules |= {("down", i): blocks[i].mlp.down_proj for i in layers if not blocks[i].experts}
    batch, sums = Groups(), {}

    def add(name, x):
        x = x.detach().flatten(0, -2)
        x = x[batch.rows.to(x.device)].float()
        for group in batch.owner.unique().tolist():
            part = x[(batch.owner == group).to(x.device)]
            total = sums.setdefault(name, {})
            total[group] = total.get(group, 0) + (part.T @ part).double()

    with module_inputs(modules, add):
        activations.run(
            model, ids, keeps, batch, options["batch_tokens"], groups=np.arange(len(ids)) % groups
        )
    result = {name: np.stack([total[g].cpu().numpy() for g in sorted(total)]) for name, total in sums.items()}
    for (place, layer), moments in result.items():
        if not np.isfinite(moments).all():
            raise InputError(f"inputs of {place} in layer {layer} are not finite", path=path)
    return result


def used(moments: dict, orders: dict, energy) -> tuple[dict, dict]:
    """(arrays, coordinates) of the store, from half -> domain -> ``measure``; ``orders``: name -> domains."""
    prefixes = [(name, domains[:t]) for name, domains in orders.items() for t in range(1, len(domains) + 1)]
    some = next(iter(moments["a"].values()))
    places = sorted({place for place, _ in some}, reverse=True)
    layers = sorted({layer for _, layer in some})
    replicates = 1 + len(next(iter(some.values())))
    shape = (len(prefixes), len(places), len(layers), len(energy), replicates)
    arrays = {name: np.full(shape, np.nan) for name in ("used", "null")}
    widths = np.zeros(len(places), np.int64)
    for p, place in enumerate(places):
        for i, layer in enumerate(layers):
            if (place, layer) not in some:
                continue
            widths[p] = some[place, layer].shape[-1]
            step = _steps(moments, place, layer, energy)
            for row, (_, prefix) in enumerate(prefixes):
                arrays["used"][row, p, i], arrays["null"][row, p, i] = step(tuple(prefix))
    dims = ("prefix", "place", "layer", "energy", "left_out")
    metadata = {"long_name": "input dimensions in use", "units": "dimensions"}
    reported = {"used": (dims, arrays["used"], metadata)}
    reported["null"] = (
        dims,
        arrays["null"],
        metadata | {"long_name": "with the other half of the domain before"},
    )
    reported["width"] = (("place",), widths, {"long_name": "width of the input", "units": "dimensions"})
    return reported, _coordinates(prefixes, places, energy)


def _steps(moments, place, layer, energy):
    """A function of a sequence of domains -> (used, null), each [E, R]; what orders share is counted once."""

    @cache
    def half(which, domain):
        return capacity.replicates(moments[which][domain][place, layer])

    @cache
    def union(domains, other=None):
        total = sum(half("a", domain) for domain in sorted(domains))
        if other:
            total = total + half("b", other)
        return capacity.dimensions(_spectrum(total), energy).T

    def step(prefix):
        now = union(frozenset(prefix))
        null = union(frozenset(prefix[:-1]), prefix[-2]) if len(prefix) > 1 else np.full_like(now, np.nan)
        return now, null

    return step


def _spectrum(moments):
    """Eigenvalues, on a card where there is one: the width of a 27B model takes half a minute on one core."""
    import torch

    return torch.linalg.eigvalsh(torch.from_numpy(moments).to(loading.default_device())).cpu().numpy()


def _coordinates(prefixes, places, energy):
    def text(values, long_name):
        return (("prefix",), np.array(values), {"long_name": long_name, "units": "1"})

    return {
        "order": text([name for name, _ in prefixes], "order of domains"),
        "after": text([len(prefix) for _, prefix in prefixes], "domains so far"),
        "domain": text([prefix[-1] for _, prefix in prefixes], "last domain so far"),
        "place": (("place",), np.array(places), {"long_name": "whose input", "units": "1"}),
        "energy": (("energy",), np.array(energy, float), {"long_name": "share of energy held", "units": "1"}),
    }
