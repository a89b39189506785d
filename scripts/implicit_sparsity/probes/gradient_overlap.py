"""Do gradients of two domains point the same way? Per layer and kind of weight, with nulls and ceilings.

Read are sketches of single documents' gradients (``gradients``), the modules of one kind in a layer
side by side; layer -1, kind "all": all of them. Documents of one group are no two observations: their mean
gradient is one, and all below is of these. Rows of a domain with itself have what its own halves give.

cosine
    ``signal``: between the mean gradients of a half of one domain and a half of the other, mean of the
    four pairings; ``ceiling``: between two halves of one domain (of a pair: mean of the two); ``floor``:
    the mean absolute cosine of random directions, sqrt(2 / (pi d)), d the numbers of a sketch, and
    ``floor_d_eff`` the same for the effective dimension of the groups' scatter (``d_eff``); ``permuted``:
    the signal where groups are permuted between the two domains, with the range of 95 % of the
    permutations; ``disattenuated``: what is left without the groups' noise
    (``document_gradients.mean_cosine``); ``sketch_error``: its standard error that comes from sketching,
    a jackknife over the columns of the projection; its interval is a bootstrap over groups, widened by
    that error; ``sep``: 1 - signal / ceiling, as unrelated gradients have no cosine
subspace
    ``||U'V||^2 / k`` of the k leading directions of the groups of a half (not centred); ``floor``: k / d
angle
    the mean principal angle between these, in radians; no floor in closed form, the null is ``permuted``

Rows with ``source_a`` and ``source_b``: cosines of two sources, of one domain or of two (``source_pairs``).

NaN: a gradient of zeros, halves that share nothing (no ceiling), fewer than k directions, or
than 4 groups of a domain (no interval, no d_eff).
"""

from dataclasses import dataclass
from itertools import chain, combinations
from typing import ClassVar

import numpy as np

from implicit_sparsity.errors import InputError
from implicit_sparsity.metrics import clusters, gradient_measures, gradient_products
from implicit_sparsity.metrics.source_pairs import named, units_by_source
from implicit_sparsity.options import option
from implicit_sparsity.randomness import stream_seed

from .base import Probe, where


@dataclass
class GradientOverlap(Probe):
    """Cosines and shared directions of per-document gradients."""

    NEEDS: ClassVar[tuple] = ("gradients",)
    COLUMNS: ClassVar[tuple] = ("layer", "kind", "domain_a", "domain_b", "source_a", "source_b", "measure")
    COLUMNS += ("k", "quantity", "value", "low", "high", "n", "groups", "trusted", "unit", "d")

    k: tuple[int, ...] = option(
        (4,), low=1, high="probes.gradients.documents", help="directions of a half's subspace"
    )
    resamples: int = option(2000, low=100, high=100000, help="bootstrap resamples of the groups of documents")
    permutations: int = option(100, low=20, high=100000, help="deals of the groups to two domains")

    def rows(self, datasets):
        self._check(datasets)
        units, averages = gradient_products.units(datasets)
        of_sources = units_by_source(datasets, units)
        pairs = [*combinations(datasets, 2), *combinations(of_sources, 2)]
        units |= of_sources
        products = gradient_products.products(datasets, units, averages, pairs)
        rows = []
        for pair in (*((domain, domain) for domain in datasets), *pairs):
            halves = [half for name in dict.fromkeys(pair) for half in units[name]]
            documents, counts = [(averages[half] > 0).sum() for half in halves], list(map(len, halves))
            n, fewest = (min(sum(x[i : i + 2]) for i in range(0, len(x), 2)) for x in (documents, counts))
            numbers = {"n": int(n), "groups": fewest, "trusted": clusters.trusted(fewest)}
            for row in _long(products, self._measured(products, pair, np.concatenate(halves), counts)):
                row |= named(*pair) | numbers
                rows.append({column: row[column] for column in self.COLUMNS})
        return rows

    def _measured(self, products, pair, index, counts):
        """What is measured of a domain, of two, or of two sources (cosines alone); index: of their units."""
        gram = products.grams[:, index[:, None], index]
        if len(counts) == 2:
            within = [gradient_measures.subspaces_within(gram, counts, k) for k in self.k]
            return [*gradient_measures.cosines_within(gram, counts), *chain(*within)]
        random = np.random.default_rng(stream_seed(0, "gradient_overlap", *np.ravel(pair)))
        deals = [random.permutation(sum(counts)) for _ in range(self.permutations)]
        errors, sizes = products.errors[pair], products.sizes
        cosines = gradient_measures.cosines_between(gram, counts, sizes, errors, deals, self.resamples)
        ks = self.k if isinstance(pair[0], str) else ()
        between = [gradient_measures.subspaces_between(gram, counts, sizes, deals, k) for k in ks]
        return [*cosines, *chain(*between)]

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


def _long(products, measured):
    """A row of each quantity and (layer, kind)."""
    return [
        {
            "layer": layer,
            "kind": kind,
            "measure": each.measure,
            "k": each.k,
            "quantity": each.quantity,
            "value": float(each.values[i]),
            "low": float(each.bounds[0][i]) if each.bounds else np.nan,
            "high": float(each.bounds[1][i]) if each.bounds else np.nan,
            "unit": each.unit,
            "d": int(products.sizes[i]),
        }
        for each in measured
        for i, (layer, kind) in enumerate(products.weights)
    ]
