"""H3c: the free subspace is used up as domains are added.

effect: input dimensions that each further domain takes up beyond what other documents of the domain before
it take up (``capacity``, growth less its floor), as a share of the width; mean over the further domains of an
order and over layers. Free dimensions alone would not do: they cannot grow, whatever is added.
"""

from dataclasses import dataclass

import numpy as np

from implicit_sparsity.metrics import verdict
from implicit_sparsity.options import option

from .base import Claim

ENDS = ["value", "low", "high"]


@dataclass
class H3c(Claim):
    QUESTION = "Is the free subspace used up as domains are added?"
    STATEMENT = "The free subspace is used up as domains are added."
    REFUTED = "free dimensions per layer do not shrink by more than the same domain's other documents take"
    TABLES = ("capacity",)
    FIGURE = "capacity"
    EFFECT = "share of the width that each further domain takes up, beyond its floor"
    NOISE = "the floor itself: what other documents of the domain before it take up"
    MEAN = "layers averaged by the probe; further domains averaged with their ends"

    threshold: float = option(..., low=0, high=1, help="share of the width by which each further domain adds")
    place: str = option(
        "ffn",
        choices=("ffn", "down"),
        asks={"down": "probes.input_spectra.down"},
        help="inputs of gate and up, or of down_proj",
    )
    energy: float = option(
        0.95,
        above=0,
        high=1,
        of="probes.input_spectra.energy",
        help="as under probes.input_spectra.energy",
    )

    def look(self, finding, tables, study):
        table = tables["capacity"]
        table = table[(table["measure"] == "growth") & (table["layer"] == -1) & (table["after"] > 1)]
        table = table[(table["place"] == self.place) & np.isclose(table["energy"], self.energy)]
        if table.empty:
            finding.miss(f"capacity at {self.place}, energy {self.energy:g}, of two domains or more")
        for (model, order), part in table.groupby(["model", "order"], sort=False):
            width = part["width"].iloc[0]
            grown, floor = (
                part[part["quantity"] == name].set_index("after")[ENDS] / width
                for name in ("signal", "floor")
            )
            steps = [verdict.difference(tuple(grown.loc[t]), tuple(floor.loc[t])) for t in grown.index]
            three = verdict.together(*np.array(steps).T)
            noise = floor["value"].mean(skipna=False)
            detail = f"{len(steps)} further domains, width {width:.0f}: "
            detail += ", ".join(f"{step[0] * width:+.0f}" for step in steps) + " dimensions"
            metadata = {"n": part["n"].max(), "order": order, "detail": detail}
            metadata["groups"] = part["groups"].min()
            finding.evidence.append(self.piece(model, three, noise, **metadata))
