"""H3a: plain fine-tuning writes mostly onto hub neurons, those that every domain uses.

effect: the hubs' share of the update's energy after the last stage, divided by their share of ||W||^2 before
any training (``write_interference``, all layers): 1, it writes there as where the weights are. The interval
takes the far end of both shares.
"""

from dataclasses import dataclass

import numpy as np

from implicit_sparsity.metrics import verdict
from implicit_sparsity.options import option

from .base import OfMethods, by_seed, last_stages, of_family


@dataclass
class H3a(OfMethods):
    QUESTION = "Does plain fine-tuning write onto the neurons that all domains use?"
    STATEMENT = "Plain fine-tuning writes mostly onto hub neurons."
    REFUTED = "hubs' share of the update no larger than their share of the weights before training"
    TABLES = ("write_interference",)
    FIGURE = "write_interference"
    EFFECT = "hubs' share of the update over their share of the weights"
    NOISE = "upper end of the same where neurons are renamed at random, about its mean; or SD over seeds"
    MEAN = "settings of a sweep averaged, then seeds (Student's interval added to the documents')"

    threshold: float = option(..., low=1, high=1000, help="share of the update over share of the weights")
    methods: tuple = option(("lora",), help="entries of methods that count as plain fine-tuning")
    k: float = option(0.1, low=0, help="size of the sets, as under probes.write_interference.k")

    def look(self, finding, tables, study):
        table = last_stages(tables["write_interference"])
        table = table[(table["set"] == "hubs") & (table["write"] == "total") & (table["layer"] == -1)]
        table = table[np.isclose(table["k"], self.k)]
        for method in self.methods:
            rows = of_family(table, study.families, method)
            if rows.empty:
                finding.miss(f"written shares of the method {method}, k = {self.k:g}")
            for model, here in rows.groupby("model", sort=False):
                for order, part in here.groupby("order", sort=False):
                    self._one(finding, part, model, order, method)
                self.ask(finding, rows_seeds(here), here["order"], f"{method} on {model}")

    def _one(self, finding, part, model, order, method):
        keys = ["method", "seed"]
        shares = {name: rows.set_index(keys) for name, rows in part.groupby("quantity")}
        if not {"signal", "weights", "permuted"} <= set(shares):
            finding.skip(f"{model}: no share of the weights before training")
            return
        wrote, had, renamed = (shares[name] for name in ("signal", "weights", "permuted"))
        # where the interval of the weights' share is not known, its value stands for both ends
        low, high = had["low"].fillna(had["value"]), had["high"].fillna(had["value"])
        ratio = wrote[[]].assign(
            value=wrote["value"] / had["value"], low=wrote["low"] / high, high=wrote["high"] / low
        )
        *three, spread = verdict.over_seeds(*by_seed(ratio.reset_index(), "value", "low", "high"))
        neutral = (renamed["value"] / had["value"]).mean()
        null = (renamed["high"] / had["value"]).mean() - neutral
        seeds = part["seed"].nunique()
        detail = f"{wrote['value'].mean():.1%} of the update, {had['value'].mean():.1%} of the weights"
        metadata = {"n": part["n"].max(), "seeds": seeds, "neutral": float(neutral), "detail": detail}
        metadata |= {"order": order, "subject": method}
        finding.evidence.append(self.piece(model, three, np.nanmax([null, spread]), **metadata))


def rows_seeds(rows) -> int:
    """The fewest seeds of any setting and order."""
    return int(rows.groupby(["method", "order"])["seed"].nunique().min())
