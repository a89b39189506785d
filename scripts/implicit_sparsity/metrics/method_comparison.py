"""Methods against a reference at equal learning: rows of the tables ``fronts`` and ``comparisons``.

Scores in, rows out. A family is one method over its sweep and seeds; P points, S seeds (see ``fronts``).
"""

import json
from dataclasses import dataclass
from functools import partial

import numpy as np

from . import clusters, fronts, inference
from .comparison_columns import COMPARED, POINTS

COVARIATE = "kl_content"


@dataclass
class Entrant:
    """One family in a comparison: its scores and what is reported beside them."""

    metadata: dict  # family, role, of
    methods: list  # the P variants
    scores: fronts.Family
    kl: np.ndarray  # [P]
    trainable: np.ndarray  # [P]
    tokens: np.ndarray  # [P]
    points: list  # swept options
    update_norm: np.ndarray  # [P]


class Comparison:
    """All families of one model, order and score, and the resampled points that all statistics share."""

    def __init__(self, entrants: dict, options: dict, margin: float, groups: list):
        """groups: of each domain in order, the group of each of its documents, arrays [D_j]."""
        self.entrants, self.margin, self.groups = entrants, margin, groups
        self.rule, self.reference = options["at"], options["reference"]
        any_one = next(iter(entrants.values())).scores
        self.sizes = [len(values) for values in any_one.base]
        self.counts = fronts.draw_documents(groups, options["draws"])
        self.points = {name: e.scores.points() for name, e in entrants.items()}
        self.drawn = {name: e.scores.points(self.counts) for name, e in entrants.items()}
        self.seeds = any_one.seeds
        self.without = []
        if self.seeds > 1:
            for seed in range(self.seeds):
                self.without.append({n: e.scores.without(seed).points() for n, e in entrants.items()})
        self.at = self._gain(self.points)

    def _known(self, name, points):
        """(gain, forgetting) of the points that the family has; NaN where a draw or a seed less has none."""
        known = np.isfinite(self.points[name][0])
        return tuple(values[..., known] for values in points[name])

    def _gain(self, points):
        gains = {name: self._known(name, points)[0] for name in points}
        gains = {name: gain for name, gain in gains.items() if gain.shape[-1]}
        return fronts.equal_learning(gains, self.rule, self.reference) if gains else np.nan

    def reaches(self, name) -> bool:
        return bool(np.isfinite(self.at)) and fronts.spans(self.points[name][0], self.at)

    def forgetting(self, name, points):
        """Forgetting [...] of a family at equal learning, for the points of all families."""
        gain, forgotten = self._known(name, points)
        result = fronts.on_front(fronts.front_weights(gain, self._gain(points)), forgotten)
        return np.where(np.isnan(gain).any(axis=-1), np.nan, result)  # another front, without that point

    def weights(self, name):
        return fronts.front_weights(self.points[name][0], self.at)

    def interval(self, statistic, documents):
        """(value, low, high) of ``statistic(points of all families)``: if the front were certain, the mean
        over domains of the means of ``documents``, arrays [D_j]."""
        value = float(statistic(self.points))
        if not documents:
            return value, np.nan, np.nan
        left = [statistic(points) for points in self.without] or [value]
        mean, means = self.mean(documents), fronts.drawn_means(documents, self.counts)
        return value, *fronts.interval(value, statistic(self.drawn), left, mean, means)

    def mean(self, documents) -> clusters.Mean:
        """Of values of documents, arrays [D_j] of the first domains."""
        return inference.stratified_mean(documents, self.groups[: len(documents)])

    def counted(self, domains: int) -> dict:
        """Documents of the first so many domains, groups of the one that has fewest, whether they suffice."""
        groups = min((len(set(names)) for names in self.groups[:domains]), default=0)
        return {"n": sum(self.sizes[:domains]), "groups": groups, "trusted": clusters.trusted(groups)}

    def documents(self, name):
        """Forgetting of each document at equal learning: T - 1 arrays [D_j]."""
        weights = self.weights(name)
        return [fronts.on_front(weights, x.T) for x in self.entrants[name].scores.lost()]

    def pairs(self):
        """(family, what it is compared with): all with the reference, and a control with its method, too."""
        for name, entrant in self.entrants.items():
            yield name, self.reference
            own = entrant.metadata["of"]
            if entrant.metadata["role"] != "method" and own in self.entrants and own != self.reference:
                yield name, own


def comparison_rows(c: Comparison) -> list[dict]:
    """Rows of ``comparisons``, keys as in COMPARED."""
    rows = [_compared(c, name, other) for name, other in c.pairs()]
    adjusted = {row["family"]: row["tost_p"] for row in rows}  # a control stands in two rows, and is one test
    adjusted = dict(zip(adjusted, inference.holm(list(adjusted.values()))))
    for row, p in zip(rows, inference.holm([row["p"] for row in rows])):
        row |= {"p_holm": p, "tost_p_holm": adjusted[row["family"]]}
    return [{column: row.get(column, np.nan) for column in COMPARED} for row in rows]


def _compared(c, name, other) -> dict:
    entrant, reaches = c.entrants[name], c.reaches(name)
    row = entrant.metadata | {"against": other, "seeds": c.seeds, "learned_gain": float(c.at)}
    row |= {"points": int(np.isfinite(c.points[name][0]).sum())} | c.counted(len(c.sizes) - 1)
    row |= {"margin": c.margin, "p": np.nan, "tost_p": np.nan, "note": _note(c, name, other)}
    row |= dict(zip(("noise_sd", "noise_range", "noise_runs"), fronts.noise(entrant.scores.each()[1])))
    row |= _budget(entrant, c.entrants.get(c.reference))
    if not reaches:
        return row
    mine = c.documents(name)
    row |= _named("forgetting", c.interval(lambda points: c.forgetting(name, points), mine))
    row["kl_newest"] = float(fronts.on_front(c.weights(name), entrant.kl))
    row["update_norm"] = float(fronts.on_front(c.weights(name), entrant.update_norm))
    row["tost_p"] = inference.tost(c.mean(mine), c.margin)
    if name == other or other not in c.entrants or not c.reaches(other):
        return row
    apart = [a - b for a, b in zip(mine, c.documents(other), strict=True)]
    difference = c.interval(lambda points: c.forgetting(name, points) - c.forgetting(other, points), apart)
    row |= _named("difference", difference)
    paired = c.mean(apart)
    return row | {"p": inference.p_value(paired), "detectable": inference.detectable(paired)}


def _budget(entrant, reference) -> dict:
    result = {}
    for name in ("trainable", "tokens"):
        mine, theirs = (_most(getattr(e, name)) if e else np.nan for e in (entrant, reference))
        result |= {name: mine, f"{name}_ratio": mine / theirs if theirs else np.nan}
    return result


def _most(values) -> float:
    return float(np.nanmax(values)) if np.isfinite(values).any() else np.nan


def _note(c, name, other) -> str:
    gain = c.points[name][0]
    known, notes = gain[np.isfinite(gain)], []
    if len(c.sizes) < 2:
        notes.append("one domain: nothing to forget")
    elif not len(known):
        notes.append("no whole run")
    elif not np.isfinite(c.at):
        notes.append(f"the reference {c.reference} has no whole run")
    elif not c.reaches(name):
        span = f"{known.min():.3g}" if len(known) == 1 else f"{known.min():.3g} to {known.max():.3g}"
        what = "one point, no front: learned" if len(known) == 1 else "front reaches from"
        notes.append(f"{what} {span}, not {float(c.at):.3g}")
    elif name == other:
        notes.append("the reference")
    elif other not in c.entrants or not c.reaches(other):
        notes.append(f"{other} is not known at this gain")
    if c.seeds == 1:
        notes.append("one seed: intervals over groups alone, no noise floor")
    if len(c.sizes) > 1 and not (counted := c.counted(len(c.sizes) - 1))["trusted"]:
        notes.append(f"{counted['groups']} groups of documents: intervals and tests are not to be trusted")
    whole = np.isfinite(c.entrants[name].scores.each()[0])
    if not whole.all():
        notes.append(f"{int((~whole).sum())} of {whole.size} runs are not whole")
    return "; ".join(notes)


def front_rows(c: Comparison) -> list[dict]:
    """Rows of ``fronts``: a row a family and point, keys as in POINTS."""
    rows = []
    for name, entrant in c.entrants.items():
        runs, gained, lost = entrant.scores.each(), entrant.scores.gained(), entrant.scores.lost()
        for p, method in enumerate(entrant.methods):
            row = entrant.metadata | {"method": method, "point": json.dumps(entrant.points[p])}
            row |= {"seeds": int(np.isfinite(runs[0][p]).sum())} | c.counted(len(c.sizes))
            for i, (axis, documents) in enumerate((("learned", gained), ("forgetting", lost))):
                bounds = c.interval(partial(_point, name, i, p), [x[p] for x in documents])
                row |= _named(axis, bounds) | {f"{axis}_sd": fronts.noise(runs[i][p : p + 1])[0]}
            row["learned_gain"] = row.pop("learned")
            row["tost_p"] = inference.tost(c.mean([x[p] for x in lost]), c.margin)
            row |= {
                "kl_newest": entrant.kl[p],
                "update_norm": entrant.update_norm[p],
                "trainable": entrant.trainable[p],
                "tokens": entrant.tokens[p],
            }
            rows.append({key: row[key] for key in ("family", "role", "of", *POINTS)})
    return rows


def _point(name, axis, p, points):
    """Learned gain (axis 0) or forgetting (1) of point p of a family."""
    return points[name][axis][..., p]


def _named(name, bounds) -> dict:
    return dict(zip((name, f"{name}_low", f"{name}_high"), bounds))
