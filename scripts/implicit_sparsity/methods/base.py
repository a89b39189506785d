"""What a continual-learning method is: questions that the training loop asks, and an adapter it saves.

The loop owns the optimisation. A method answers only what it wants to:

    begin(stage) -> model        put an adapter on the network; what requires a gradient afterwards is trained
    mix(documents, stage)        the training documents, with or without some of the old domains'
    loss(model, batch, loss)     the loss to descend
    gradients(model)             after clipping, before the optimizer's step
    step(model)                  after the optimizer's step
    end(stage) -> tensors        what later stages need; kept beside the adapter as state.safetensors
    report() -> numbers          what the stage's record says of it

and, if it promises not to write somewhere, ``constraint_violation``: how much of a step was written there
all the same, and ``protected``: where that is.
What the workflow has to know of a method before it runs stands in literals of its class.
"""

from contextlib import nullcontext
from dataclasses import dataclass
from typing import ClassVar

from implicit_sparsity.errors import InputError
from implicit_sparsity.models import adapters, ffn
from implicit_sparsity.options import Options, option


@dataclass
class Method(Options):
    """Base of every method: trains nothing by itself."""

    learning_rate: float = option(0.0, low=0, high=1, help="0: that of the training section")

    # Read from source while the workflow is parsed, so each must be a literal.
    STARTS = "previous"  # "base": every stage starts from the base model, and none waits for another
    READS = "last"  # "all": the documents of old domains, too (replay, joint training)
    BUDGET = "stage"  # "domains": as many steps as a stage has, for each domain so far
    TRAINS = "lora"  # "neurons" (of a share) | "partitions" (of freed positions) | "all" weights
    STACKED = False  # True: each stage has a LoRA of its own, and is saved with the earlier ones' beside it
    STATE = (0, 0)  # bytes kept for later stages of each trained number: in all, and with every stage
    # (option that wins over ``energy``, share of an input's width below which it was seen to bind)
    CAP = None
    UNQUANTIZED = False  # True: reads or trains the weights themselves as numbers
    ROUTED = False  # True: chooses among experts, so there is nothing for it to do in a dense model
    # (trait of feed-forward layers, see ``ffn.traits``, options with which it is in the way, why)
    REFUSES = ()
    # name -> options that make this method its own control, under `controls: true`
    CONTROLS: ClassVar[dict] = {}

    constrained = False  # True: promises not to write somewhere, and is held to it by the constraint audit
    exact = False  # True: what it must not write stays as it is, to the bit, so the audit tolerates nothing
    watched = False  # True: its violation is recorded, and promised nothing: the control of one that does
    adapter = True  # False: a stage leaves a whole model, because no adapter can hold what it trains
    sharded = False  # True: reads no weights while it trains, so they may lie in parts on several GPUs

    def check(self, model) -> None:
        """InputError where the network's feed-forward layers have a trait that REFUSES names; the plan has
        asked before (``planning.refusals``)."""
        traits = ffn.traits(model) if self.REFUSES else ()
        for trait, when, why in self.REFUSES:
            if trait in traits and all(getattr(self, name) == value for name, value in when.items()):
                name = type(self).__module__.rpartition(".")[2]
                raise InputError(f"{why}: name other models", key=f"methods.{name}.models")

    def begin(self, stage):
        """Put the adapter on ``stage.model`` and return the model to train."""
        raise NotImplementedError

    def steps(self, stage) -> int:
        """Optimizer steps of this stage."""
        return stage.training["steps"] * (len(stage.domains) if self.BUDGET == "domains" else 1)

    def mix(self, documents: list, stage) -> list:
        """The documents of this stage's training; ``documents`` are the new domain's."""
        return documents

    def loss(self, model, batch, loss):
        return loss

    def gradients(self, model) -> None:
        pass

    def step(self, model) -> None:
        pass

    def end(self, stage) -> dict:
        return {}

    def running(self, model):
        """A context in which the model computes with the adapter; PEFT's adapters need none."""
        return nullcontext()

    def snapshot(self, model) -> dict:
        """Copies of what is trained, to compare with later."""
        return {name: p.detach().clone() for name, p in model.named_parameters() if p.requires_grad}

    def constraint_violation(self, model, before: dict) -> tuple[float, float] | None:
        """(||P dW||, ||dW||) since the snapshot ``before``, P the part not to be written; None: nothing
        promised."""
        return None

    def protected(self, stage, changes: dict) -> dict:
        """{weight: models.protected.Protected} of what this stage protects, for measurements: from the state
        of the stage before, from ``stage.model``, the network before it, and from ``changes``, dW of each
        weight that it wrote (``passes.stage_change``). Names as in the state. {}: nothing is promised."""
        return {}

    def report(self) -> dict:
        """Numbers about the stage for its record, after ``end``."""
        return {}

    def save(self, stage, folder) -> None:
        """Write the adapter so that PEFT alone loads it."""
        stage.model.save_pretrained(str(folder), selected_adapters=["default"])


@dataclass
class LoraMethod(Method):
    """Base of the methods that train a low-rank adapter (Hu et al. 2106.09685), continued from stage to
    stage."""

    rank: int = option(8, low=1, high=4096, help="rank r of the update of each weight")
    alpha: float = option(16.0, above=0, help="the update is scaled by alpha / rank")
    dropout: float = option(
        0.0, low=0, high=0.9, help="dropout on the adapter's input (not on fused experts)"
    )
    targets: str = option(
        "all", choices=("all", "mlp"), help="all linear layers and experts, or the FFN alone"
    )

    router: bool = option(False, help="adapt the routers of a mixture of experts, too")

    def begin(self, stage):
        if stage.previous is not None:
            return adapters.add_adapter(stage.model, stage.previous, trainable=True)
        return self.new_adapter(stage)

    def new_adapter(self, stage):
        """The stage's model with a fresh LoRA of its own."""
        stage.seed_everything("initialisation")
        options = {"dropout": self.dropout, "router": self.router}
        return adapters.add_lora(stage.model, self.rank, self.alpha, self.targets, **options)
