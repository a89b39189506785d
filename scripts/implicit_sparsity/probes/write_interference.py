"""Where did a stage write: on neurons that every domain uses, on an old domain's, or on idle ones?

Energy ||dW||_F^2 of the feed-forward layers by neuron (``write_energy``), of what a stage added to the one
before (``increment``) and of all stages up to it (``total``), and the share of it that lies in sets of
neurons that base activations define (half a of the probe documents): ``hubs``, in the top k of every domain;
``idle``, in none; ``top`` of one domain, which is ``new``, ``old`` or to come ``later``. Layer -1: all
layers together.

``signal``: the share; ``floor``: the set's share of parameters, which a random update gives; ``ratio``:
signal / floor; ``random``: floor, with the range of 95 % of Gaussian matrices of the stage's rank and
shape; ``permuted``, the null: the share where this very energy is permuted among the neurons of each layer,
mean and 95 % range of all permutations (exact mean and variance: nothing is drawn); ``corrected``: signal
over the null's mean, 1 for an update that does not ask what a neuron is used for, however unequal layers
are; ``weights``: the set's share of ||W||_F^2 before any training. Set ``elsewhere``: the share of the
whole update outside these neurons (attention, embeddings, routers), of all layers together.

Intervals are over the groups of documents that define the sets, or over layers where a store has no groups:
the column ``interval`` says which. A stage that wrote nothing has no shares (NaN).
"""

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import ClassVar

import numpy as np

from implicit_sparsity.errors import InputError
from implicit_sparsity.metrics import neuron_sets, overlap, separation
from implicit_sparsity.options import option
from implicit_sparsity.passes import write_energy
from implicit_sparsity.storage.files import read_json

from .base import ActivityProbe, by_form, check_comparable, counted, group_sums, per_token

COUNT, WEIGHTS, WRITES = 0, 1, {"increment": 2, "total": 3}  # columns of what a neuron has
OVER = ("ratio", "corrected")
SHARES = ("signal", "floor", "weights", *OVER)
PERMUTED = len(WRITES)  # so many columns further: the mean over the layer's neurons, as if permuted


@dataclass
class WriteInterference(ActivityProbe):
    """Shares of an update's energy on hubs, old, new and idle neurons."""

    NEEDS: ClassVar[tuple] = ("activations_base", "adapters", "models")
    COLUMNS: ClassVar[tuple] = (
        "layer",
        "write",
        "set",
        "domain",
        "role",
        "k",
        "top",
        "quantity",
        "value",
        "low",
    )
    COLUMNS += ("high", "n", "groups", "trusted", "unit", "interval", "neurons")

    k: tuple[float, ...] = option(
        (0.1,), size="neurons", help="sizes of the sets: shares (< 1) or counts of a layer's neurons"
    )
    tolerance: float = option(
        0.01, low=0, high=1, help="largest relative difference in tokens between halves"
    )
    draws: int = option(64, low=8, high=4096, help="half-samples of documents behind an interval")

    def table(self, *parts):
        """Layers of several forms are put together here."""
        return self.rows(*parts)

    def rows(self, reference, stages, models):
        if not stages or not reference:
            return []
        check_comparable(reference, self.tolerance)
        (model,) = models.values()
        first = next(iter(reference.values()))
        layout = write_energy.Layout.of_store(first, read_json(Path(model) / "config.json"))
        study = read_json(stages[max(stages)] / "stage.json")["study"]
        energies = self._energies(stages, study, model, layout)
        energy = np.stack([energies[write].neurons for write in WRITES], axis=-1)
        weights = _weights(model, layout)
        energy = [part[: layout.size(i)] for i, part in enumerate(energy)]
        used = _halves(reference)
        numbers = counted(*reference.values(), halves=slice(1))
        rows = []
        for k in self.k:
            layers = []
            for i, halves in enumerate(used):
                permuted = np.broadcast_to(energy[i].mean(axis=0), energy[i].shape)
                size = layout.size(i)
                has = np.column_stack([np.ones(size), weights[i, :size], energy[i], permuted])
                layers.append(neuron_sets.sums(halves, overlap.size_of(k, size), has, self.draws))
            for row in self._rows(layers, energy, first["layer"].values, energies, study):
                size = (
                    layout.size(list(first["layer"].values).index(row["layer"])) if row["layer"] >= 0 else 0
                )
                size = size or layout.neurons  # of all layers together: the widest's
                common = {"k": k, "top": overlap.size_of(k, size), **numbers, "unit": "1", "neurons": size}
                rows.append(common | row)
        rows += [
            row | {"neurons": layout.neurons}
            for write in WRITES
            for row in _elsewhere(write, energies[write])
        ]
        return rows

    @staticmethod
    def _energies(stages, study, model, layout):
        """Of the last stage: what it added to the one before, and what there is in total."""
        last = max(stages)
        whole = study.get("form") == "model"
        follows = study.get("previous_sha256") is not None
        if follows and last - 1 not in stages:
            raise InputError("the stage before it is not there", path=stages[last])
        before = stages[last - 1] if follows else None
        if whole:
            total = write_energy.Whole(stages[last], model).energies(layout)
            increment = write_energy.Whole(stages[last], before).energies(layout) if follows else total
        else:
            total = write_energy.Adapter(stages[last], layout).energies()
            increment = write_energy.Adapter(stages[last], layout, before).energies() if follows else total
        return {"increment": increment, "total": total}

    def _rows(self, layers, energy, numbers, energies, study):
        pooled = layers[0]
        for more in layers[1:]:
            pooled = pooled + more
        for write, column in WRITES.items():
            shares = {name: _share(name, column) for name in SHARES}
            for key in pooled.inside:
                common = {"write": write, "set": key[0], "domain": key[1], "role": _role(key[1], study)}
                for number, sums in [*zip(numbers, layers), (-1, pooled)]:
                    at = slice(None) if number == -1 else [list(numbers).index(number)]
                    counts = np.array([x.inside[key][COUNT] for x in layers])[at]
                    written = [part[:, column - 2] for part in energy]
                    written = written if number == -1 else [written[list(numbers).index(number)]]
                    null = self._nulls(counts, written, energies[write].rank or pooled.total[COUNT])
                    for name, share in shares.items():
                        by = "documents" if sums.drawn else "layers" if number == -1 else ""
                        if by == "layers":
                            values = neuron_sets.over_layers(layers, share, key)
                        else:
                            values = sums.interval(share, key)
                        null[name] = (*values, by)
                    for name, (value, low, high, by) in null.items():
                        bounds = {
                            "value": float(value),
                            "low": float(low),
                            "high": float(high),
                            "interval": by,
                        }
                        yield common | {"layer": int(number), "quantity": name} | bounds

    @staticmethod
    def _nulls(counts, energy, rank):
        """{random, permuted}: (value, low, high, interval) of ``counts [L]`` neurons a layer, ``energy``: of
        each layer [N].
        """
        from scipy import stats

        inside, size, total = counts.sum(), sum(map(len, energy)), sum(part.sum() for part in energy)
        degrees = 3 * min(rank, size) / 2  # rows of gate and up, column of down: sums of so many squares
        a, b = inside * degrees, (size - inside) * degrees
        bounds = stats.beta.ppf([0.025, 0.975], a, b) if a > 0 and b > 0 else (inside / size,) * 2
        result = {"random": (inside / size, *bounds, "matrices")}
        each = [neuron_sets.renamed(count, part) for count, part in zip(counts, energy, strict=True)]
        mean, variance = (np.array(parts) for parts in zip(*each, strict=True))
        with np.errstate(invalid="ignore", divide="ignore"):
            middle, spread = mean.sum() / total, 1.96 * np.sqrt(np.maximum(variance, 0).sum()) / total
        return result | {"permuted": (middle, *np.clip([middle - spread, middle + spread], 0, 1), "names")}


@cache
def _weights(model, layout) -> np.ndarray:
    """||W||^2 of every neuron of the base model; a table has many checkpoints of one."""
    return write_energy.Whole(model).energies(layout, neurons_only=True).neurons


def _halves(reference) -> list:
    """Of each layer, in order, half a of every domain: {domain: separation.Half}."""
    result = {}
    for (part,) in by_form(reference):
        scores = {d: per_token(dataset, dataset["sum_abs"])[0] for d, dataset in part.items()}
        for i, layer in enumerate(next(iter(part.values()))["layer"].values.tolist()):
            result[layer] = {d: _half(dataset, scores[d][i], i) for d, dataset in part.items()}
    return [result[layer] for layer in sorted(result)]


def _half(dataset, score, i):
    if "group_sum_abs" not in dataset:
        return separation.Half(score)
    sums, counts, owner = group_sums(dataset, i)
    return separation.Half(score, sums[0], counts[0], owner)


def _share(name, column):
    """A function of (inside [..., Q], total [Q])."""

    def part(inside, total, at):
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.where(total[at] > 0, inside[..., at] / total[at], np.nan)

    def over(other):
        def ratio(inside, total):
            with np.errstate(invalid="ignore", divide="ignore"):
                return part(inside, total, column) / part(inside, total, other)

        return ratio

    if name in OVER:
        return over(COUNT if name == "ratio" else column + PERMUTED)
    at = {"signal": column, "floor": COUNT, "weights": WEIGHTS}[name]
    return lambda inside, total: part(inside, total, at)


def _role(domain, study):
    if not domain:
        return ""
    seen = study["trained_domains"]
    return "new" if domain == seen[-1] else "old" if domain in seen else "later"


def _elsewhere(write, energies):
    common = {
        "layer": -1,
        "write": write,
        "set": "elsewhere",
        "domain": "",
        "role": "",
        "k": np.nan,
        "top": np.nan,
    }
    common |= {
        "low": np.nan,
        "high": np.nan,
        "n": 0,
        "groups": 0,
        "trusted": False,
        "unit": "1",
        "interval": "",
    }
    total = energies.neurons.sum() + energies.elsewhere
    size = energies.parameters + energies.parameters_elsewhere
    yield common | {"quantity": "signal", "value": energies.elsewhere / total if total > 0 else np.nan}
    yield common | {"quantity": "floor", "value": energies.parameters_elsewhere / size}
