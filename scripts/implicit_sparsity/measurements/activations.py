"""The activation pass: what every feed-forward neuron did on both probe halves of a domain."""

from dataclasses import dataclass
from typing import ClassVar

from implicit_sparsity.models import ffn
from implicit_sparsity.options import option
from implicit_sparsity.passes import activation_pass
from implicit_sparsity.passes.accumulators import BINS

from .base import Forward, Measurement

VALUE = 8  # bytes of a sum or counter
GROUPED = 4  # of a group of documents


@dataclass
class Activations(Measurement):
    """Sums, counts and histograms of |h| by neuron, the same number of tokens in each half and domain."""

    tokens: int = option(
        2048, low=1, high="splits.probe x tokens.max_length", help="tokens per half and domain"
    )
    groups: int = option(
        32,
        low=4,
        high=4096,
        help="parts for intervals, of whole groups of documents: one each where there are as many",
    )
    controls: tuple[str, ...] = option(
        (),
        choices=("bare", "matched"),
        empty=True,
        help="further passes over the base model: without the template; on equally many tokens of each id",
    )
    top_k: tuple[float, ...] = option(
        (0.01,),
        size="neurons",
        help="sets of most active neurons: shares of a layer, or counts",
    )
    thresholds: tuple[float, ...] = option(
        (0.01, 0.1),
        above=0,
        below=1,
        help="a neuron is on above this share of the token's largest |h|",
    )
    skip_first: int = option(
        1, low=0, below="tokens.max_length", help="leading tokens of each document that are left out"
    )
    batch_tokens: int = option(512, low=1, help="tokens of one forward pass; memory grows with it")

    TITLE = "FFN activation statistics of {model} ({checkpoint}) on {domain}"
    PLANNED: ClassVar[tuple] = ("stages", "methods", "controls")
    LIGHTER: ClassVar[dict] = {"batch_tokens": None}

    def measure(self, subject):
        network, options = subject.load(), self.settings()
        blocks, special, where = ffn.feed_forwards(network), subject.special_ids(), subject.where()
        halves = []
        for half, split in subject.halves().items():
            bar = subject.progress(f"{subject.domain} {half}")
            halves.append(activation_pass.measure_half(network, blocks, split, special, options, bar, where))
        return activation_pass.as_store(halves, blocks, options)

    def passes(self, domains, length, stage):
        return [Forward(2.0 * self.tokens, self.batch_tokens, head=False)]

    def held(self, shape, positions, width):
        neurons, part = shape.layers * shape.neurons, max(shape.ffn, shape.expert_ffn, shape.shared)
        sums = VALUE * (3 + len(self.top_k) + len(self.thresholds)) + GROUPED * self.groups
        down = max(w.inputs * w.outputs for w in shape.weights if w.name == "down_proj")
        return {
            # sums, then |W_down| in float64 for the contribution
            "statistics": neurons * sums + neurons * 2.0 * VALUE + 2 * VALUE * down,
            # a layer's h: kept ones, |h| and its square in float32, comparisons, the largest
            "observed": positions * part * (width + 2.0 * 4 + 1 + 0.1 * 8),
        }

    def stored(self, shape):
        """Before compression; both halves."""
        neurons = 4 + len(self.top_k) + len(self.thresholds)  # sum, squares, largest, contribution
        layer = neurons * shape.neurons + BINS + 1 + 2 * shape.experts
        # as many groups as documents at most
        groups = float(GROUPED) * self.groups * shape.neurons
        return 2.0 * shape.layers * (VALUE * layer + groups)
