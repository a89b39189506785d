"""H5: what is measured before training predicts pairwise forgetting better than the KL on the new task does.

An observation is a pair (A, B): how much B's stage costs A, mean over runs (seeds, settings, orders). Two
predictors: how alike A and B are at base (``predictor``, chosen beforehand), and KL(base || tuned) on B after
its stage. All are of the content, unless options say otherwise. effect: the rank correlation of the first
with forgetting less that of the second, both without sign. Interval: Zou's (2007) for two correlations that
share a variable, with the variance of Spearman's by Fieller (1.06 / (n - 3)). Pairs that share a domain are
not independent, which no interval here counts.
"""

from dataclasses import dataclass

import numpy as np

from implicit_sparsity.metrics import stagewise
from implicit_sparsity.metrics.inference import rank_correlation, zou_difference
from implicit_sparsity.options import option

from .base import OfMethods


@dataclass
class H5(OfMethods):
    QUESTION = "Does what is measured before training predict forgetting better than KL does?"
    STATEMENT = "Overlap or gradient cosine before training predicts pairwise forgetting better than KL does."
    REFUTED = "KL on the new task predicts as well or better"
    TABLES = ("r_matrices",)
    OPTIONAL = ("activation_overlap", "gradient_overlap")
    FIGURE = "predictors"
    EFFECT = "rank correlation with forgetting: of the predictor less of KL, without signs"
    NOISE = "SD over seeds of the effect"
    MEAN = "runs averaged by ordered pair of domains; n: pairs"

    threshold: float = option(..., low=0, high=1, help="by how much the correlation has to be higher")
    predictor: str = option(
        "gradient",
        choices=("overlap", "gradient"),
        asks={"overlap": "probes.activation_overlap", "gradient": "probes.gradient_overlap"},
        help="what is to predict",
    )
    method: str = option("lora", of="methods", help="the entry of methods whose forgetting is predicted")
    k: float = option(
        0.1,
        size="neurons",
        of="probes.activation_overlap.k",
        when=("predictor", "overlap"),
        help="for overlap: size of the sets",
    )
    score: str = option("loss_content", of="scores", help="of which forgetting is")
    pairs: int = option(10, low=5, help="ordered pairs of domains that it takes")

    def look(self, finding, tables, study):
        table = {"overlap": "activation_overlap", "gradient": "gradient_overlap"}[self.predictor]
        if table not in tables or tables[table].empty:
            finding.miss(f"the table {table}")
            return
        alike = stagewise.alike(
            *(tables.get(n) for n in ("activation_overlap", "gradient_overlap")), self.predictor, self.k
        )
        pairs = stagewise.pairs(tables["r_matrices"], study.families, self.method, self.score)
        if pairs.empty:
            finding.miss(f"runs of the method {self.method} over two domains or more")
        elif pairs["kl"].isna().all():
            finding.miss("the score kl_content")
            return
        for model, part in pairs.groupby("model", sort=False):
            names = [(model, frozenset(pair)) for pair in zip(part["old"], part["new"])]
            part = part.assign(alike=[alike.get(name, np.nan) for name in names])
            part = part.dropna(subset=["alike", "kl", "forgotten"])
            self._one(finding, part, model)
            self.ask(finding, part["seed"].nunique(), part["order"], f"{self.method} on {model}")

    def _one(self, finding, part, model):
        columns = ["forgotten", "alike", "kl"]
        means = part.groupby(["old", "new"])[columns].mean()
        if len(means) < self.pairs:
            finding.miss(f"{self.pairs} ordered pairs of domains on {model}, there are {len(means)}")
            return
        three = zou_difference(*(means[name] for name in columns))
        each = [
            zou_difference(*(rows.groupby(["old", "new"])[name].mean() for name in columns))[0]
            for _, rows in part.groupby("seed")
        ]
        noise = float(np.std(each, ddof=1)) if len(each) > 1 else np.nan
        r = {name: rank_correlation(means[name], means["forgotten"]) for name in columns[1:]}
        detail = f"Spearman's rho with forgetting: {self.predictor} {r['alike']:.2f}, KL {r['kl']:.2f}"
        metadata = {"n": len(means), "seeds": len(each), "subject": self.method, "detail": detail}
        finding.evidence.append(self.piece(model, three, noise, **metadata))
