"""H3b: sequential dense updates cost plasticity.

effect: the loss on a fixed task of random pairs after the same number of steps, from the last stage less from
the base model (``plasticity``): above 0, the checkpoint learns it more slowly. Ranks and dormant neurons are
in the same table and figure, and not judged: the behavioural measure comes first.
"""

from dataclasses import dataclass

import numpy as np

from implicit_sparsity.metrics import verdict
from implicit_sparsity.options import option

from .base import OfMethods, by_seed, last_stages, of_family


@dataclass
class H3b(OfMethods):
    QUESTION = "Do sequential dense updates cost plasticity?"
    STATEMENT = "Sequential dense updates cost plasticity: a fixed probe task is learned more slowly."
    REFUTED = "the probe task is learned as fast from every stage"
    TABLES = ("plasticity",)
    FIGURE = "plasticity"
    EFFECT = "loss on the probe task after training on it, from the last stage less from base"
    NOISE = "SD between tasks of each task's own effect, by which levels of tasks drop out; or SD over seeds"
    MEAN = "settings of a sweep averaged, then seeds (Student's interval added to that over tasks)"

    threshold: float = option(..., low=0, high=1000, help="nats per token by which it has to be slower")
    methods: tuple[str, ...] = option(
        ("lora",), of="methods", help="entries of methods that count as dense updates"
    )

    def look(self, finding, tables, study):
        table = last_stages(tables["plasticity"])
        table = table[(table["measure"] == "loss_after") & (table["layer"] == -1)]
        for method in self.methods:
            rows = of_family(table, study.families, method)
            if rows.empty:
                finding.miss(f"the held-out task from stages of {method} (probes.plasticity_task.stages)")
            for model, here in rows.groupby("model", sort=False):
                seeds = []
                for order, part in here.groupby("order", sort=False):
                    self._one(finding, part, model, order, method)
                    seeds.append(part.groupby("method")["seed"].nunique().min())
                self.ask(finding, int(min(seeds)), here["order"], f"{method} on {model}")

    def _one(self, finding, part, model, order, method):
        slower = part[part["quantity"] == "difference"]
        if slower.empty:
            finding.skip(f"{model}, {method}: the base model did not learn the held-out task")
            return
        *three, spread = verdict.over_seeds(*by_seed(slower, "value", "low", "high"))
        apart = part.loc[part["quantity"] == "floor", "value"].mean()
        noise = np.nan if np.isnan(apart) else np.nanmax([apart, spread])
        metadata = {"n": slower["n"].max(), "seeds": slower["seed"].nunique(), "unit": "nat", "order": order}
        metadata |= {"subject": method, "groups": slower["groups"].min()}
        metadata |= {"detail": "n: pairs, groups: tasks"}
        finding.evidence.append(self.piece(model, three, noise, **metadata))
