"""H3a: plain fine-tuning writes mostly onto hub neurons, those that every domain uses.

effect: the hubs' share of the update's energy after the last stage, over their mean share where this very
energy is permuted among the neurons of each layer (``write_interference``, ``corrected``, all layers): 1 for
an update that does not ask what a neuron is used for. Their share of the weights, which has another null
(hubs are smaller than others in some models), stands in the detail.
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
    REFUTED = "hubs' share of the update no larger than if its energy is permuted among a layer's neurons"
    TABLES = ("write_interference",)
    FIGURE = "write_interference"
    EFFECT = "hubs' share of the update over their share where its energy is permuted"
    NOISE = "how far 95 % of the permutations lie from 1; or SD over seeds"
    MEAN = "settings of a sweep averaged, then seeds (Student's interval added to the groups')"

    threshold: float = option(..., low=1, high=1000, help="share of the update over its null: 1 is none")
    methods: tuple[str, ...] = option(
        ("lora",), of="methods", help="entries of methods that count as plain fine-tuning"
    )
    k: float = option(
        0.1,
        size="neurons",
        of="probes.write_interference.k",
        help="size of the sets, as under probes.write_interference.k",
    )

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
        rows = {name: some.set_index(["method", "seed"]) for name, some in part.groupby("quantity")}
        if not {"signal", "corrected", "permuted", "weights"} <= set(rows):
            finding.skip(f"{model}: no null of where the stages wrote")
            return
        wrote, corrected, null, had = (rows[name] for name in ("signal", "corrected", "permuted", "weights"))
        *three, spread = verdict.over_seeds(*by_seed(corrected.reset_index(), "value", "low", "high"))
        permuted = (null["high"] / null["value"] - 1).mean()
        shares = [some["value"].mean() for some in (wrote, null, had)]
        detail = "{:.1%} of the update, {:.1%} permuted, {:.1%} of the weights".format(*shares)
        metadata = {"n": part["n"].max(), "seeds": part["seed"].nunique(), "neutral": 1.0, "detail": detail}
        metadata |= {"order": order, "subject": method, "groups": part["groups"].min()}
        finding.evidence.append(self.piece(model, three, np.nanmax([permuted, spread]), **metadata))


def rows_seeds(rows) -> int:
    """The fewest seeds of any setting and order."""
    return int(rows.groupby(["method", "order"])["seed"].nunique().min())
