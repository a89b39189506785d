"""How far ahead of the reference a method is, round by round: does a constrained learner overtake?"""

from dataclasses import dataclass

from implicit_sparsity.metrics import score_names, stagewise
from implicit_sparsity.options import option
from implicit_sparsity.report import words
from implicit_sparsity.report.style import ordered, styles

from . import base
from .base import Figure


@dataclass
class Rounds(Figure):
    """Mean score on the domains trained so far less the reference's, by stage; a panel a model and order."""

    TABLES = ("r_matrices", "scores", "fronts")
    EMPTY = "the reference and a method beside it are not both trained in this study"

    score: str = option("loss_content", of="scores", help="of which the curves are")
    against: str = option("lora", of="methods", help="the reference")

    def frame(self, tables):
        families = {
            row.method: {"family": row.family, "role": row.role} for row in tables["fronts"].itertuples()
        }
        curves = stagewise.curves(tables["r_matrices"], tables["scores"], families, self.score)
        curves = stagewise.best_settings(curves)
        methods = {metadata["family"] for metadata in families.values() if metadata["role"] == "method"} - {
            self.against
        }
        parts = []
        for (model, order), part in curves.groupby(["model", "order"], sort=False):
            for family in ordered(set(part["family"]) & methods):
                ahead = stagewise.ahead(part, family, self.against)
                ahead = base.spread(ahead, ["stage"], units="documents") if len(ahead) else ahead
                parts.append(ahead.assign(model=model, order=order, family=family, against=self.against))
        return self._joined(parts)

    def nothing(self, tables):
        families = set(tables["fronts"].query("role == 'method'")["family"])
        return super().nothing(tables) or self.against not in families or len(families) < 2

    @staticmethod
    def _joined(parts):
        import pandas as pd

        columns = ["model", "order", "family", "against", "stage", "mean", "low", "high"]
        columns += ["n", "documents", "groups"]
        parts = [part for part in parts if len(part)]
        return pd.concat(parts, ignore_index=True)[columns] if parts else pd.DataFrame(columns=columns)

    def draw(self, frame):
        cells = list(frame[["model", "order"]].drop_duplicates().itertuples(index=False, name=None))
        plot_styles = styles(ordered(frame["family"]))
        columns = min(len(cells), 2)
        figure, axes = base.panels(-(-len(cells) // columns), columns, height=1.9, extra=0.9)
        for ax in axes.flat[len(cells) :]:
            ax.set_axis_off()
        unit = score_names.axis(self.score)
        for ax, (model, order) in zip(axes.flat, cells):
            part = frame[(frame["model"] == model) & (frame["order"] == order)]
            present = {family: plot_styles[family] for family in plot_styles if family in set(part["family"])}
            for family, look in base.apart(present):
                line = part[part["family"] == family]
                base.line(ax, line, look, x="stage", band=0.15, gid=family)
            ax.axhline(0, color="0.35", linewidth=0.7, zorder=1)
            ax.set_title(f"{words.readable(model, 28)}, order {words.readable(order)}", loc="left")
            ax.set_xlabel("after stage")
            ax.set_ylabel(f"ahead by ({unit})")
            base.whole_numbers(ax)
        reference = words.readable(frame["against"].iloc[0])
        note = (
            f"Mean score on the domains trained so far, less that of {reference} "
            "(losses turned round: above 0, ahead). Of a sweep the setting that ends best. "
            + f"{words.seeds_note(frame['n'])} "
            + f"On {words.documents(frame.assign(n=frame['documents']))}."
        )
        base.annotate(figure, note, base.handles(plot_styles))
        return figure
