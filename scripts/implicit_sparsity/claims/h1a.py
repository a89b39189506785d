"""H1a: FFN activations are sparse per token. Judged by what can be zero, not by what is small.

effect: critical sparsity, the largest share of activations that can be zero before the held-out loss of
content tokens grows by the probe's tolerance (``critical_sparsity``), at base, mean over domains, whose
documents are independent. Over the whole completion and over all tokens it is in the detail, not judged.
Noise floor: it is known no finer than the levels tried, nor than what another attention kernel makes of it;
where no other kernel was run it has none.
"""

from dataclasses import dataclass

import numpy as np

from implicit_sparsity.metrics import verdict
from implicit_sparsity.options import option

from .base import Claim, origin

JUDGED = "content"


@dataclass
class H1a(Claim):
    QUESTION = "Are the activations of a token sparse?"
    STATEMENT = "FFN activations are sparse per token: fewer than 5 % of the neurons are needed."
    REFUTED = "critical sparsity far below 95 %"
    TABLES = ("critical_sparsity",)
    FIGURE = "critical_sparsity"
    EFFECT = "critical sparsity: share of activations that can be zero at 1 % more loss"
    NOISE = "half the gap between the levels tried, or how far another attention kernel moves it: the larger"
    MEAN = "domains averaged as independent (MOVER)"

    threshold: float = option(..., above=0, below=1, help="share of activations that has to be idle")

    def look(self, finding, tables, study):
        table = tables["critical_sparsity"]
        table = table[table["checkpoint"] == "base"]
        points = table[table["measure"] == "critical_sparsity"]
        numerical = points["quantity"] == "numerical"
        for model, every in points[~numerical].groupby("model", sort=False):
            part = every[every["tokens"] == JUDGED]
            if part.empty:
                continue
            curve = table[(table["model"] == model) & (table["measure"] == "curve")]
            kernels = points[numerical & (points["model"] == model) & (points["tokens"] == JUDGED)]
            gaps = [
                self._gap(curve[curve["domain_b"] == row.domain_b], row.value) for row in part.itertuples()
            ]
            three = verdict.apart(part["value"], part["low"], part["high"])
            moved = kernels["value"].mean() if set(kernels["domain_b"]) == set(part["domain_b"]) else np.nan
            detail = "; ".join(f"{row.domain_b} {row.value:.2f}" for row in part.itertuples())
            others = every[every["tokens"] != JUDGED].groupby("tokens", sort=False)["value"].mean()
            detail += "".join(f"; over {name} tokens {value:.2f}" for name, value in others.items())
            detail += f"; half a gap {np.mean(gaps):.3f}, another kernel {moved:.3f}{origin(part)}"
            metadata = {"n": part["n"].sum(), "groups": part["groups"].min(), "detail": detail}
            noise = np.maximum(np.mean(gaps), moved)  # not known where one of them is not
            finding.evidence.append(self.piece(model, three, noise, neutral=self.threshold, **metadata))

    @staticmethod
    def _gap(curve, value) -> float:
        """Half the distance between the realised shares around ``value``; 0 beyond the last."""
        shares = np.unique(curve["realised"].dropna())
        below, above = shares[shares <= value], shares[shares > value]
        return float(above[0] - below[-1]) / 2 if len(below) and len(above) else 0.0
