"""Forgetting at equal learning: read off a method's front, never at one point of it. NumPy in, NumPy out.

A family of runs is one method at several learning rates (its points) in several seeds. A point is the mean
over seeds of (learned gain, Chaudhry's forgetting); the front runs straight from point to point in the order
of their gains. Shapes: P points, S seeds, T stages and domains in the order trained, D_j documents of domain
j, B draws.

Intervals are theta +- sqrt(t_D^2 V_D + t_S^2 V_S), each variance with Student's t of its own degrees of
freedom (one t by Satterthwaite covered 91 % where three seeds dominate). V_D is over draws of whole groups
of documents (``clusters``): bootstrap within each domain, the same draw for all methods, so that differences
are paired. Few groups scatter too little in a bootstrap: V_D is multiplied by as much as the variance of the
mean over documents, drawn alike, falls short of that of its jackknife, whose degrees of freedom it has. V_S
is over seeds, leaving out one at a time, for all methods (a bootstrap of three seeds has ten different
draws, and is a fifth too narrow). What seeds and documents share is counted twice, which widens an interval
a little where it dominates. One seed: over groups alone. Where seeds scatter a point's gain by half the
distance to the next, the front itself is uncertain, and intervals cover about 88 %.
"""

from dataclasses import dataclass

import numpy as np

from . import clusters


@dataclass(frozen=True)
class Family:
    """base: T arrays [D_j]; runs: T arrays [P, S, T, D_j], NaN where not measured; sign: -1 for losses."""

    base: list
    runs: list
    sign: float = 1.0

    def without(self, seed: int) -> "Family":
        return Family(self.base, [np.delete(x, seed, axis=1) for x in self.runs], self.sign)

    @property
    def seeds(self) -> int:
        return self.runs[0].shape[1]

    def each(self, counts=None):
        """(learned gain, forgetting) of each run, [P, S] or [B, P, S]; NaN where either is not known."""
        gain, forgotten = learned_and_forgotten(self, counts)
        whole = np.isfinite(gain) & np.isfinite(forgotten)
        return np.where(whole, gain, np.nan), np.where(whole, forgotten, np.nan)

    def points(self, counts=None):
        """(learned gain, forgetting) of each point, mean over seeds: [P], or [B, P] for ``counts``."""
        return tuple(mean_of_known(x, axis=-1) for x in self.each(counts))

    def gained(self) -> list:
        """Learned gain of each document just after its domain's stage, mean over seeds: T arrays [P, D_j]."""
        whole = np.isfinite(self.each()[0])[..., None]
        gains = [self.sign * (x[:, :, j] - self.base[j]) for j, x in enumerate(self.runs)]
        return [mean_of_known(np.where(whole, gain, np.nan), axis=1) for gain in gains]

    def lost(self) -> list:
        """Forgetting of each document of the domains but the last, mean over seeds: T - 1 arrays [P, D_j].

        A run's best stage is that of its domain's mean, so that the mean over documents is its forgetting.
        """
        result = []
        for j, x in enumerate(self.runs[:-1]):
            means = self.sign * x.mean(axis=-1)
            seen = means[..., j:-1]
            best = j + np.where(np.isnan(seen).any(axis=-1, keepdims=True), -np.inf, seen).argmax(axis=-1)
            then = np.take_along_axis(x, best[..., None, None], axis=2)[:, :, 0]
            whole = np.isfinite(self.each()[1])[..., None]
            result.append(mean_of_known(np.where(whole, self.sign * (then - x[:, :, -1]), np.nan), axis=1))
        return result


def learned_and_forgotten(family: Family, counts=None):
    """``continual.metrics``' learned_gain and forgetting of each run, [P, S]; [B, P, S] where documents count
    ``counts`` (T arrays [B, D_j]) times."""
    gains, losses, last = [], [], len(family.runs) - 1
    for j, (base, x) in enumerate(zip(family.base, family.runs, strict=True)):
        weights = np.ones(len(base)) if counts is None else counts[j]
        weights = weights / weights.sum(axis=-1, keepdims=True)
        means = family.sign * np.tensordot(weights, x, axes=(-1, -1))
        before = family.sign * (weights @ base)
        gains.append(means[..., j] - np.expand_dims(before, (-2, -1)))
        if j < last:
            losses.append(means[..., j:-1].max(axis=-1) - means[..., -1])
    return np.mean(gains, axis=0), np.mean(losses, axis=0) if losses else np.full_like(gains[0], np.nan)


def draw_documents(groups, draws: int, seed: int = 0) -> list:
    """How often each document counts in each of B bootstrap draws of whole groups: arrays [B, D_j].

    groups: T arrays [D_j], the group of each document.
    """
    rng = np.random.default_rng(seed)
    return [clusters.draw(names, draws, rng) for names in groups]


def drawn_means(documents, counts) -> np.ndarray:
    """Mean over domains of the means of ``documents`` (arrays [D_j]) in each draw, [B]."""
    return np.mean([(c @ x) / c.sum(axis=-1) for x, c in zip(documents, counts)], axis=0)


def spans(gain, at) -> bool:
    """Whether a front through points of these gains [P] reaches ``at``."""
    if not np.isfinite(gain).any():
        return False
    reach = 1e-9 * max(1.0, abs(at))
    return bool(np.nanmin(gain) - reach <= at <= np.nanmax(gain) + reach)


def front_weights(gain, at) -> np.ndarray:
    """Weights [..., P] of the points of gains ``gain`` [..., P] that make up the front at ``at`` [...].

    Two neighbours share the weight, as in linear interpolation; beyond an end it is the end's alone. Points
    of NaN have none. Whether the front reaches as far is for ``spans`` to say.
    """
    gain = np.where(np.isnan(gain), np.inf, gain)
    order = np.argsort(gain, axis=-1, kind="stable")
    ascending, at = np.take_along_axis(gain, order, axis=-1), np.asarray(at)[..., None]
    count = np.isfinite(ascending).sum(axis=-1, keepdims=True)
    left = np.clip((ascending <= at).sum(axis=-1, keepdims=True) - 1, 0, np.maximum(count - 2, 0))
    right = np.minimum(left + 1, np.maximum(count - 1, 0))
    low, high = (np.take_along_axis(ascending, side, axis=-1) for side in (left, right))
    with np.errstate(invalid="ignore", divide="ignore"):
        share = np.where(high > low, np.clip((at - low) / (high - low), 0, 1), 0.0)
    weights, places = np.zeros(gain.shape), np.arange(gain.shape[-1])
    sorted_weights = (places == left) * (1 - share) + (places == right) * share
    np.put_along_axis(weights, order, sorted_weights, axis=-1)
    return weights


def on_front(weights, values) -> np.ndarray:
    """Values [..., P] of the points, laid together with the front's weights [..., P]; NaN without any."""
    result = np.where(weights > 0, weights * values, 0.0).sum(axis=-1)
    return np.where(np.isfinite(weights).all(axis=-1), result, np.nan)


def equal_learning(gains: dict, rule, reference: str):
    """The learned gain [...] at which methods are compared; gains: family -> [..., P].

    rule: "reference", the middle (median) of the reference's points; "common", the most that every family
    with a front reaches; or a number.
    """
    if not isinstance(rule, str):
        return np.full(np.shape(next(iter(gains.values())))[:-1], float(rule))
    if rule == "common":
        fronts = [gain for gain in gains.values() if np.shape(gain)[-1] > 1]
        if fronts:
            return np.min([np.max(gain, axis=-1) for gain in fronts], axis=0)
    return np.median(gains[reference], axis=-1) if reference in gains else np.nan


def interval(value, drawn, without, mean: clusters.Mean, means, level: float = 0.95):
    """(low, high) about ``value``; drawn: [B] of draws of groups; without: [S] with a seed left out each.

    mean: of the documents that ``value`` would be the mean of if the front were certain; means: that mean in
    each draw [B]. NaN for fewer than two groups in a domain.
    """
    from scipy.special import stdtrit

    seeds = len(without)
    if not np.isfinite([value, mean.se]).all():
        return np.nan, np.nan
    tail, plain = (1 + level) / 2, np.var(means)
    short = mean.se**2 / plain if plain > 0 else 1.0
    squares = stdtrit(mean.df, tail) ** 2 * np.var(drawn) * short
    if seeds > 1:
        squares += stdtrit(seeds - 1, tail) ** 2 * (seeds - 1) * np.var(without)
    return float(value - np.sqrt(squares)), float(value + np.sqrt(squares))


def noise(values):
    """(pooled SD, largest range, runs) over seeds of runs [P, S]: the same settings, other seeds."""
    values = np.asarray(values, dtype=np.float64)
    known = [row[np.isfinite(row)] for row in values]
    known = [row for row in known if len(row) > 1]
    if not known:
        return np.nan, np.nan, 0
    squares = sum(((row - row.mean()) ** 2).sum() for row in known)
    runs = sum(map(len, known))
    return float(np.sqrt(squares / (runs - len(known)))), float(max(np.ptp(row) for row in known)), runs


def mean_of_known(values, axis):
    """Mean of what is no NaN; NaN where there is nothing."""
    known = np.isfinite(values)
    count = known.sum(axis=axis)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(count > 0, np.where(known, values, 0).sum(axis=axis) / count, np.nan)
