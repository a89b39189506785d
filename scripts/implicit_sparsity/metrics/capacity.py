"""How many input dimensions do domains take up, one after another, and how many are left? NumPy in, NumPy
out.

What an update may touch without disturbing a domain are the directions that its inputs leave free (as in
Gradient Projection Memory, Saha et al. 2103.09762). Of a weight's inputs x the second moment C = sum x x'
is kept, not centred, since an update acts on the mean as well; each domain's is divided by its trace, so
that all weigh alike.

Shapes: H input width, E shares of energy, G groups of documents, R = 1 + G replicates (all groups, and all
but each), t domains.
"""

import numpy as np

from implicit_sparsity.errors import InputError

EXACT = 1e-9  # of the energy: what rounding may lack


def dimensions(spectrum, energy) -> np.ndarray:
    """How many leading directions hold a share ``energy`` of the trace: ``[..., H] x [E] -> [..., E]``.

    spectrum: eigenvalues of second moments. Read off between two: k - 1 + the part of the k-th that is
    needed, so that ``ceil`` is the smallest number. NaN for a matrix of zeros. Raises InputError where one
    is not finite.
    """
    spectrum = np.asarray(spectrum, np.float64)
    if not np.isfinite(spectrum).all():
        raise InputError("second moments are not finite")
    values = np.sort(np.maximum(spectrum, 0), axis=-1)[..., ::-1]
    held = np.cumsum(values, axis=-1)
    total = held[..., -1:]
    result = []
    for share in np.atleast_1d(energy):
        wanted = share * total
        short = held < wanted - EXACT * total
        k = np.minimum(short.sum(axis=-1, keepdims=True), values.shape[-1] - 1)
        before = np.take_along_axis(held, k, -1) - np.take_along_axis(values, k, -1)
        with np.errstate(invalid="ignore", divide="ignore"):
            part = (wanted - before) / np.take_along_axis(values, k, -1)
        result.append(np.where(total > 0, k + np.clip(part, EXACT, 1), np.nan)[..., 0])
    return np.stack(result, axis=-1)


def replicates(groups) -> np.ndarray:
    """Second moments of all groups and of all but each, each with trace 1: ``[G, H, H] -> [1 + G, H, H]``."""
    groups = np.asarray(groups, np.float64)
    whole = groups.sum(axis=0)
    result = np.concatenate([whole[None], whole - groups]) if len(groups) > 1 else whole[None]
    trace = np.trace(result, axis1=-2, axis2=-1)[:, None, None]
    return np.divide(result, trace, out=np.zeros_like(result), where=trace > 0)


def until_full(used, width: float) -> dict:
    """Number of domains at which ``used [t, ...]`` dimensions reach ``width``: {linear, saturating: [...]}.

    linear: least squares a + b t through t = 1, 2, ...; saturating: K (1 - exp(-t / tau)), least squares
    over K and tau, tau from 0.05 to 1000 times the number of domains. Infinite where it is not reached: no
    growth, or K at or below the width. NaN for fewer than two domains.
    """
    used = np.asarray(used, np.float64)
    count = len(used)
    if count < 2:
        return {name: np.full(used.shape[1:], np.nan) for name in ("linear", "saturating")}
    t = np.arange(1, count + 1.0)
    flat = used.reshape(count, -1)
    slope, start = np.polyfit(t, flat, 1)
    with np.errstate(divide="ignore", invalid="ignore"):
        linear = np.where(slope > EXACT * width, (width - start) / slope, np.inf)
    result = {"linear": linear, "saturating": np.array([_saturating(t, line, width) for line in flat.T])}
    result = {name: np.where(np.isfinite(flat).all(axis=0), x, np.nan) for name, x in result.items()}
    return {name: x.reshape(used.shape[1:]) for name, x in result.items()}


def _saturating(t, line, width):
    taus = np.geomspace(0.05, 1000, 400) * len(t)
    shapes = -np.expm1(-t / taus[:, None])
    levels = (shapes * line).sum(axis=1) / (shapes**2).sum(axis=1)
    errors = ((levels[:, None] * shapes - line) ** 2).sum(axis=1)
    best = int(np.argmin(errors)) if np.isfinite(errors).all() else 0
    level, tau = levels[best], taus[best]
    return -tau * np.log1p(-width / level) if level > width else np.inf


def layers_of(count: int, most: int) -> list[int]:
    """At most ``most`` layers, evenly spaced, first and last among them (the last alone, of one)."""
    take = min(most, count)
    return sorted({round(i) for i in np.linspace(count - 1, 0, take)}) if take else []
