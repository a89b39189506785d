"""Do two domains use the same experts of a mixture? Floor, signal, ceiling and SEP by layer, and
specialisation.

``share[d, e]``: of the tokens that half of a domain routed in a layer (of its routing weight with ``score:
weight``), the share that expert e got; E experts, k of them a token, D domains. Signal and ceiling are as in
activation_overlap. Every measure of a pair has an exact floor: one domain's experts renamed at random.

pairs of domains
    ``iou`` of the experts used most; ``weighted_jaccard`` and ``jensen_shannon_bits`` of the shares
one domain
    ``max_specialisation``: the largest share of the domain's tokens that one expert sees (domain
    specialisation of OLMoE, arXiv 2409.02060), floor k/E; ``max_share``: the largest p(domain | expert) over
    the experts at equal budgets, floor 1/D; ``effective_experts``: 2^H(share), of E
all domains
    ``normalised_information``: I(domain; expert) / log2 D in [0, 1] at equal budgets: how much of the domain
    the expert of one routed token tells; floor: the same between the halves of one domain, mean over domains

Only routed experts are compared; the shared one sees every token. A dense model gives no rows. Intervals
are over groups of documents (``metrics.intervals``), for ``score: tokens`` alone; ``permuted`` and
``sep_permuted`` are signal and SEP where labels mean nothing, groups permuted between the domains.
"""

from dataclasses import dataclass
from functools import partial
from typing import ClassVar

import numpy as np

from implicit_sparsity.errors import InputError
from implicit_sparsity.metrics import intervals, overlap, separation
from implicit_sparsity.options import option

from .base import COUNTED, Probe, by_kind, check_comparable, counted, where

VARIABLES = {"tokens": "routed_tokens", "weight": "routed_weight"}


@dataclass
class RoutingOverlap(Probe):
    """Overlap of the experts that domains use."""

    COLUMNS: ClassVar[tuple] = ("layer", "domain_a", "domain_b", "measure", "k", "top", "quantity", "value")
    COLUMNS += ("low", "high", "unit", "n", "groups", "trusted", "score", "experts", "active", "tokens")

    k: tuple[float, ...] = option(
        (0,),
        size="experts",
        besides=(0,),
        help="sizes of the expert sets: shares (< 1) or counts; 0: as many as a token is routed to",
    )
    score: str = option(
        "tokens",
        choices=("tokens", "weight"),
        help="what makes an expert used: tokens, or their routing weight",
    )
    tolerance: float = option(
        0.01, low=0, high=1, help="largest relative difference in tokens between halves"
    )

    draws: int = option(48, low=8, high=4096, help="subsamples of documents behind an interval")

    def variables(self):
        return ("tokens",)

    def optional(self):
        names = ("routed_tokens", VARIABLES[self.score], *COUNTED, "group_routed_tokens")
        return tuple(dict.fromkeys(names))

    def rows(self, datasets):
        mixtures = {domain for domain, dataset in datasets.items() if "routed_tokens" in dataset}
        if not mixtures:
            return []
        if len(mixtures) < len(datasets):
            odd = datasets[min(set(datasets) - mixtures)]
            raise InputError("a store without routing among stores that have it", key=where(odd))
        tokens = check_comparable(datasets, self.tolerance, axis="expert_id")
        routed = {domain: self._routed(dataset) for domain, dataset in datasets.items()}
        groups = {domain: self._groups(dataset) for domain, dataset in datasets.items()}
        first = next(iter(datasets.values()))
        experts, active = first.sizes["expert_id"], _active(first)
        shape = {"score": self.score, "experts": experts, "active": active, "tokens": tokens}
        rows = []
        for i, layer in enumerate(first["layer"].values):
            halves = {
                domain: [_half(share[i], None if some is None else some[:, i]) for share, some in zip(*both)]
                for domain, both in ((d, (routed[d], groups[d])) for d in datasets)
            }
            for keys, parts in self._measured(halves, experts, active):
                chosen = {keys["domain_a"], keys["domain_b"]} - {""} or set(datasets)
                common = {"layer": int(layer), **keys, **counted(*(datasets[domain] for domain in chosen))}
                for quantity, (value, low, high) in parts.items():
                    numbers = {"value": float(value), "low": float(low), "high": float(high)}
                    rows.append(common | {"quantity": quantity} | numbers | shape)
        return by_kind(rows, "layer")

    def _routed(self, dataset):
        """Share of every expert, float64 ``[half, layer, expert]``."""
        counts = dataset[VARIABLES[self.score]].transpose("half", "layer", "expert_id").values
        counts = counts.astype(np.float64)
        if not (counts >= 0).all():
            raise InputError(f"{VARIABLES[self.score]} has negative or undefined entries", key=where(dataset))
        total = counts.sum(axis=-1, keepdims=True)
        if (total == 0).any():
            raise InputError("a layer of a half routed no token", key=where(dataset))
        return counts / total

    def _groups(self, dataset):
        """Tokens routed by groups of each half, float64 ``[half][group, layer, expert]``, or two None."""
        if "group_routed_tokens" not in dataset or self.score != "tokens":
            return None, None
        result = dataset["group_routed_tokens"].transpose("half", "group", "layer", "expert_id").values
        return result.astype(np.float64)

    def _measured(self, halves, experts, active):
        """(keys, {quantity: (value, low, high)}) of one layer; ``halves``: two of every domain."""
        layer = separation.Layer(halves, self.draws)
        for measure in self._comparisons(experts, active):
            for a, b, parts in separation.compared(layer, measure):
                yield _keys(a, b, measure.name, measure.k, measure.top, measure.unit), parts
        yield from self._specialisation(halves, experts, active)

    def _comparisons(self, experts, active):
        for k in (k or active for k in self.k):
            yield separation.iou(k, overlap.size_of(k, experts), experts)
        for name, unit, sign in (("weighted_jaccard", "1", 1), ("jensen_shannon_bits", "bits", -1)):
            compare, chance = getattr(overlap, name), getattr(overlap, f"chance_{name}")
            floors = {"floor": chance}
            yield separation.Measure(name, np.nan, experts, compare, unit=unit, sign=sign, floors=floors)

    def _specialisation(self, halves, experts, active):
        """Of each domain and of all: value, interval where there are groups, floor where there is one."""
        flat = [half for pair in halves.values() for half in pair]
        names = [(d, m) for d in halves for m in ("max_specialisation", "max_share", "effective_experts")]
        names += [("", "normalised_information"), ("", "floor")]
        low = high = np.full(len(names), np.nan)
        if all(half.groups >= intervals.FEWEST for half in flat):
            specialised = partial(_specialised, active=active)
            sums = (half.sums for half in flat)
            _, low, high = intervals.smooth_interval(specialised, *sums, draws=self.draws)
        value = _specialised(*(half.score for half in flat), active=active)
        result = {name: three for name, *three in zip(names, value, low, high)}
        floors = {"max_specialisation": active / experts, "max_share": 1 / len(halves)}
        for (domain, measure), three in result.items():
            if not domain:
                continue
            parts = {"signal": three}
            if measure in floors:
                parts["floor"] = (floors[measure], np.nan, np.nan)
            unit = "experts" if measure == "effective_experts" else "1"
            yield _keys(domain, domain, measure, np.nan, experts, unit), parts
        if len(halves) > 1:
            parts = {"signal": result["", "normalised_information"], "floor": result["", "floor"]}
            yield _keys("", "", "normalised_information", np.nan, experts), parts


def _half(share, groups):
    """Scores are shares of what was routed, of groups of documents too."""
    return separation.Half(share, groups, None if groups is None else groups.sum(axis=-1, keepdims=True))


def _specialised(*halves, active):
    """Of the halves' use ``[..., expert]``, two of each domain in turn: per domain (max specialisation, max
    share, effective experts), then the information of all and, its floor, that of halves of one domain;
    ``[..., 3 D + 2]``."""
    shares = np.stack(np.broadcast_arrays(*(use / use.sum(axis=-1, keepdims=True) for use in halves)))
    whole = (shares[::2] + shares[1::2]) / 2
    with np.errstate(divide="ignore", invalid="ignore"):
        entropy = -np.where(whole > 0, whole * np.log2(whole), 0.0).sum(axis=-1)
    largest = overlap.domain_shares(whole).max(axis=-1)
    result = np.stack([active * whole.max(axis=-1), largest, 2.0**entropy], axis=1)  # [D, 3, ...]
    result = list(result.reshape(-1, *result.shape[2:]))
    several = len(whole) > 1
    result.append(overlap.normalised_information(whole) if several else np.full(result[0].shape, np.nan))
    pairs = [overlap.normalised_information(shares[i : i + 2]) for i in range(0, len(shares), 2)]
    return np.stack([*result, np.mean(pairs, axis=0)], axis=-1)


def _active(dataset) -> int:
    """Experts a token is routed to: all routed tokens over all tokens."""
    each = dataset["routed_tokens"].sum("expert_id").transpose("half", "layer").values
    each = each / dataset["tokens"].values[:, None]
    active = round(float(each.flat[0]))
    if active < 1 or not np.array_equal(each, np.full(each.shape, active)):
        raise InputError(f"not equally many experts for every token ({each.min():g} to {each.max():g})",
                         key=where(dataset))  # fmt: skip
    return active


def _keys(a, b, measure, k, top, unit="1"):
    return {"domain_a": a, "domain_b": b, "measure": measure, "k": k, "top": top, "unit": unit}
