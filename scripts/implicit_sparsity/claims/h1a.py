"""H1a: FFN activations are sparse per token. Judged by what can be zero, not by what is small.

effect: critical sparsity, the largest share of activations that can be zero before the held-out loss grows by
the probe's tolerance (``critical_sparsity``), at base, mean over domains, whose documents are independent.
"""

from dataclasses import dataclass

import numpy as np

from implicit_sparsity.metrics import verdict
from implicit_sparsity.options import option

from .base import Claim, origin


@dataclass
class H1a(Claim):
    QUESTION = "Are the activations of a token sparse?"
    STATEMENT = "FFN activations are sparse per token: fewer than 5 % of the neurons are needed."
    REFUTED = "critical sparsity far below 95 %"
    TABLES = ("critical_sparsity",)
    FIGURE = "critical_sparsity"
    EFFECT = "critical sparsity: share of activations that can be zero at 1 % more loss"
    NOISE = "half the gap between the levels tried on either side: it is known no finer"
    MEAN = "domains averaged as independent (MOVER)"

    threshold: float = option(..., low=0, high=1, help="share of activations that has to be idle")

    def look(self, finding, tables, study):
        table = tables["critical_sparsity"]
        table = table[table["checkpoint"] == "base"]
        points = table[table["measure"] == "critical_sparsity"]
        for model, part in points.groupby("model", sort=False):
            curve = table[(table["model"] == model) & (table["measure"] == "curve")]
            gaps = [
                self._gap(curve[curve["domain_b"] == row.domain_b], row.value) for row in part.itertuples()
            ]
            three = verdict.apart(part["value"], part["low"], part["high"])
            detail = "; ".join(f"{row.domain_b} {row.value:.2f}" for row in part.itertuples()) + origin(part)
            metadata = {"n": part["n"].sum(), "detail": detail, "neutral": self.threshold}
            finding.evidence.append(self.piece(model, three, float(np.mean(gaps)), **metadata))

    @staticmethod
    def _gap(curve, value) -> float:
        """Half the distance between the realised shares around ``value``; 0 beyond the last."""
        shares = np.unique(curve["realised"].dropna())
        below, above = shares[shares <= value], shares[shares > value]
        return float(above[0] - below[-1]) / 2 if len(below) and len(above) else 0.0
