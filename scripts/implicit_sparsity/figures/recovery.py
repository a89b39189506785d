"""What of old domains comes back, over the documents that are taught again.

Rows of panels are models, columns old domains and their mean. Lines are methods after their last stage: loss
above that after the domain's own stage, whose left end is what was forgotten, whose fall is what comes back
(spurious, beyond what the same documents teach base), and whose right end is what does not (real).
"""

from dataclasses import dataclass

from implicit_sparsity.metrics import checkpoints
from implicit_sparsity.report import words
from implicit_sparsity.report.style import ordered, styles

from . import base
from .base import Figure

LINES = {"own": "-", "unrelated": (0, (1, 1)), "base": (0, (5, 1.5))}
LABELS = {
    "own": "own documents",
    "unrelated": "an unrelated domain's",
    "base": "own, taught to the base model",
}
GREY = "#777777"
ALL = "all"


@dataclass
class Recovery(Figure):
    """Mean over runs of a method, and of the ends of their intervals."""

    TABLES = ("recovery",)
    FIRST_STAGE = 2
    EMPTY = "no domain was trained before another in this study"

    def frame(self, tables):
        import pandas as pd

        table = tables["recovery"]
        table = checkpoints.last_stages(checkpoints.of_runs(table[table["checkpoint"] != "base"]))
        after = table[table["quantity"] == "remaining"]
        start = table[table["quantity"] == "forgotten"]
        taught = [source for source in ("own", "unrelated") if (after["source"] == source).any()]
        rows = pd.concat([*(start.assign(source=source) for source in taught), after])
        rows.loc[rows["source"] == "base", "method"] = "base"
        keys = ["model", "revision", "domain", "method", "source", "documents"]
        return (
            rows.groupby(keys, sort=False)
            .agg(
                value=("value", "mean"),
                low=("low", "mean"),
                high=("high", "mean"),
                runs=("checkpoint", "nunique"),
                n=("n", "max"),
                groups=("groups", "min"),
                unrelated=("unrelated", "first"),
            )
            .reset_index()
        )

    def draw(self, frame):
        plot_styles = styles(ordered(set(frame["method"]) - {"base"}))
        domains = [*dict.fromkeys(d for d in frame["domain"] if d != ALL), ALL]
        label = "loss above that of\nits own stage (nats)"
        size = {"height": 1.75, "extra": 0.6, "sharey": "row"}
        figure, cells = base.grid(frame, "domain", domains, label, across="documents taught", **size)
        for ax, domain, part in cells:
            ax.axhline(0, color=GREY, linewidth=0.8)
            for (method, source), line in part.groupby(["method", "source"], sort=False):
                look = plot_styles.get(method, {"color": GREY, "marker": None})
                look = look | {"linestyle": LINES[source]}
                base.line(
                    ax,
                    line,
                    look,
                    x="documents",
                    y="value",
                    band=0.12,
                    every=slice(None),
                    gid=f"{method} {source}",
                )
            ax.set_title("mean" if domain == ALL else words.readable(domain), loc="left")
            ax.set_xticks(sorted(set(part["documents"])))
        sources = [name for name in LINES if (frame["source"] == name).any()]
        handles = base.handles({name: look | {"linestyle": "-"} for name, look in plot_styles.items()})
        handles += [base.handle(LABELS[name], color=GREY, linestyle=LINES[name]) for name in sources]
        base.annotate(figure, self._note(frame), handles)
        return figure

    def _note(self, frame):
        each = frame[frame["domain"] != ALL]
        unrelated = sorted({name for name in frame["unrelated"].dropna() if name})
        other = f" Unrelated: {', '.join(map(words.readable, unrelated))}." if unrelated else ""
        runs = words.span(frame.loc[frame["method"] != "base", "runs"])
        return (
            f"{words.origin_note(frame)}After the last stage, a fresh LoRA is taught. Left end: forgotten; "
            "fall: comes back (spurious, beyond what the same documents teach base); right end: does not "
            f"(real); 0: as after the domain's own stage.{other} n = {words.span(each['n'])} documents of a "
            f"domain in {words.grouped(each)}; "
            f"bands: 95 % over groups, mean of {runs} {'run' if runs == '1' else 'runs'}."
        )
