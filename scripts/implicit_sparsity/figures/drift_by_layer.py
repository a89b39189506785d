"""How far training moved the hidden states, by layer and method, beside what unrelated states would give.

Rows of panels are models, columns measures.
"""

from dataclasses import dataclass

from implicit_sparsity.errors import InputError
from implicit_sparsity.options import option
from implicit_sparsity.report import words
from implicit_sparsity.report.style import ordered, styles

from . import base
from .base import Figure

TITLES = {
    "relative_l2": "relative L2",
    "cosine": "cosine",
    "cka": "CKA",
    "cka_positions": "CKA of positions",
    "drift_energy": "energy outside",
    "drift_excess": "energy gone outside",
    "mean_angle": "mean angle (rad)",
    "largest_angle": "largest angle (rad)",
}
UNRELATED = {"color": "#777777", "linestyle": (0, (1, 1))}
FLOOR = {"color": "#BBBBBB", "linewidth": 3.5}  # below the lines of methods, which may lie on it


@dataclass
class DriftByLayer(Figure):
    """Drift after the last stage of every run: one domain with its interval, or the mean of all domains."""

    TABLES = ("representation_drift",)
    EMPTY = "no trained checkpoint in this study"

    domain: str = option(
        "",
        of="domains",
        besides=("",),
        help="domain of the fixed documents; left out: the reference set, if there is one; empty: mean and "
        "range of all",
    )
    reference: str = option(
        "base",
        choices=("base", "previous"),
        asks={"previous": "second stages"},
        help="network that is compared with",
    )
    measures: tuple[str, ...] = option(
        ("relative_l2", "cka", "drift_energy", "mean_angle"), choices=tuple(TITLES), help="measures to draw"
    )

    def frame(self, tables):
        table = tables["representation_drift"]
        table = table[(table["reference"] == self.reference) & table["measure"].isin(self.measures)]
        if self.domain and len(table):
            domains = sorted(set(table["domain"]))
            if self.domain not in domains:
                raise InputError(f"{self.domain!r} is not one of {', '.join(domains)}", key="domain")
            table = table[table["domain"] == self.domain]
        parts = table["checkpoint"].str.extract(r"^(\w+)\.(\w+)\.seed\d+\.stage(\d+)$")
        table = table.assign(method=parts[0], order=parts[1], stage=parts[2].astype(int))
        table = table[table["stage"] == table.groupby(["model", "order"])["stage"].transform("max")]
        by = ["model", "revision", "method", "stage", "measure", "quantity", "layer"]
        grouped = table.dropna(subset=["value"]).groupby(by, sort=False)
        aggregates = {"value": ("value", "mean"), "lowest": ("value", "min"), "highest": ("value", "max")}
        aggregates |= {"low": ("low", "min"), "high": ("high", "max"), "runs": ("checkpoint", "nunique")}
        aggregates |= {"domains": ("domain", "nunique"), "documents": ("n", "max")}
        aggregates |= {"groups": ("groups", "min")}
        columns = grouped.agg(**aggregates).reset_index()
        one = (columns["runs"] == 1) & (columns["domains"] == 1)
        columns["low"] = columns["low"].where(one, columns["lowest"])
        columns["high"] = columns["high"].where(one, columns["highest"])
        return columns.drop(columns=["lowest", "highest"])

    def draw(self, frame):
        shown = [measure for measure in self.measures if (frame["measure"] == measure).any()]
        plot_styles = styles(ordered(frame["method"]))
        figure, cells = base.grid(frame, "measure", shown, "drift", height=1.8, extra=0.6, sharex="row")
        for ax, measure, part in cells:
            self._panel(ax, part, plot_styles)
            ax.set_title(TITLES[measure], loc="left")
        handles = [*base.handles(plot_styles), base.handle("unrelated states", **UNRELATED)]
        if (frame["quantity"] == "floor").any():
            handles.append(base.handle("not moved (floor)", **FLOOR))
        base.annotate(figure, self._note(frame), handles)
        return figure

    @staticmethod
    def _panel(ax, part, plot_styles):
        signal = part[part["quantity"] == "signal"]
        # of all methods: what would be without any relation, or any movement, hardly depends on them
        means = part.groupby(["quantity", "layer"])["value"].mean()
        floor, unrelated = (means[means.index.get_level_values(0) == name] for name in ("floor", "unrelated"))
        floor, unrelated = floor.droplevel(0), unrelated.droplevel(0)
        ax.plot(floor.index, floor.to_numpy(), **FLOOR, gid="floor")
        for method, look in base.apart(plot_styles):
            base.line(
                ax, signal[signal["method"] == method], look, y="value", band=0.18, gid=f"signal {method}"
            )
        base.whole_numbers(ax)
        if beyond := beyond_the_lines(unrelated, signal):
            text = f"unrelated states: {unrelated.mean():.2f} {'↑' if beyond > 0 else '↓'}"
            place = {"y": 0.98, "va": "top"} if beyond > 0 else {"y": 0.02, "va": "bottom"}
            ax.text(
                x=0.98, s=text, transform=ax.transAxes, ha="right", fontsize=5.5, gid="unrelated", **place
            )
            ax.margins(y=0.2)
        else:
            ax.plot(unrelated.index, unrelated.to_numpy(), **UNRELATED, gid="unrelated")

    def _note(self, frame):
        against = {"base": "the base model", "previous": "the stage before"}[self.reference]
        one = (frame["runs"].max() == 1) and (frame["domains"].max() == 1)
        where = f"documents of {words.readable(self.domain)}" if self.domain else "documents of each domain"
        domains, runs = words.span(frame["domains"]), words.span(frame["runs"])
        band = "95 % interval over groups of documents"
        if not one:
            band = f"lowest to highest of domains ({domains}) and runs ({runs})"
        return (
            f"{words.origin_note(frame)}After the last stage, against {against}. Band: {band}; "
            f"n = {words.span(frame['documents'])} {where}, in {words.grouped(frame)}. "
            "Energy: share of the states' squared length "
            "outside the reference's leading directions."
        )


def beyond_the_lines(unrelated, signal, spans: float = 1.0) -> int:
    """1 or -1 where unrelated states lie ``spans`` heights of the methods' lines above or below these, which
    would be flat on one axis with them; else 0. unrelated: Series by layer; signal: rows with low, high."""
    low = signal[["value", "low"]].min().min()
    high = signal[["value", "high"]].max().max()
    room = spans * (high - low)
    return int(unrelated.min() > high + room) - int(unrelated.max() < low - room)
