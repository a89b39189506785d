"""Intervals from leaving out one document at a time: NumPy in, NumPy out.

A statistic comes as ``[1 + D]`` numbers, its value and what it is without each of D documents. For smooth
statistics (Efron & Stein 1981); overlaps of top-k sets are none, see ``statistics``.
"""

import numpy as np

SCALES = {  # name: (to the scale, back)
    "linear": (np.asarray, np.asarray),
    "log": (np.log, np.exp),  # of what is positive
    "fisher": (np.arctanh, np.tanh),  # -1 to 1
    "logit": (lambda x: np.log(x / (1 - x)), lambda y: 1 / (1 + np.exp(-y))),  # 0 to 1
    "angle": (lambda x: np.log(np.tan(x)), lambda y: np.arctan(np.exp(y))),  # 0 to pi/2
}


def kept_documents(count: int) -> np.ndarray:
    """Which documents count: all, then all but each, ``[1 + D, D]``."""
    return np.vstack([np.ones(count), 1 - np.eye(count)])


def interval(values, scale: str = "linear", level: float = 0.95):
    """(low, high) about ``values[..., 0]`` from ``values[..., 1:]``, each with one document left out.

    Jackknife, on a scale where the value scatters about evenly: ``var = (D - 1)/D sum_d (v_d - mean v)^2``,
    Student's t with D - 1 degrees of freedom; NaN for D < 4. Where the scale has no place for a value (a
    distance of 0, a cosine of 1) the interval is linear.
    """
    from scipy.stats import t

    values = np.asarray(values, dtype=np.float64)
    count = values.shape[-1] - 1
    if count < 4:
        return np.full((2, *values.shape[:-1]), np.nan)
    there, back = SCALES[scale]
    with np.errstate(invalid="ignore", divide="ignore"):
        scaled = there(values)
        fits = np.isfinite(scaled).all(axis=-1)
        spread = [np.sqrt((count - 1) * np.var(v[..., 1:], axis=-1)) for v in (scaled, values)]
        reach = t.ppf((1 + level) / 2, count - 1) * np.array(spread)
        ends = [
            np.where(fits, back(scaled[..., 0] + sign * reach[0]), values[..., 0] + sign * reach[1])
            for sign in (-1, 1)
        ]
    return np.stack(ends)


def leave_one_out(means) -> np.ndarray:
    """``[..., D]`` values of documents -> ``[..., 1 + D]`` means of all, and of all but each."""
    means = np.asarray(means, dtype=np.float64)
    kept = kept_documents(means.shape[-1])
    return means @ (kept / kept.sum(axis=1, keepdims=True)).T
