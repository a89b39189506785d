"""H1e: the experts of a mixture specialise by domain.

effect: SEP of how tokens are routed (``routing_overlap``) at base: 0, two domains are routed as alike as two
halves of one; 1, no more alike than with experts renamed at random. Dense models have no rows.
"""

from dataclasses import dataclass

from implicit_sparsity.options import option

from .base import Claim, separations


@dataclass
class H1e(Claim):
    QUESTION = "Do the experts of a mixture divide the domains among them?"
    STATEMENT = "The experts of a mixture specialise by domain."
    REFUTED = "routing of two domains as alike as of two halves of one"
    TABLES = ("routing_overlap",)
    FIGURE = "routing_by_layer"
    EFFECT = "SEP of the routing of two domains"
    NOISE = "SEP of documents permuted between the domains, upper end of 95 % of the permutations"
    MEAN = "layers and pairs of domains averaged with their ends, as if all erred together"

    threshold: float = option(..., low=0, high=1, help="SEP")
    measure: str = option(
        "weighted_jaccard", choices=("iou", "weighted_jaccard", "jensen_shannon_bits"), help="of which SEP"
    )

    def look(self, finding, tables, study):
        table = tables["routing_overlap"]
        table = table[(table["checkpoint"] == "base") & (table["measure"] == self.measure)]
        for model, part in table.groupby("model", sort=False):
            separations(self, finding, part, model)
