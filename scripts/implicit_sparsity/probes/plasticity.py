"""Is a checkpoint as quick to learn as the base model, and how much of its width is still in use?

Of a fixed task of random pairs, learned by a fresh LoRA (``plasticity_task``), layer -1:
``loss_before``, ``loss_after`` the budget's steps, ``learned`` (before - after), ``steps_to_target`` (steps
until the loss is ``target`` of ln V, V the vocabulary: what a guess costs; read off between steps; NaN: not
reached), and the ``curve``, by step and task. Of the reference documents, by layer and domain:
``effective_rank`` and ``stable_rank`` of hidden states less their mean, and ``dormant_share``.

``signal``: the checkpoint's own; ``difference``: less the base model's, on the same pairs or documents;
``floor``: how far two draws of the task lie apart at one checkpoint (mean over pairs of tasks), below which
a difference says nothing; ``ceiling``: the largest rank that so many sampled tokens can have. Intervals are
over pairs (Student's t; the pairs of a task are learned together, so other tasks scatter more: see
``floor``) or, of ranks and dormant shares, over documents (jackknife).
"""

from dataclasses import dataclass
from itertools import combinations
from typing import ClassVar

import numpy as np

from implicit_sparsity.errors import InputError
from implicit_sparsity.metrics import intervals
from implicit_sparsity.options import option

from .base import Probe, where

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
    COLUMNS += ("n", "unit")

    target: float = option(0.5, low=0, high=1, help="share of ln V that the loss has to fall to")

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
        tasks, pairs = now.sizes["task"], now.sizes["task"] * now.sizes["pair"]
        for measure, score in values.items():
            steps = measure == "steps_to_target"
            common = {
                "measure": measure,
                "unit": "steps" if steps else NATS,
                "n": tasks if steps else pairs,
            }
            yield common | {"quantity": "signal"} | _mean(score)
            each = score if steps else score.mean(axis=1)
            apart = [abs(each[a] - each[b]) for a, b in combinations(range(tasks), 2)]
            floor = float(np.mean(apart)) if apart else np.nan
            yield common | {"quantity": "floor", "value": floor, "low": np.nan, "high": np.nan, "n": tasks}
            if paired is not None:
                yield common | {"quantity": "difference"} | _mean(score - paired[measure])

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
    """Mean and 95 % interval over pairs; of one number a task, no interval."""
    from scipy.stats import t

    value, n = float(score.mean()), score.size
    if score.ndim == 1 or n < 2:
        return {"value": value, "low": np.nan, "high": np.nan}
    reach = float(t.ppf(0.975, n - 1) * score.std(ddof=1) / np.sqrt(n))
    return {"value": value, "low": value - reach, "high": value + reach}


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
    documents = now.sizes["left_out"] - 1
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
            low, high = intervals.jackknife_interval(value, scale)
            for place in np.ndindex(low.shape):
                yield _at(now, measure, place) | {
                    "quantity": quantity,
                    "value": float(value[place][0]),
                    "low": float(low[place]),
                    "high": float(high[place]),
                    "n": documents,
                    "unit": unit,
                }
    for i, domain in enumerate(now["domain"].values):
        most = float(min(int(now["sampled"].values[i]) - 1, now.attrs.get("hidden", np.inf)))
        for measure in ("effective_rank", "stable_rank"):
            common = {"measure": measure, "domain": str(domain), "quantity": "ceiling", "value": most}
            yield common | {"low": np.nan, "high": np.nan, "n": documents, "unit": "directions"}


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
