"""R matrices as heat maps: rows are stages (base first), columns domains, one panel per method, for every
score.

The number in a cell is the score itself; its shade is the change from the base model, brighter always
better, on a scale of even lightness, so that a grey print keeps the order. A frame marks the domain just
trained.
"""

from dataclasses import dataclass

from implicit_sparsity.metrics import score_names
from implicit_sparsity.options import option
from implicit_sparsity.report import words
from implicit_sparsity.report.style import ordered

from . import base
from .base import Figure


@dataclass
class RHeatmaps(Figure):
    """Losses and accuracies after every stage on every domain; mean over seeds."""

    TABLES = ("r_matrices",)
    EMPTY = "no trained stage in this study"

    scores: tuple[str, ...] = option(
        ("loss_content", "acc"), of="scores", help="scores to draw, a block of panels each"
    )
    columns: int = option(3, low=1, high=6, help="panels side by side")

    def frame(self, tables):
        import pandas as pd

        table = tables["r_matrices"]
        table = table[table["metric"].isin(self.scores)]
        by = ["model", "metric", "order", "method", "stage", "trained_domain", "domain", "position"]
        frame = base.spread(table, [*by, "higher_is_better"], units="documents").sort_values(
            "position", kind="stable", key=lambda p: p.where(p > 0, 10**6)
        )
        key = ["model", "metric", "order", "method", "domain"]
        start = frame[frame["stage"] == 0][[*key, "mean"]].rename(columns={"mean": "base"})
        frame = frame.merge(start, on=key, how="left")
        sign = frame["higher_is_better"].map({True: 1.0, False: -1.0})
        return frame.assign(change=sign * (frame["mean"] - frame["base"])).sort_values(
            by[:5], kind="stable", key=lambda column: pd.factorize(column)[0]
        )

    def draw(self, frame):
        blocks = [
            (model, metric, part)
            for model in frame["model"].unique()
            for metric in self.scores
            if not (part := frame[(frame["model"] == model) & (frame["metric"] == metric)]).empty
        ]
        cells = [
            [
                (order, method, matrix[matrix["method"] == method])
                for order, matrix in part.groupby("order", sort=False)
                for method in ordered(matrix["method"])
            ]
            for _, _, part in blocks
        ]
        columns = min(self.columns, max(map(len, cells)))
        rows = [-(-len(matrices) // columns) for matrices in cells]
        stages = frame.groupby(["model", "order"])["stage"].nunique().max()
        figure, axes = base.panels(sum(rows), columns, height=0.62 + 0.2 * stages, extra=0.3)
        for ax in axes.flat:
            ax.set_axis_off()
        top = 0
        for (model, metric, part), matrices, height in zip(blocks, cells, rows):
            block = axes[top : top + height]
            top += height
            self._block(
                figure, block, matrices, f"{words.readable(model)}: {score_names.label(metric)}", part
            )
        seeds = words.seeds_note(frame["n"]).replace(
            "mean and range (lowest to highest)", "mean, range in the CSV"
        )
        shade = "Shade: change from the base model, brighter is better"
        size = f"{words.span(frame['documents'])} documents in {words.grouped(frame)}"
        base.annotate(
            figure, f"Number: the score, of {size}. {shade}. Frame: the domain of that stage. {seeds}"
        )
        return figure

    def _block(self, figure, block, matrices, name, part):
        """All panels of one model and score, on one scale of shades."""
        from matplotlib.cm import ScalarMappable
        from matplotlib.colors import Normalize

        low, high = min(0.0, part["change"].min()), max(0.0, part["change"].max())
        scale = ScalarMappable(Normalize(low, high if high > low else low + 1e-9), "cividis")
        several = part["order"].nunique() > 1
        for i, (ax, (order, method, matrix)) in enumerate(zip(block.flat, matrices)):
            ax.set_axis_on()
            self._panel(ax, matrix, scale, show_stages=i % block.shape[1] == 0 or several)
            title = words.readable(method) + (f" ({order})" if several else "")
            ax.set_title(title, loc="left", pad=3)
            if i == 0:
                above = {"xy": (0, 1), "xycoords": "axes fraction", "textcoords": "offset points"}
                ax.annotate(name, xytext=(0, 13), weight="bold", gid="block", **above)
        bar = figure.colorbar(scale, ax=list(block.flat), shrink=0.8, aspect=14, pad=0.015)
        bar.set_label("change, better \N{RIGHTWARDS ARROW}", fontsize=6.5)
        bar.outline.set_visible(False)

    @staticmethod
    def _panel(ax, matrix, scale, show_stages):
        from matplotlib.patches import Rectangle

        domains = list(matrix["domain"].unique())
        trained = matrix.drop_duplicates("stage").set_index("stage")["trained_domain"]
        stages = sorted(trained.index)
        for row in matrix.itertuples():
            x, y = domains.index(row.domain), stages.index(row.stage)
            shade = scale.to_rgba(row.change) if row.change == row.change else (0.85, 0.85, 0.85, 1.0)
            ink = base.cell(ax, x, y, shade, f"{row.mean:.2f}")
            if row.domain == row.trained_domain:
                frame = Rectangle((x - 0.43, y - 0.4), 0.86, 0.8, fill=False, edgecolor=ink, linewidth=1.1)
                ax.add_patch(frame)
        tilt = {"rotation": 30, "ha": "right"} if max(map(len, domains)) > 7 or len(domains) > 4 else {}
        names = [f"{stage} {words.readable(trained[stage])}" if stage else "base" for stage in stages]
        rows = names if show_stages else [""] * len(stages)
        base.matrix(ax, rows, list(map(words.readable, domains)), **tilt)
