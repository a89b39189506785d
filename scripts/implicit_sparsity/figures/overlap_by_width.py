"""Does the overlap of domains fall as networks grow wider? One point per model, over FFN width."""

from dataclasses import dataclass

from implicit_sparsity.metrics import pairs
from implicit_sparsity.options import option
from implicit_sparsity.report import words
from implicit_sparsity.report.style import TRIPLE

from . import base
from .base import Figure

LABELS = {"ceiling": "within a domain (ceiling)", "signal": "between domains", "floor": "chance (floor)"}
SEPARATION = {"color": "#009E73", "linestyle": "-", "marker": "s"}


@dataclass
class OverlapByWidth(Figure):
    """Mean over layers and their range of the IoU (left) and of SEP (right), over neurons per layer."""

    TABLES = ("activation_overlap",)

    checkpoint: str = option("base", of="checkpoints", help="checkpoint whose activations are compared")
    k: float = option(
        0.1,
        size="neurons",
        of="probes.activation_overlap.k",
        help="size of the sets, as the probe's: one for all, best a share of the layer",
    )
    models: tuple[str, ...] = option(
        ("all",),
        of="models",
        besides=("all",),
        help="the models of one ladder, alike but for their width; all: every model",
    )

    def frame(self, tables):
        table = pairs.of_domains(tables["activation_overlap"])
        table = table[(table["measure"] == "iou") & (table["checkpoint"] == self.checkpoint)]
        table = table[table["k"].sub(self.k).abs() < 1e-9]
        table = table[(table["control"] == "") & table["quantity"].isin([*TRIPLE, "sep"])]
        if self.models != ("all",):
            table = table[table["model"].isin(self.models)]
        own = table["domain_a"] == table["domain_b"]
        # A pair's ceiling is the mean of two domains' own: drawn are the domains' own.
        table = table[own | (table["quantity"] != "ceiling")].dropna(subset=["value"])
        by = ["model", "revision", "checkpoint", "k", "top", "neurons", "tokens", "quantity"]
        layers = table.groupby([*by, "layer"], sort=False)["value"].mean()
        grouped = layers.groupby(by, sort=False)
        frame = grouped.agg(mean="mean", low="min", high="max", layers="count").reset_index()
        return frame.sort_values(["quantity", "neurons", "model"], ignore_index=True)

    def draw(self, frame):
        figure, axes = base.panels(1, 2, height=2.3, extra=0.55)
        for quantity, look in TRIPLE.items():
            self._line(axes[0, 0], frame, quantity, look)
        self._line(axes[0, 1], frame, "sep", SEPARATION)
        share = f"{self.k:.0f}" if self.k >= 1 else f"{100 * self.k:g} %"
        axes[0, 0].set_title(f"overlap of the top {share}", loc="left")
        axes[0, 0].set_ylabel("IoU")
        axes[0, 1].set_title("share of the way from ceiling to floor", loc="left")
        axes[0, 1].set_ylabel("SEP")
        widths = sorted(frame["neurons"].unique())
        for ax in axes[0]:
            ax.set_xscale("log")
            ax.set_xticks(widths, [f"{width:.0f}" for width in widths])
            ax.minorticks_off()
            ax.set_xlabel("FFN neurons in a layer")
            low, high = ax.get_ylim()
            ax.set_ylim(min(low, -0.02), max(high, 1.02))
        plot_styles = [(LABELS[quantity], look) for quantity, look in TRIPLE.items()] + [("SEP", SEPARATION)]
        base.annotate(figure, self._note(frame), [base.handle(label, **look) for label, look in plot_styles])
        return figure

    @staticmethod
    def _line(ax, frame, quantity, look):
        line = frame[frame["quantity"] == quantity]
        bars = base.reach(line["mean"], line["low"], line["high"])
        ax.errorbar(line["neurons"], line["mean"], bars, **look, capsize=2, elinewidth=0.8, gid=quantity)

    def _note(self, frame):
        models = ", ".join(map(words.readable, frame["model"].unique()))
        return (
            f"{words.origin_note(frame)}Models: {models}. Checkpoint {self.checkpoint}. Point: mean over the "
            "pairs of domains (between, SEP) or the domains (within) and over "
            f"{words.span(frame['layers'])} layers; bar: lowest to highest layer. "
            f"n = {words.span(frame['tokens'])} tokens per half of a domain. "
            "One model per width: no interval over trainings."
        )
