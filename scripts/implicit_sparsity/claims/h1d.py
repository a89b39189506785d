"""H1d: overlap falls as width grows, over a ladder of models of one family.

effect: slope of 1 - SEP, the overlap between its floor (0) and its ceiling (1), mean over layers and pairs of
domains, per doubling of the width: ordinary least squares over models. The raw overlap would not do: its
ceiling falls, too, as fewer tokens fall on each neuron. Interval: Student's of the scatter about the line
(n - 2 degrees of freedom), or the documents' where that is wider.
"""

from dataclasses import dataclass

import numpy as np

from implicit_sparsity.metrics import pairs, verdict
from implicit_sparsity.options import option

from .base import Claim, origin


@dataclass
class H1d(Claim):
    QUESTION = "Does the overlap of domains fall as the network grows wider?"
    STATEMENT = "The overlap of domains falls as the network's width grows."
    REFUTED = "no falling trend over a ladder of widths of one family"
    TABLES = ("activation_overlap",)
    FIGURE = "overlap_by_width"
    EFFECT = "change of 1 - SEP per doubling of the width"
    NOISE = "standard error of the slope by documents alone"
    MEAN = "one line through all models of the ladder"
    SIDE = "below"

    threshold: float = option(..., low=-1, high=0, help="change of 1 - SEP per doubling of the width")
    k: float = option(
        0.1,
        size="neurons",
        of="probes.activation_overlap.k",
        help="size of the sets, as under probes.activation_overlap.k",
    )
    rungs: int = option(4, low=3, help="models of different width that it takes")

    def look(self, finding, tables, study):
        table = pairs.of_domains(tables["activation_overlap"])
        table = table[
            (table["checkpoint"] == "base") & (table["measure"] == "iou") & (table["control"] == "")
        ]
        table = table[np.isclose(table["k"], self.k) & (table["quantity"] == "sep")]
        table = table[np.isfinite(table["value"])]
        if not self.models:
            finding.miss("a ladder: claims.h1d.models names the models of one family")
            return
        rungs = []
        for _, part in table.groupby("model", sort=False):
            rungs.append((part["neurons"].max(), *verdict.together(part["value"], part["low"], part["high"])))
        widths = {width for width, *_ in rungs}
        if len(widths) < self.rungs:
            finding.miss(f"{self.rungs} widths of claims.h1d.models, there are {len(widths)}")
            return
        width, sep, low, high = np.array(sorted(rungs), dtype=np.float64).T
        three, noise = slope(np.log2(width), 1 - sep, (high - low) / (2 * verdict.Z))
        detail = "; ".join(f"width {w:.0f}: {1 - s:.2f}" for w, s in zip(width, sep))
        metadata = {
            "n": len(rungs),
            "groups": table["groups"].min(),
            "detail": f"{detail} (n: models){origin(table)}",
        }
        finding.evidence.append(self.piece("ladder", three, noise, **metadata))


def slope(x, y, errors):
    """((slope, low, high), standard error by ``errors`` [n] of y alone) of a line of least squares."""
    from scipy.special import stdtrit

    x = x - x.mean()
    spread = (x**2).sum()
    value = float((x * y).sum() / spread)
    rest = y - y.mean() - value * x
    scatter = np.sqrt((rest**2).sum() / (len(x) - 2) / spread)
    known = float(np.sqrt((x**2 * errors**2).sum()) / spread)
    reach = max(float(stdtrit(len(x) - 2, 0.975) * scatter), verdict.Z * known)
    return (value, value - reach, value + reach), known
