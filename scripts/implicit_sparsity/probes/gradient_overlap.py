"""Do gradients of two domains point the same way? Per layer and kind of weight, with nulls and ceilings.

Read are sketches of single documents' gradients (``gradients``), the modules of one kind in a layer
side by side; layer -1, kind "all": all of them. Documents of one group are no two observations: their mean
gradient is one, and all below is of these. Rows of a domain with itself have what its own halves give.

cosine
    ``signal``: between the mean gradients of a half of one domain and a half of the other, mean of the four
    pairings; ``ceiling``: between two halves of one domain (of a pair: mean of the two); ``floor``: the mean
    absolute cosine of random directions, sqrt(2 / (pi d)), d the numbers of a sketch, and ``floor_d_eff`` the
    same for the effective dimension of the groups' scatter (``d_eff``); ``permuted``: the signal where
    groups are dealt to the two domains anew, with the range of 95 % of the deals; ``disattenuated``: what
    is left without the groups' noise (``document_gradients.mean_cosine``); ``sketch_error``: its standard
    error that comes from sketching, a jackknife over the columns of the projection; its interval is a
    bootstrap over groups, widened by that error; ``sep``: 1 - signal / ceiling, as unrelated gradients
    have no cosine
subspace
    ``||U'V||^2 / k`` of the k leading directions of the groups of a half (not centred); ``floor``: k / d
angle
    the mean principal angle between these, in radians; no floor in closed form, the null is ``permuted``

Rows with ``source_a`` and ``source_b``: cosines of two sources, of one domain or of two (``source_pairs``).

NaN: a gradient of zeros, halves that share nothing (no ceiling), fewer than k directions, or
than 4 groups of a domain (no interval, no d_eff).
"""

from dataclasses import dataclass
from itertools import combinations
from typing import ClassVar

import numpy as np
from scipy.linalg import block_diag

from implicit_sparsity.errors import InputError
from implicit_sparsity.metrics import clusters, document_gradients, gradients, overlap
from implicit_sparsity.metrics.source_pairs import named, units_by_source
from implicit_sparsity.options import option
from implicit_sparsity.randomness import stream_seed

from .base import Probe, where

WHOLE = (-1, "all")
UNITS = {"subspace": "1", "angle": "radians"}


@dataclass
class GradientOverlap(Probe):
    """Cosines and shared directions of per-document gradients."""

    NEEDS: ClassVar[tuple] = ("gradients",)
    COLUMNS: ClassVar[tuple] = ("layer", "kind", "domain_a", "domain_b", "source_a", "source_b", "measure")
    COLUMNS += ("k", "quantity", "value", "low", "high", "n", "groups", "trusted", "unit", "d")

    k: tuple = option((4,), low=1, help="directions of a half's subspace, at most its documents")
    resamples: int = option(2000, low=100, high=100000, help="bootstrap resamples of the groups of documents")
    permutations: int = option(100, low=20, high=100000, help="deals of the groups to two domains")

    def __post_init__(self):
        super().__post_init__()
        for k in self.k:
            if k != int(k):
                raise InputError(f"{k} is no number of directions", key="k")

    def rows(self, datasets):
        self._check(datasets)
        places, averages = _units(datasets)
        of_sources = units_by_source(datasets, places)
        pairs = [*combinations(datasets, 2), *combinations(of_sources, 2)]
        places |= of_sources
        groups, sizes, grams, errors = _groups(datasets, places, averages, pairs)
        rows = []
        for pair in (*((domain, domain) for domain in datasets), *pairs):
            halves = [half for name in dict.fromkeys(pair) for half in places[name]]
            index, counts = np.concatenate(halves), [len(half) for half in halves]
            gram = grams[:, index[:, None], index]
            own = len(halves) == 2
            measured = (
                self._own(gram, counts) if own else self._pair(gram, counts, sizes, pair, *errors[pair])
            )
            documents = [(averages[half] > 0).sum() for half in halves]
            n, fewest = (min(sum(x[i : i + 2]) for i in range(0, len(x), 2)) for x in (documents, counts))
            numbers = {"n": int(n), "groups": fewest, "trusted": clusters.trusted(fewest)}
            for row in _long(groups, sizes, pair, measured):
                rows.append({column: (row | numbers)[column] for column in self.COLUMNS})
        return rows

    def _check(self, datasets) -> None:
        """InputError unless the stores can be compared and suffice."""
        shapes = {}
        for domain, dataset in datasets.items():
            if dataset.sizes["half"] != 2:
                raise InputError(f"{dataset.sizes['half']} halves, not 2", key=where(dataset))
            if not np.isfinite(dataset["sketch"].values).all():
                raise InputError("a sketch is not finite", key=where(dataset))
            names = tuple(dataset["module"].values.tolist())
            shapes[domain] = (dataset.sizes["document"], dataset.sizes["dim"], names)
        odd = next((domain for domain in shapes if shapes[domain] != next(iter(shapes.values()))), None)
        if odd:
            raise InputError("another number of documents, or other weights, than the stores before it",
                             key=where(datasets[odd]))  # fmt: skip
        half = next(iter(shapes.values()))[0]
        if max(2, *self.k) > half:
            raise InputError(
                f"{half} documents in a half are too few for {max(2, *self.k)} directions",
                key="probes.gradient_overlap.k",
            )

    def _own(self, gram, counts):
        """(measure, k, quantity, values, (low, high) or None, unit) of one domain, ``gram [group, n, n]``.

        counts: units of each half.
        """
        d_eff = _noise_dimension(gram, gram, gram)
        result = [("cosine", np.nan, "ceiling", _cosines(gram, counts)[1], None, "1")]
        result.append(("cosine", np.nan, "d_eff", d_eff, None, "dimensions"))
        for k in self.k:
            for measure, ceiling in _subspaces(gram, counts, k).items():
                result.append((measure, k, "ceiling", ceiling, None, UNITS[measure]))
        return result

    def _pair(self, gram, counts, sizes, pair, error, wide):
        """The same of two domains (of two sources: cosines alone), units of the first before the second's.

        error: standard error by sketching; wide: half of its interval.
        """
        n = sum(counts[:2])
        grams = gram[:, :n, n:], gram[:, :n, :n], gram[:, n:, n:]
        random = np.random.default_rng(stream_seed(0, "gradient_overlap", *np.ravel(pair)))
        deals = [random.permutation(sum(counts)) for _ in range(self.permutations)]
        signal, ceiling = _cosines(gram, counts)
        d_eff = _noise_dimension(*grams)
        cosine = document_gradients.mean_cosine(*grams)
        low = high = np.full_like(cosine, np.nan)
        if min(grams[0].shape[-2:]) >= document_gradients.FEWEST:
            low, high = document_gradients.mean_cosine_interval(*grams, resamples=self.resamples)
        bounds = (cosine - np.hypot(cosine - low, wide), cosine + np.hypot(high - cosine, wide))
        null = np.where(np.isnan(d_eff), np.nan, gradients.random_cosine(np.nan_to_num(d_eff, nan=1.0)))
        parts = {"signal": signal, "ceiling": ceiling, "floor": gradients.random_cosine(sizes)}
        parts |= {"floor_d_eff": null, "sep": overlap.separation(ceiling, signal, 0.0)}
        result = [("cosine", np.nan, quantity, values, None, "1") for quantity, values in parts.items()]
        result.append(("cosine", np.nan, "d_eff", d_eff, None, "dimensions"))
        result.append(("cosine", np.nan, "disattenuated", cosine, bounds, "1"))
        result.append(("cosine", np.nan, "sketch_error", error, None, "1"))
        dealt = [_cosines(gram[:, deal[:, None], deal], counts)[0] for deal in deals]
        result.append(("cosine", np.nan, "permuted", *_spread(dealt), "1"))
        for k in self.k if isinstance(pair[0], str) else ():
            parts = (slice(n), counts[:2]), (slice(n, None), counts[2:])
            own = [_subspaces(gram[:, at, at], some, k) for at, some in parts]
            dealt = [_subspaces(gram[:, deal[:, None], deal], counts, k) for deal in deals]
            for measure, signal in _subspaces(gram, counts, k).items():
                parts = {"signal": signal, "ceiling": (own[0][measure] + own[1][measure]) / 2}
                if measure == "subspace":
                    floor = np.minimum(k / sizes, 1)
                    parts |= {"floor": floor, "sep": overlap.separation(parts["ceiling"], signal, floor)}
                unit = UNITS[measure]
                result += [(measure, k, quantity, values, None, unit) for quantity, values in parts.items()]
                result.append((measure, k, "permuted", *_spread([each[measure] for each in dealt]), unit))
        return result


def _units(datasets):
    """(domain -> units of half a and of half b, by number; float64 [units, documents], whose means they are).

    A unit is a group of documents of a half.
    """
    places, blocks, first = {}, [], 0
    for domain, dataset in datasets.items():
        places[domain] = []
        for names in dataset["group"].transpose("half", "document").values:
            inside = clusters.members(names)
            blocks.append(inside / inside.sum(axis=1, keepdims=True))
            places[domain].append(np.arange(first, first + len(inside)))
            first += len(inside)
    return places, block_diag(*blocks)


def _groups(datasets, places, averages, pairs):
    """((layer, kind) of each group, numbers of its sketch, inner products [group, n, n], sketch errors).

    Units are ordered by domain, half and group. A weight's sketches are in float64 one group at a time.
    """
    first = next(iter(datasets.values()))
    columns = [np.flatnonzero(first["column"].values == c) for c in np.unique(first["column"].values)]
    keys = list(zip(first["layer"].values.tolist(), first["kind"].values.tolist()))
    sketches = [
        dataset["sketch"].transpose("half", "document", "module", "dim") for dataset in datasets.values()
    ]
    sketches = [values.values.reshape(-1, *values.shape[2:]) for values in sketches]
    groups, sizes, grams, errors, whole = list(dict.fromkeys(keys)), [], [], [], 0.0
    for group in groups:
        modules = [i for i, key in enumerate(keys) if key == group]
        x = np.concatenate([values[:, modules] for values in sketches]).astype(np.float64)
        x = np.tensordot(averages, x, axes=1)
        parts = np.stack([(y := x[:, :, c].reshape(len(x), -1)) @ y.T for c in columns])
        whole = whole + parts
        sizes.append(x[0].size)
        grams.append(parts.sum(axis=0))
        errors.append(_sketch_errors(parts, places, pairs))
    groups.append(WHOLE)
    sizes.append(sum(sizes))
    grams.append(whole.sum(axis=0))
    errors.append(_sketch_errors(whole, places, pairs))
    errors = {pair: np.array([result[pair] for result in errors]).T for pair in pairs}
    return groups, np.array(sizes), np.stack(grams), errors


def _sketch_errors(parts, places, pairs):
    """{pair: (jackknife standard error of the cosine over columns, half of its 95 % interval)}.

    parts: inner products by column, ``[column, n, n]``; NaN where one column is all there is.
    """
    from scipy import stats

    left, count = parts.sum(axis=0) - parts, len(parts)
    at, errors = {name: np.concatenate(halves) for name, halves in places.items()}, {}
    for a, b in pairs:
        grams = (left[:, at[x][:, None], at[y]] for x, y in ((a, b), (a, a), (b, b)))
        cosines = document_gradients.mean_cosine(*grams)
        error = np.sqrt((count - 1) * cosines.var()) if count > 1 else np.nan
        errors[a, b] = error, error * stats.t.isf(0.025, max(1, count - 1))
    return errors


def _noise_dimension(ab, aa, bb):
    if min(ab.shape[-2:]) < document_gradients.FEWEST:
        return np.full(len(ab), np.nan)
    return document_gradients.noise_dimension(ab, aa, bb)


def _cosines(gram, counts):
    """(signal, ceiling) of each group; the units of each domain lie side by side, half by half."""
    halves = np.repeat(np.eye(len(counts)), counts, axis=1)
    cosines = document_gradients.half_cosines(gram, halves)
    ceiling = np.mean([cosines[:, i, i + 1] for i in range(0, len(counts), 2)], axis=0)
    return cosines[:, :2, 2:].mean(axis=(-2, -1)) if len(counts) > 2 else None, ceiling


def _subspaces(gram, counts, k):
    """{measure: signal, or the ceiling of one domain} of the overlap and mean angle of leading directions."""
    if min(counts) < k:
        return {name: np.full(len(gram), np.nan) for name in UNITS}
    ends = np.cumsum([0, *counts])
    halves = [slice(*ends[i : i + 2]) for i in range(len(counts))]
    spans = [document_gradients.leading_directions(gram[:, at, at], k) for at in halves]
    pairs = [(i, j) for i in (0, 1) for j in (2, 3)] if len(counts) > 2 else [(0, 1)]
    cosines = np.array(
        [
            document_gradients.principal_cosines(gram[:, halves[i], halves[j]], spans[i], spans[j])
            for i, j in pairs
        ]
    )
    return {
        name: f(cosines).mean(axis=(0, -1)) for name, f in (("subspace", np.square), ("angle", np.arccos))
    }


def _spread(values):
    """(mean, (2.5 %, 97.5 %)) over deals, ``[deal, group]``."""
    return np.mean(values, axis=0), tuple(np.quantile(values, [0.025, 0.975], axis=0))


def _long(groups, sizes, pair, measured):
    return [
        {
            "layer": layer,
            "kind": kind,
            **named(*pair),
            "measure": measure,
            "k": k,
            "quantity": quantity,
            "value": float(values[g]),
            "low": float(bounds[0][g]) if bounds else np.nan,
            "high": float(bounds[1][g]) if bounds else np.nan,
            "unit": unit,
            "d": int(sizes[g]),
        }
        for measure, k, quantity, values, bounds, unit in measured
        for g, (layer, kind) in enumerate(groups)
    ]
