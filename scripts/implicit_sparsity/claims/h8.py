"""H8: most of what plain LoRA forgets is spurious.

effect: the share of what was forgotten of the old domains, after the last stage, that comes back after so
many of their own documents (``recovery``): mean recovered over mean forgotten. Documents teach as well: what
they give the base model, over what was forgotten, is the noise floor, as that much needs no memory.
"""

from dataclasses import dataclass

import numpy as np

from implicit_sparsity.metrics import verdict
from implicit_sparsity.options import option

from .base import OfMethods, by_seed, last_stages, of_family

ALL = "all"


@dataclass
class H8(OfMethods):
    QUESTION = "Is most of what plain LoRA forgets spurious?"
    STATEMENT = "Most of what plain LoRA forgets comes back after a few documents of the old domain."
    REFUTED = "less than half comes back"
    TABLES = ("recovery",)
    FIGURE = "recovery"
    EFFECT = "share of what was forgotten of old domains that comes back"
    NOISE = "what the same documents give the base model, over what was forgotten; or SD over seeds"
    MEAN = "old domains, each alike; settings of a sweep averaged, then seeds (Student's interval added)"

    threshold: float = option(..., low=0, high=1, help="share that has to come back")
    documents: int = option(
        50,
        low=1,
        of="probes.relearning.documents",
        help="after how many of the domain's own; one of probes.relearning.documents",
    )
    methods: tuple[str, ...] = option(("lora",), of="methods", help="entries of methods that count as plain")

    def look(self, finding, tables, study):
        table = last_stages(tables["recovery"])
        table = table[table["domain"] == ALL]
        if not ((table["documents"] == self.documents) & (table["source"] == "own")).any():
            finding.miss(f"old domains taught {self.documents} documents (probes.relearning.documents)")
            return
        base = _gains(tables["recovery"], self.documents)
        for method in self.methods:
            rows = of_family(table, study.families, method)
            if rows.empty:
                finding.miss(f"old domains taught again after {method} (probes.relearning.methods)")
            for model, here in rows.groupby("model", sort=False):
                seeds = []
                for order, part in here.groupby("order", sort=False):
                    self._one(finding, part, model, order, method, base.get(model, {}), study.orders)
                    seeds.append(part.groupby("method")["seed"].nunique().min())
                self.ask(finding, int(min(seeds)), here["order"], f"{method} on {model}")

    def _one(self, finding, part, model, order, method, base, orders):
        at = (part["source"] == "own") & (part["documents"] == self.documents)
        shares = part[at & (part["quantity"] == "share")]
        if shares["value"].isna().all():
            finding.skip(f"{model}, order {order}: {method} forgets nothing for certain")
            return
        *three, spread = verdict.over_seeds(*by_seed(shares, "value", "low", "high"))
        forgotten = part.loc[part["quantity"] == "forgotten", "value"].mean()
        gains = [base.get(domain, np.nan) for domain in orders[order][:-1]]
        taught = float(np.mean(gains)) / forgotten
        noise = np.nan if np.isnan(taught) else np.nanmax([taught, spread])
        metadata = {"n": shares["n"].max(), "seeds": shares["seed"].nunique(), "order": order}
        metadata |= {"subject": method, "groups": int(shares["groups"].min())}
        detail = f"{forgotten:.3g} nats forgotten; {self._beside(part)}"
        finding.evidence.append(self.piece(model, three, noise, **metadata, detail=detail))

    def _beside(self, part) -> str:
        """The other shares, in words."""
        shares = part[part["quantity"] == "share"]
        other = shares[(shares["documents"] != self.documents) | (shares["source"] != "own")]
        means = other.groupby(["source", "documents"], sort=False)["value"].mean()
        return ", ".join(f"{value:.2f} after {count} {source}" for (source, count), value in means.items())


def _gains(table, documents: int) -> dict:
    """model -> {domain: what so many documents give the base model, in nats}."""
    rows = table[(table["checkpoint"] == "base") & (table["quantity"] == "recovered")]
    rows = rows[rows["documents"] == documents]
    return {model: dict(zip(part["domain"], part["value"])) for model, part in rows.groupby("model")}
