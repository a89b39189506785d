"""Continual-learning metrics: one matrix R, many names.

``R[i, j]`` is the score on domain j after stage i, stages and domains both in the order they were trained
(0-based here, 1..T in the formulas); ``base[j]`` is row 0, the model before any stage. With ``s = +1``
where a higher score is better and ``-1`` where a lower one is (losses), levels (final_mean, avg_incremental,
learned) stay in the units of the score; every *change* is multiplied by s, so that a positive bwt, fwt or
gain is always an improvement and a positive forgetting, intransigence always harm. A metric that needs a
cell which was not measured is NaN.
"""

from typing import NamedTuple

import numpy as np

from implicit_sparsity.errors import InputError


class MetricDoc(NamedTuple):
    """What a metric is: its formula, which way is good, where the definition is from, and who uses it so."""

    formula: str
    better: str  # "score" (as the score itself), "higher" or "lower"
    source: str
    used: str


GEM, RWALK = "Lopez-Paz & Ranzato 2017 (GEM)", "Chaudhry et al. 2018 (RWalk)"
METRIC_DOCS = {
    "final_mean": MetricDoc(
        "mean_j R[T,j]", "score", GEM, "GEM; GPM; O-LoRA, as average accuracy; TRACE, as overall"
    ),
    "avg_incremental": MetricDoc(
        "mean_k mean_{j<=k} R[k,j]",
        "score",
        "Rebuffi et al. 2017 (iCaRL)",
        "iCaRL; PODNet; InfLoRA, beside final_mean",
    ),
    "learned": MetricDoc("mean_j R[j,j]", "score", "Riemer et al. 2019 (MER), learning accuracy", "MER"),
    "bwt": MetricDoc("mean_{j<T} s (R[T,j] - R[j,j])", "higher", GEM, "GEM; GPM; Adam-NSCL; TRACE"),
    "fwt": MetricDoc(
        "mean_{j>1} s (R[j-1,j] - R[0,j])",
        "higher",
        f"{GEM}, against the base model",
        "GEM, whose R[0] is a network at random initialisation",
    ),
    "forgetting": MetricDoc(
        "mean_{j<T} (max_{j<=l<T} s R[l,j] - s R[T,j])",
        "lower",
        f"{RWALK}, l >= j",
        "class-incremental work, where R[l,j] of l < j is not defined: A-GEM; L2P; DualPrompt",
    ),
    "forgetting_any_stage": MetricDoc(
        "mean_{j<T} (max_{1<=l<T} s R[l,j] - s R[T,j])",
        "lower",
        f"{RWALK}, as printed",
        "RWalk; differs from `forgetting` where an earlier stage was better than the domain's own",
    ),
    "forgetting_relative": MetricDoc(
        "mean_{j<T} s (R[j,j] - R[T,j]) / |R[j,j]|",
        "lower",
        "share of the learned score lost",
        "in kind: Luo et al. 2023 (2308.08747) and sparse memory fine-tuning (2510.15103), both relative to "
        "the score before fine-tuning",
    ),
    "learned_gain": MetricDoc(
        "mean_j s (R[j,j] - R[0,j])",
        "higher",
        "learned, against the base model",
        "here: the front's first axis",
    ),
    "final_gain": MetricDoc(
        "mean_j s (R[T,j] - R[0,j])", "higher", "final_mean, against the base model", "here"
    ),
    "intransigence": MetricDoc(
        "mean_j s (R_joint[j] - R[j,j])",
        "lower",
        RWALK,
        "RWalk, whose R_joint[j] is trained on domains 1..j; here on all, the joint method's last stage",
    ),
    "general_delta": MetricDoc(
        "s (mean_g G[T,g] - mean_g G[0,g])",
        "higher",
        "Wang et al. 2023 (TRACE), the reference set, else domains the order does not train",
        "TRACE, on benchmarks of general ability",
    ),
}
MOVED = "Shenfeld et al. 2025 (2509.04259): forgetting goes with KL(base || tuned) on the new task"
COVARIATES = {  # K[k,j]: KL(base || tuned) in nats per token on domain j after stage k, `kl_content`
    "kl_newest": MetricDoc("mean_k K[k,k]", "lower", MOVED, "the same, measured on the task just trained"),
    "kl_newest_<k>": MetricDoc("K[k,k]", "lower", MOVED, "here: one a stage"),
    "kl_final": MetricDoc("mean_j K[T,j]", "lower", "the same of all domains after the last stage", "here"),
}


def metrics(R, base=None, higher_is_better: bool = True, joint=None, general=None) -> dict[str, float]:
    """Every metric of METRIC_DOCS as floats (NaN where a cell it needs was not measured, or T = 1 leaves
    nothing to mean).

    R: [T, T] stages x domains; base: [T] the model before training; joint: [T] one model trained on all
    domains at once; general: [2, g] scores on domains that no stage trains, before the first and after the
    last stage. None or NaN: not measured. Raises InputError for a shape that does not fit or an infinite
    score.
    """
    R = _array("R", R)
    if R.ndim != 2 or R.shape[0] != R.shape[1] or R.size == 0:
        raise InputError(f"R must be [T, T] (stages x domains, the base model apart), but is {list(R.shape)}")
    T = len(R)
    s = 1.0 if higher_is_better else -1.0
    base, joint = (_vector(name, vector, T) for name, vector in (("base", base), ("joint", joint)))
    own, final, past = np.diagonal(R), R[-1], slice(0, T - 1)
    return {
        "final_mean": _mean(final),
        "avg_incremental": _mean([_mean(R[k, : k + 1]) for k in range(T)]),
        "learned": _mean(own),
        "bwt": _mean(s * (final - own)[past]),
        "fwt": _mean([s * (R[j - 1, j] - base[j]) for j in range(1, T)]),
        "forgetting": _mean([np.max(s * R[j:-1, j]) - s * final[j] for j in range(T - 1)]),
        "forgetting_any_stage": _mean([np.max(s * R[:-1, j]) - s * final[j] for j in range(T - 1)]),
        "forgetting_relative": _mean(_ratio(s * (own - final), np.abs(own))[past]),
        "learned_gain": _mean(s * (own - base)),
        "final_gain": _mean(s * (final - base)),
        "intransigence": _mean(s * (joint - own)),
        "general_delta": _general(general, s),
    }


def divergences(K) -> dict[str, float]:
    """The covariates of COVARIATES of one run; K: [T, T] stages x domains, NaN where not measured."""
    K = _array("K", K)
    newest = np.diagonal(K)
    stages = {f"kl_newest_{k}": float(value) for k, value in enumerate(newest, 1)}
    return {"kl_newest": _mean(newest), **stages, "kl_final": _mean(K[-1])}


def better(metric: str, higher_is_better: bool) -> bool:
    """Whether a higher value of ``metric`` is the better one, for a score with this ``higher_is_better``."""
    return {"score": bool(higher_is_better), "higher": True, "lower": False}[METRIC_DOCS[metric].better]


def _array(name, values) -> np.ndarray:
    try:
        values = np.array(values, dtype=np.float64)
    except (TypeError, ValueError):
        raise InputError(f"{name} is not an array of numbers") from None
    if np.isinf(values).any():
        raise InputError(f"{name} holds an infinite score")
    return values


def _vector(name, values, length) -> np.ndarray:
    values = np.full(length, np.nan) if values is None else _array(name, values)
    if values.shape != (length,):
        raise InputError(f"{name} must be [{length}] as R has {length} domains, but is {list(values.shape)}")
    return values


def _mean(values) -> float:
    """NaN for nothing and for any NaN: what was not measured is never averaged away."""
    values = np.asarray(values, dtype=np.float64)
    return float(values.mean()) if values.size else float("nan")


def _ratio(a, b) -> np.ndarray:
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(b > 0, a / b, np.nan)


def _general(general, s) -> float:
    if general is None:
        return float("nan")
    general = _array("general", general)
    if general.ndim != 2 or len(general) != 2:
        raise InputError(f"general must be [2, g] (before, after), but is {list(general.shape)}")
    return _mean(s * (general[1] - general[0]))
