"""H1b: the neurons that different domains use most overlap little.

effect: SEP of the intersection over union of top-k sets (``activation_overlap``) at base: 0, two domains
overlap as two halves of one do; 1, no more than chance. It has to hold under every control, too: on equally
many tokens of each id (``matched``) it is not about words.
"""

from dataclasses import dataclass

import numpy as np

from implicit_sparsity.options import option

from .base import Claim, separations


@dataclass
class H1b(Claim):
    QUESTION = "Do different domains use different neurons?"
    STATEMENT = "The neurons that different domains use most overlap little."
    REFUTED = "SEP near 0: overlap between domains as high as between two halves of one"
    TABLES = ("activation_overlap",)
    FIGURE = "overlap_by_layer"
    EFFECT = "SEP of the most used neurons"
    NOISE = "SEP of documents permuted between the domains, upper end of 95 % of the permutations"
    MEAN = "layers and pairs of domains averaged with their ends, as if all erred together"

    threshold: float = option(..., low=0, high=1, help="SEP")
    k: float = option(
        0.1,
        size="neurons",
        of="probes.activation_overlap.k",
        help="size of the sets, as under probes.activation_overlap.k",
    )
    controls: tuple[str, ...] = option(
        (),
        choices=("bare", "matched"),
        empty=True,
        of="probes.activations.controls",
        help="controls of probes.activations under which it has to hold, too",
    )

    def look(self, finding, tables, study):
        table = tables["activation_overlap"]
        table = table[(table["checkpoint"] == "base") & (table["measure"] == "iou")]
        table = table[np.isclose(table["k"], self.k)]
        if table.empty:
            finding.miss(f"sets of k = {self.k:g} (probes.activation_overlap.k)")
        for model, rows in table.groupby("model", sort=False):
            for control in ("", *self.controls):
                part = rows[rows["control"] == control]
                if part.empty:
                    finding.miss(f"the control {control} of {model} (probes.activations.controls)")
                else:
                    separations(self, finding, part, model, control and f"control {control}")
