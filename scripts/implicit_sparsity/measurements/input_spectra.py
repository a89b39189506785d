"""Second moments of what feed-forward layers read, and the dimensions that domains use one after another.

After domains 1 .. t of an order: those of the sum of their second moments (half a of the documents, each
with trace 1). The null adds to domains 1 .. t - 1 the other half of domain t - 1 instead of a new domain,
so that equally many documents are added; there is none at t = 1.

Inputs are of two places: "ffn", what gate and up read (and the router, in a mixture), width H; "down", what
``down_proj`` reads, width N, in dense networks alone, as a mixture's experts read their own tokens each.
Shapes: G parts of whole groups of documents, R = 1 + G replicates, E energies.
"""

from dataclasses import dataclass
from functools import cache
from typing import ClassVar

import numpy as np
import torch

from implicit_sparsity.errors import InputError
from implicit_sparsity.metrics import capacity
from implicit_sparsity.models import loading
from implicit_sparsity.models.ffn import feed_forwards
from implicit_sparsity.models.hooks.watching import module_inputs
from implicit_sparsity.options import option
from implicit_sparsity.passes import document_groups
from implicit_sparsity.passes.document_loop import over_documents
from implicit_sparsity.passes.reference_documents import counting, evenly

from .base import Forward, Measurement


@dataclass
class InputSpectra(Measurement):
    """Dimensions that the domains of each order take up in a base model, one after another."""

    stages: str = option("base", choices=("base",), help="base models alone")
    layers: int = option(4, low=1, high=8, help="feed-forward layers that are measured, evenly spaced")
    tokens: int = option(
        512,
        low=1,
        high="splits.probe x tokens.max_length",
        help="per half and domain: a half can show no more dimensions than it has tokens",
    )
    groups: int = option(
        10,
        low=4,
        help="parts, of whole groups of documents, for intervals; memory: layers * domains * 2 * groups * "
        "width^2 * 8 bytes",
    )
    energy: tuple[float, ...] = option(
        (0.95, 0.99), above=0, high=1, help="shares of a domain's input energy that its dimensions hold"
    )
    down: bool = option(
        False, help="also the inputs of down_proj in dense networks; time grows with the cube of the width"
    )
    skip_first: int = option(
        1, low=0, below="tokens.max_length", help="leading tokens of each document that are left out"
    )
    batch_tokens: int = option(512, low=1, help="tokens of one forward pass")

    SCOPE = "checkpoint"
    NEEDS: ClassVar[tuple] = ("orders",)
    TITLE = "Input dimensions of {model} in use"
    MINUTES = 60
    LIGHTER: ClassVar[dict] = {"batch_tokens": None, "down": False, "layers": None}

    def measure(self, subject):
        network, options = subject.load(), self.settings()
        layers = capacity.layers_of(len(feed_forwards(network)), self.layers)
        taken = {}
        for domain in subject.shards:
            special, where = subject.special_ids(domain), subject.where(domain)
            for half, split in subject.halves(domain).items():
                taken[half, domain] = take(split, special, options, where)
        parts = min(len(set(document_groups.names(documents))) for _, _, documents in taken.values())
        options["groups"], moments = min(parts, self.groups), {half: {} for half in "ab"}
        for (half, domain), documents in taken.items():
            where = subject.where(domain)
            moments[half][domain] = measure(network, layers, documents, options, where)
        arrays, coords = used(moments, subject.orders, self.energy)
        subject.attrs["orders"] = subject.orders
        subject.attrs["documents"] = sum(len(documents[0]) for documents in taken.values())
        return arrays, coords | {"layer": np.array(layers)}

    def passes(self, domains, length, stage):
        """The eigenvalues, on the processor, are not counted."""
        return [Forward(2.0 * domains * self.tokens, self.batch_tokens, head=False)]

    def held(self, shape, positions, width):
        """A matrix of every group of documents in float64, and one more, in float32, that is being made."""
        widths = [shape.hidden, *([shape.ffn] if self.down and not shape.experts else [])]
        retained = 8.0 * self.groups * self.layers * sum(width**2 for width in widths)
        return {"moments": retained + 4.0 * max(widths) ** 2}


def take(split, special_ids, options: dict, path=None) -> tuple[list, list, list]:
    """(ids, which tokens count, documents) of the first documents, groups in turn, that have as many
    tokens that count as ``options["tokens"]``.

    Of one document no more than a part's share of them, evenly spaced: a part has one document at
    least. Raises InputError where there are fewer.
    """
    left, ids, keeps, documents = options["tokens"], [], [], []
    most = -(-left // options["groups"])
    for document in document_groups.in_turn(split):
        places = np.flatnonzero(counting(document.ids, special_ids, options["skip_first"]))
        taken = evenly(places, min(most, left))
        if len(taken):
            ids.append(np.asarray(document.ids))
            keeps.append(np.isin(np.arange(len(document.ids)), taken))
            documents.append(document)
        left -= len(taken)
        if not left:
            return ids, keeps, documents
    raise InputError(
        f"a probe half has {options['tokens'] - left} tokens that count, at most {most} of a "
        f"document, {options['tokens']} are wanted: raise splits.probe or lower the budget",
        path=path,
        key="probes.input_spectra.tokens",
    )


def measure(model, layers, taken: tuple, options: dict, path=None) -> dict:
    """{(place, layer): sum of x x' by part, float64 [G, width, width]} of one half of a domain, of what
    ``take`` gave; groups are dealt whole to ``options["groups"]`` parts.
    """
    ids, keeps, documents = taken
    blocks = feed_forwards(model)
    modules = {("ffn", layer): blocks[layer].mlp for layer in layers}
    if options["down"] and not any(block.experts for block in blocks):
        modules |= {("down", i): blocks[i].mlp.down_proj for i in layers}
    batch, sums = {}, {}

    def begin(keep, group, documents):
        batch["rows"] = keep.nonzero().flatten()
        batch["owner"] = group[batch["rows"]]

    def add(name, x):
        x, owner = x.detach().flatten(0, -2), batch["owner"]
        x = x[batch["rows"].to(x.device)].float()
        for group in owner.unique().tolist():
            part = x[(owner == group).to(x.device)]
            total = sums.setdefault(name, {})
            total[group] = total.get(group, 0) + (part.T @ part).double()

    with module_inputs(modules, add):
        dealt = document_groups.deal(documents, [keep.sum() for keep in keeps], options["groups"])
        over_documents(model, ids, keeps, options["batch_tokens"], begin, groups=dealt)
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
    variables = {"used": (dims, arrays["used"], metadata)}
    variables["null"] = (
        dims,
        arrays["null"],
        metadata | {"long_name": "with the other half of the domain before"},
    )
    variables["width"] = (("place",), widths, {"long_name": "width of the input", "units": "dimensions"})
    return variables, _coordinates(prefixes, places, energy)


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
    """Eigenvalues, on a GPU where there is one: the width of a 27B model takes half a minute on one core."""
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
