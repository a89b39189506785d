"""Is a checkpoint as quick to learn as the base model, and how much of its width is still in use?

Of a fixed task of random pairs, learned by a fresh LoRA (``plasticity_task``), layer -1:
``loss_before``, ``loss_after`` the budget's steps, ``learned`` (before - after), ``steps_to_target`` (steps
until the loss is ``target`` of ln V, V the vocabulary: what a guess costs; read off between steps; NaN: not
reached), and the ``curve``, by step and task. Of the reference documents, by layer and domain:
``effective_rank`` and ``stable_rank`` of hidden states less their mean, and ``dormant_share``.

``signal``: the checkpoint's own; ``difference``: less the base model's, on the same pairs or documents;
``floor`` of a difference: SD between tasks of each task's own difference, so that a task which is harder at
both checkpoints adds nothing; ``ceiling``: the largest rank that so many sampled tokens can have. The pairs
of a task are learned together, so intervals are over tasks (``groups``; ``clusters.clustered_mean``) or, of
ranks and dormant shares, over documents (jackknife).
"""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from implicit_sparsity.errors import InputError
from implicit_sparsity.metrics import clusters, intervals
from implicit_sparsity.options import option

from .base import Probe, by_group, where

RANKS = {"effective_rank": "directions", "stable_rank": "directions", "dormant_share": "1"}
NATS = "nats per token"


@dataclass
class Plasticity(Probe):
    """Learning of a fixed task, and ranks and idle neurons, beside the base model's."""

    NEEDS: ClassVar[tuple] = ("plasticity_task", "plasticity_task_base")
    COLUMNS: ClassVar[tuple] = (
        "layer",
        "domain",
        "measure",
        "tau",
        "task",
        "step",
        "quantity",
        "value",
        "low",
        "high",
    )
    COLUMNS += ("n", "groups", "trusted", "unit")

    target: float = option(0.5, above=0, high=1, help="share of ln V that the loss has to fall to")

    def rows(self, here, base):
        if not here:
            return []
        now = here[""]
        _check(now)
        before = base.get("") if base and now.attrs["checkpoint"] != "base" else None
        if before is not None:
            _check(before)
            if before.attrs["options"] != now.attrs["options"]:
                raise InputError("measured with other options than the base model", key=where(now))
        empty = {"layer": -1, "domain": "", "tau": np.nan, "task": np.nan, "step": np.nan}
        rows = [*self._learning(now, before), *_curves(now), *_widths(now, before)]
        return [empty | row for row in rows]

    def _learning(self, now, before):
        values, paired = self._scores(now), self._scores(before) if before is not None else None
        for measure, score in values.items():
            common = {"measure": measure, "unit": "steps" if measure == "steps_to_target" else NATS}
            yield common | {"quantity": "signal"} | _mean(score)
            if paired is not None:
                change = score - paired[measure]
                yield common | {"quantity": "difference"} | _mean(change)
                yield common | {"quantity": "floor"} | _mean(change) | _spread(change)

    def _scores(self, store) -> dict:
        """measure -> [task, pair], or [task] for steps."""
        before, after, curve = (
            store[name].values.astype(np.float64) for name in ("before", "after", "curve")
        )
        target = self.target * np.log(store.attrs["vocabulary"])
        steps = np.array([steps_to(line, target) for line in curve])
        scores = {"loss_before": before, "loss_after": after, "learned": before - after}
        return scores | {"steps_to_target": steps}


def steps_to(curve, target: float) -> float:
    """Steps after which the loss is at or below ``target``, read off a straight line between two steps."""
    below = np.flatnonzero(np.asarray(curve) <= target)
    if not len(below):
        return np.nan
    step = int(below[0])
    if step == 0:
        return 0.0
    return step - (target - curve[step]) / (curve[step - 1] - curve[step])


def _mean(score) -> dict:
    """Mean of [task, pair] or [task] and its 95 % interval, tasks being the groups of pairs."""
    tasks = np.repeat(np.arange(len(score)), score[0].size)
    mean = clusters.clustered_mean(score.ravel(), tasks)
    low, high = intervals.mean_interval(mean)
    known = {"value": mean.value, "low": low, "high": high, "n": mean.n, "groups": mean.groups}
    return known | {"trusted": clusters.trusted(mean.groups)}


def _spread(change) -> dict:
    """SD between tasks of each task's mean; one task has none."""
    each = change.reshape(len(change), -1).mean(axis=1)
    value = float(each.std(ddof=1)) if len(each) > 1 else np.nan
    return {"value": value, "low": np.nan, "high": np.nan}


def _curves(store):
    for task, line in enumerate(store["curve"].values):
        for step, value in enumerate(line):
            common = {
                "measure": "curve",
                "task": task,
                "step": step,
                "quantity": "signal",
                "value": float(value),
            }
            yield common | {"low": np.nan, "high": np.nan, "n": store.sizes["pair"], "unit": NATS}


def _widths(now, before):
    groups = [by_group(names) for names in now["group"].values]
    for measure, unit in RANKS.items():
        dims = (
            ("domain", "tau", "layer", "left_out")
            if measure == "dormant_share"
            else ("domain", "layer", "left_out")
        )
        values = {"signal": now[measure].transpose(*dims).values}
        if before is not None:
            values["difference"] = values["signal"] - before[measure].transpose(*dims).values
        for quantity, value in values.items():
            scale = "log" if quantity == "signal" and unit == "directions" else "linear"
            for place in np.ndindex(value.shape[:-1]):
                sizes, counted = groups[place[0]]
                low, high = intervals.jackknife_interval(value[place][: 1 + len(sizes)], scale, sizes=sizes)
                numbers = {"value": float(value[place][0]), "low": float(low), "high": float(high)}
                yield _at(now, measure, place) | {"quantity": quantity, "unit": unit} | numbers | counted
    for i, domain in enumerate(now["domain"].values):
        most = float(min(int(now["sampled"].values[i]) - 1, now.attrs.get("hidden", np.inf)))
        for measure in ("effective_rank", "stable_rank"):
            common = {"measure": measure, "domain": str(domain), "quantity": "ceiling", "value": most}
            yield common | {"low": np.nan, "high": np.nan, "unit": "directions"} | groups[i][1]


def _at(store, measure, place) -> dict:
    result = {"measure": measure, "domain": str(store["domain"].values[place[0]])}
    if measure == "dormant_share":
        result["tau"] = float(store["tau"].values[place[1]])
    return result | {"layer": int(store["layer"].values[place[-1]])}


def _check(store) -> None:
    for name in ("before", "after", "curve", *RANKS):
        bad = np.isinf(store[name].values) if name in RANKS else ~np.isfinite(store[name].values)
        if bad.any():
            raise InputError(f"{name} is not finite", key=where(store))
