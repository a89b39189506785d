"""Are the domains using different parts? One page: what every measurement says of each model.

Two rows of panels a model. First by layer, between floor and ceiling: neurons, how far their sets are apart,
gradients, experts. Then what zeros and other domains' masks cost, how far training moved the model, and what
it forgot. A panel that a study has nothing for says so.
"""

from dataclasses import dataclass

from implicit_sparsity.metrics import pairs, score_names
from implicit_sparsity.options import option
from implicit_sparsity.report import words
from implicit_sparsity.report.style import TRIPLE, ordered, styles

from . import base
from .base import Figure

PANELS = {
    "overlap": "neurons (IoU)",
    "sep": "separation (SEP)",
    "gradients": "gradients (cosine)",
    "routing": "experts (IoU)",
    "critical": "zeros at +{:g} % loss",
    "masks": "loss, {:g} % masked",
    "drift": "drift (relative L2)",
    "learning": "learned, forgotten",
}
WHY = {"routing": "no mixture of experts", "drift": "not trained", "learning": "not trained"}
LABELS = {"ceiling": "within a domain", "signal": "between domains", "floor": "chance or random"}
OWN = {"own": "ceiling", "other": "signal", "random": "floor"}  # whose mask, drawn as what
UNRELATED = {"color": "#777777", "linestyle": (0, (1, 1)), "marker": None}
COLUMNS = ("model", "revision", "panel", "line", "name", "x", "value", "low", "high", "n", "parameter")


@dataclass
class Overview(Figure):
    """Mean and range over pairs of domains, domains, kinds of weights or runs; of single numbers, 95 %."""

    TABLES = ("activation_overlap",)
    OPTIONAL = ("gradient_overlap", "routing_overlap", "critical_sparsity", "representation_drift", "metrics")

    models: tuple[str, ...] = option(
        ("all",),
        of="models",
        besides=("all",),
        help="models on the page, three at most to be readable; all: every one",
    )
    k: float = option(
        0.0,
        size="neurons",
        of="probes.activation_overlap.k",
        besides=(0,),
        help="size of the sets; 0: the largest share of a layer that was measured",
    )
    score: str = option("loss_content", of="scores", help="of which learned and forgotten are")
    level: float = option(0.5, low=0, below=1, help="share masked; the nearest to it that was measured")

    def frame(self, tables):
        import pandas as pd

        makers = (_overlap, _gradients, _routing, _critical, _drift, _learning)
        parts = []
        for name, maker in zip((*self.TABLES, *self.OPTIONAL), makers):
            if len(table := tables.get(name, ())):
                parts += [part.assign(panel=panel) for panel, part in maker(table, self)]
        frame = pd.concat([part for part in parts if len(part)] or [pd.DataFrame(columns=list(COLUMNS))])
        frame = frame.reindex(columns=list(COLUMNS))
        if self.models != ("all",):
            frame = frame[frame["model"].isin(self.models)]
        known = frame.dropna(subset=["revision"]).drop_duplicates("model").set_index("model")["revision"]
        frame["revision"] = frame["model"].map(known).fillna("")  # the table of metrics has none
        words = {name: frame[name].astype(object).fillna("") for name in ("line", "name")}
        return frame.assign(**words).reset_index(drop=True)

    def draw(self, frame):
        models = list(frame["model"].unique())
        height = min(1.3, 8.2 / (2 * len(models)))
        figure, axes = base.panels(2 * len(models), 4, height, extra=0.75)
        methods = set(frame.loc[frame["panel"].isin(["drift", "learning"]), "line"]) - {"unrelated"}
        plot_styles = styles(ordered(methods))
        for i, model in enumerate(models):
            own = frame[frame["model"] == model]
            axes[2 * i, 0].set_ylabel(words.readable(model, 22))
            for ax, (panel, title) in zip(axes[2 * i : 2 * i + 2].flat, PANELS.items()):
                part, anywhere = own[own["panel"] == panel], (frame["panel"] == panel).any()
                if part.empty:
                    base.say(ax, WHY.get(panel, "not measured") if anywhere else "not measured", width=12)
                else:
                    draw = {"critical": _points, "masks": _points, "learning": _plane}.get(panel, _lines)
                    draw(ax, part, plot_styles)
                parameter = (
                    part["parameter"].iloc[0] if len(part) else {"masks": 100 * self.level}.get(panel, 1)
                )
                ax.set_title(title.format(parameter), loc="left")
        handles = base.handles(TRIPLE, LABELS) + base.handles(plot_styles)
        base.annotate(figure, self._note(frame), handles)
        return figure

    def _note(self, frame):
        overlap, zeros = (frame[frame["panel"] == panel] for panel in ("overlap", "critical"))
        pairs = overlap.loc[overlap["line"] == "signal", "n"]
        sets = f"the {words.size_of_set(overlap['parameter'].iloc[0])} of" if len(overlap) else "no"
        over = f" over n = {words.span(zeros['n'])} documents of a domain" if len(zeros) else ""
        values = f"{words.span(pairs)} pairs of domains" if len(pairs) else "pairs"
        return (
            f"{words.origin_note(frame)}Base models, but for the last two panels of each. By layer: {sets} "
            "neurons by mean |h|; SEP is 0 where two domains differ no more than two halves of one, 1 where "
            "they share no more than by chance (dotted: documents dealt to domains at random); gradients of "
            f"all kinds of weights. Line: mean; band: lowest to highest over {values} (between), domains "
            f"(within) and kinds. Zeros: critical sparsity, 95 %{over}. Loss: its increase in % where only "
            "the neurons that the domain itself, another or chance would keep are not zero. Drift, and "
            f"{score_names.label(self.score)} forgotten (upwards) over learned: after the last stage, mean "
            "and lowest to highest of runs and domains; grey: unrelated states."
        )


def _overlap(table, figure):
    table = pairs.of_domains(table)
    table = table[(table["checkpoint"] == "base") & (table["measure"] == "iou") & (table["control"] == "")]
    sizes = table["k"].dropna().unique()
    k = figure.k or max((k for k in sizes if k < 1), default=max(sizes, default=0))
    table = table[table["k"].sub(k).abs() < 1e-9].assign(parameter=k)
    yield "overlap", _triple(table)
    apart = table["quantity"].map({"sep": "signal", "sep_permuted": "floor"})
    yield "sep", _layers(table.assign(quantity=apart).dropna(subset=["quantity"]))


def _gradients(table, figure):
    table = pairs.of_domains(table)
    table = table[(table["checkpoint"] == "base") & (table["measure"] == "cosine") & (table["layer"] >= 0)]
    random = table["quantity"].replace({"floor": "", "floor_d_eff": "floor"})
    yield "gradients", _triple(table.assign(quantity=random))


def _routing(table, figure):
    yield "routing", _triple(table[(table["checkpoint"] == "base") & (table["measure"] == "iou")])


def _critical(table, figure):
    table = table[(table["checkpoint"] == "base") & (table["tokens"] == "content")]
    points = table[(table["measure"] == "critical_sparsity") & (table["quantity"] != "numerical")]
    points = points.assign(line="signal", name=points["domain_b"], parameter=100 * points["tolerance"])
    yield "critical", points
    masks = table[table["measure"] == "cross_mask"]
    apart = masks["level"].sub(figure.level).abs()
    masks = masks[(apart == apart.min()) & masks["quantity"].isin(TRIPLE)]
    masks = masks.assign(value=100 * (masks["value"] - 1), line=masks["quantity"])
    masks = masks.assign(name=masks["line"].map({drawn: own for own, drawn in OWN.items()}))
    yield "masks", _spread(masks.assign(parameter=100 * masks["level"]), ["line", "name", "parameter"])


def _drift(table, figure):
    table = table[(table["reference"] == "base") & (table["measure"] == "relative_l2")]
    parts = table["checkpoint"].str.extract(r"^(\w+)\.(\w+)\.seed\d+\.stage(\d+)$")
    table = table.assign(line=parts[0], order=parts[1], stage=parts[2].astype(int), x=table["layer"])
    table = table[table["stage"] == table.groupby(["model", "order"])["stage"].transform("max")]
    table.loc[table["quantity"] == "unrelated", "line"] = "unrelated"
    yield "drift", _spread(table[table["quantity"].isin(["signal", "unrelated"])], ["line", "x"])


def _learning(table, figure):
    table = table[table["score"] == figure.score].assign(revision=None, line=table["method"])
    learned = _spread(table[table["metric"] == "learned_gain"], ["line"])
    forgotten = _spread(table[table["metric"] == "forgetting"], ["line"])
    across = learned.set_index(["model", "line"])["value"].rename("x")
    yield "learning", forgotten.join(across, on=["model", "line"])


def _triple(table):
    """By layer: what is between domains, its floor, and the ceiling within domains."""
    own = table["domain_a"] == table["domain_b"]
    # A pair's ceiling is the mean of two domains' own: drawn are the domains' own.
    return _layers(table[(own == (table["quantity"] == "ceiling")) & table["quantity"].isin(TRIPLE)])


def _layers(table):
    given = [name for name in ("parameter",) if name in table]
    return _spread(table.assign(line=table["quantity"], x=table["layer"]), ["line", "x", *given])


def _spread(table, by):
    result = base.spread(table, ["model", "revision", *by])
    return result.rename(columns={"mean": "value"})


def _lines(ax, part, plot_styles):
    drawn = TRIPLE | plot_styles | {"unrelated": UNRELATED}
    present = {name: look for name, look in drawn.items() if (part["line"] == name).any()}
    for name, look in base.apart(present, size=2.5):
        base.line(ax, part[part["line"] == name], look, x="x", y="value", band=0.18, every=4, gid=name)
    base.whole_numbers(ax, most=4)


def _points(ax, part, _):
    for x, point in enumerate(part.itertuples()):
        reach = base.reach(point.value, point.low, point.high)
        look = TRIPLE[point.line] | {"linestyle": "none", "marker": "o"}
        ax.errorbar(x, point.value, yerr=reach, **look, markersize=3, capsize=2, gid=point.name)
    ax.set_xticks(range(len(part)), map(words.readable, part["name"]), rotation=30, ha="right")
    ax.set_xlim(-0.5, len(part) - 0.5)
    ax.margins(y=0.15)
    ax.set_ylim(bottom=min(0, part["low"].min()))


def _plane(ax, part, plot_styles):
    for point in part.itertuples():
        reach = base.reach(point.value, point.low, point.high)
        look = plot_styles[point.line] | {"linestyle": "none"}
        ax.errorbar(point.x, point.value, yerr=reach, **look, capsize=2, gid=point.line)
    ax.axhline(0, color="#777777", linewidth=0.6)
    ax.axvline(0, color="#777777", linewidth=0.6)
    ax.margins(0.2)
