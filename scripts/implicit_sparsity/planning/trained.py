"""What a method trains, keeps and saves, by its class's literal ``TRAINS`` and its options: a low-rank
adapter of ``rank``, rows and columns of the share ``fraction`` of neurons, partitions of freed positions, or
all weights.

No method is named here.
"""

from dataclasses import dataclass

from implicit_sparsity.workflow import source

from .saved import FFN

# read the tensor that another weight of the layer has read already
SHARED = ("k_proj", "v_proj", "in_proj_z", "in_proj_b", "in_proj_a", "up_proj")


@dataclass(frozen=True)
class Trained:
    """One method with its options, on one shape."""

    shape: object
    rank: int = 0
    targets: str = "all"
    fraction: float = 0.0
    max_rank: int = 0  # directions that each past domain may claim in every weight's input
    sample_tokens: int = 0
    constrained: bool = False  # keeps copies of what is trained, to audit every step
    everything: bool = False
    partitions: int = 0  # of freed positions, half of what is pruned: a stage trains one
    whole: bool = False  # a stage leaves a whole model
    retained: tuple = (0, 0)  # bytes of state for each trained number: in all, and with every stage
    stacked: bool = False  # each stage has a LoRA of its own, saved with the earlier ones'
    per_domain: bool = False  # trains as long again for each domain so far
    linear: bool = False  # leaves the routed experts alone, which are no linear layers

    @property
    def fused(self) -> bool:
        """Whether routed experts are written."""
        return bool(self.shape.experts) and not self.linear

    def adapts(self, name: str) -> bool:
        """Whether the input of linear layers of this name is kept for a gradient."""
        return self.everything or name in FFN or bool(self.rank and self.targets == "all")

    @property
    def adapted(self) -> list:
        """The weights under a low-rank adapter."""
        weights = self.shape.weights if self.rank else ()
        return [w for w in weights if (self.fused if w.experts else self.adapts(w.name))]

    @property
    def chosen(self) -> int:
        """Neurons that a stage writes in the widest layer."""
        return max(1, round(self.fraction * self.shape.neurons)) if self.fraction else 0

    def _neurons(self, stages: int = 1) -> int:
        """Neurons that so many stages write in all layers together, at most."""
        if not self.fraction:
            return 0
        return sum(min(stages * max(1, round(self.fraction * size)), size) for size in self.shape.sizes)

    @property
    def parameters(self) -> int:
        """Numbers that a stage trains."""
        if self.partitions:
            return sum(w.parameters for w in self.shape.weights if w.experts or w.name in FFN) // (
                2 * self.partitions
            )
        if self.everything:
            return self.shape.total
        if self.rank:
            return sum(self.rank * (w.inputs + w.outputs) * w.count * max(1, w.experts) for w in self.adapted)
        return self._neurons() * 3 * self.shape.hidden

    @property
    def read(self) -> list:
        """(weight, its bases in a layer): weights that read one tensor share it, experts' ``down_proj`` do
        not."""
        firsts = [w for w in self.adapted if w.name not in SHARED]
        return [(w, w.experts if w.experts and w.name.endswith("down_proj") else 1) for w in firsts]

    @property
    def sample_bytes(self) -> float:
        """Bytes of the inputs that subspaces are read from, all weights together, in float32."""
        if not self.max_rank:
            return 0.0
        return (
            4.0
            * self.sample_tokens
            * sum(w.inputs * w.count * (self.shape.active if own > 1 else 1) for w, own in self.read)
        )

    def adapter_bytes(self, stage: int) -> float:
        """Bytes of adapter_model.safetensors (or of the saved model) after so many stages."""
        if self.everything or self.whole:
            return self.shape.total * 2.0
        if self.rank:
            return 4.0 * self.parameters * (stage if self.stacked else 1)
        # neurons are saved as a LoRA with one factor of ones: as many ranks as neurons. In a mixture all
        # experts share the largest rank; an even spread over experts is the least it can be.
        neurons = min(stage * self.chosen, self.shape.neurons)
        written = [w for w in self.shape.weights if w.experts or w.name in FFN]
        parts = self.shape.experts + bool(self.shape.shared) if self.shape.experts else 1
        fused = any(w.name == "gate_up_proj" for w in written)
        # of a fused weight, a rank for the row of gate and one for that of up
        rank = -(-neurons // parts) * (2 if fused else 1)
        return 4.0 * sum(rank * (w.inputs + w.outputs) * w.count * max(1, w.experts) for w in written)

    def state_bytes(self, stage: int) -> float:
        """Bytes of what a stage leaves for the next one beside the adapter, at most. The direction of first
        tokens (``orthogonal``) is not counted."""
        if self.partitions:
            return self.parameters * 2.0 * self.partitions / 8
        if self.max_rank:
            return 4.0 * sum(
                own * w.inputs * min(self.max_rank * stage, w.inputs) * w.count for w, own in self.read
            )
        written = self._neurons(stage) * (3 * self.shape.hidden * 4.0 + 16)
        return written + self.parameters * (self.retained[0] + self.retained[1] * stage)


def of_method(shape, name: str, entry: dict) -> Trained:
    """A config entry of ``methods`` on a network; options that it leaves out have the method's defaults."""
    module = source.module_name("methods", source.method_module(name, entry))
    known = source.with_defaults(module, entry)
    options = {
        key: known[key]
        for key in ("rank", "targets", "fraction", "max_rank", "sample_tokens")
        if key in known
    }
    constrained = bool(source.class_literal(module, "constrained", default=False))
    trains = source.class_literal(module, "TRAINS")
    unused = {"lora": ("fraction",), "neurons": ("rank", "max_rank", "targets")}
    options = {key: value for key, value in options.items() if key not in unused.get(trains, ())}
    per_domain = source.class_literal(module, "BUDGET") == "domains"
    whole = not source.class_literal(module, "adapter", default=True)
    return Trained(
        shape,
        **options,
        constrained=constrained,
        everything=trains == "all",
        per_domain=per_domain,
        partitions=known["partitions"] if trains == "partitions" else 0,
        whole=whole,
        retained=source.class_literal(module, "STATE"),
        stacked=bool(source.class_literal(module, "STACKED", default=False)),
    )
