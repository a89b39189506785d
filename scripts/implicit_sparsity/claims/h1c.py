"""H1c: gradients of different domains are near-orthogonal.

effect: the disattenuated cosine of the whole network's gradients (``gradient_overlap``, layer -1) at base,
without its sign, mean over pairs. Not the raw cosine, which noise of the documents alone drives to 0. An
interval that holds 0 reaches from 0 to its farther end.
"""

from dataclasses import dataclass

import numpy as np

from implicit_sparsity.metrics import pairs, verdict
from implicit_sparsity.options import option

from .base import Claim, origin, own_documents


@dataclass
class H1c(Claim):
    QUESTION = "Are the gradients of different domains near-orthogonal?"
    STATEMENT = "Gradients of different domains are near-orthogonal."
    REFUTED = "disattenuated cosine not near 0"
    TABLES = ("gradient_overlap",)
    FIGURE = "gradients_by_layer"
    EFFECT = "absolute disattenuated cosine of the gradients of two domains, whole network"
    NOISE = "standard error by sketching, about the threshold"
    MEAN = "pairs of domains averaged with their ends, as if all erred together"
    SIDE = "below"

    threshold: float = option(..., above=0, below=1, help="largest absolute cosine that counts as orthogonal")

    def look(self, finding, tables, study):
        table = tables["gradient_overlap"]
        table = table[(table["checkpoint"] == "base") & (table["kind"] == "all")]
        table = table[table["measure"] == "cosine"]
        for model, part in table.groupby("model", sort=False):
            sources, part = pairs.in_words(part, "disattenuated"), pairs.of_domains(part)
            apart = part[part["domain_a"] != part["domain_b"]]
            cosines = apart[(apart["quantity"] == "disattenuated") & np.isfinite(apart["value"])]
            if cosines.empty:
                finding.skip(
                    f"{model}: documents of a domain share no direction (probes.gradients.documents)"
                )
                continue
            three = verdict.together(*folded(cosines["value"], cosines["low"], cosines["high"]))
            noise = apart.loc[apart["quantity"] == "sketch_error", "value"].mean()
            listed = (
                "; ".join(f"{r.domain_a}-{r.domain_b} {r.value:.2f}" for r in cosines.itertuples()) + sources
            )
            n = own_documents(part) or cosines["n"].max()
            metadata = {
                "n": n,
                "groups": cosines["groups"].min(),
                "detail": listed + origin(part),
                "neutral": self.threshold,
            }
            finding.evidence.append(self.piece(model, three, noise, **metadata))


def folded(values, lows, highs):
    """Absolute values and their intervals."""
    values, lows, highs = (np.asarray(x, dtype=np.float64) for x in (values, lows, highs))
    near = np.where((lows <= 0) & (highs >= 0), 0.0, np.minimum(abs(lows), abs(highs)))
    return abs(values), near, np.maximum(abs(lows), abs(highs))
