"""Keys of the config that say what is trained: entries of methods, and the budget of a stage."""

from typing import Annotated, Any

from pydantic import Discriminator, Field, Tag

from .keys import Count, EachOnce, Entry, Natural, Off, Positive, Section, Share, allowed, key


class Method(Entry):
    """A continual-learning method; further keys are options of its module."""

    uses: str = key("Module that runs; the entry's own name where left out.", default=None)
    models: Annotated[list[str], *EachOnce] = key(
        "Models that it is trained on; all where left out.",
        "expert_mask on mixtures alone.",
        default=None,
        min_length=1,
    )
    controls: bool = key(
        "Whether its controls are trained, too; as `controls` at the top says where left out.", default=None
    )
    sweep: dict[str, Annotated[list[Any], Field(min_length=1), *EachOnce, allowed("a list of values")]] = key(
        "Options with several values each; every combination is a method of its own.",
        "two or three learning rates, far enough apart that what all methods learn overlaps; cost in "
        "proportion.",
        default=None,
        min_length=1,
    )


class FormatWarmup(Section):
    """A short stage on the template and its stop token, with neutral text of no domain, before the first."""

    steps: Count = key("Optimizer steps, of 8 documents each.", "40; 20 move less of all.")
    documents: Annotated[int, Field(ge=1, le=4096)] = key(
        "Neutral documents, made from a grammar.", "256: most are seen once."
    )


def _switch(value):
    """Which of its two forms a warm-up has: a mapping, or false."""
    return "=on" if isinstance(value, dict) else "=off"


class Training(Section):
    """Budget and optimizer of one stage, that is of one domain of an order."""

    steps: Count = key(
        "Optimizer steps of one stage.",
        "12 is a demonstration; 100 or more before reading anything into a method.",
    )
    batch_size: Count = key("Documents per step.", "a multiple of the GPUs of a sharded job.")
    learning_rate: Positive = key("Peak learning rate of AdamW.", "best left, and swept under methods.")
    warmup: Natural = key("Steps of linear warm-up.", "fewer than steps.")
    weight_decay: Annotated[float, Field(ge=0)] = key("Decoupled weight decay.", "0: none.")
    clip: Positive = key("Largest norm of the gradient.")
    checkpoint_every: Count = key(
        "Steps between restart points of an interrupted stage.",
        "changes no result; fewer repeat less after a kill.",
    )
    gradient_checkpointing: bool = key(
        "Keep each layer's input only and compute the layer again in the backward pass. A third more "
        "time for a fraction of the memory.",
        "true for models whose activations do not fit the GPU.",
    )
    packing: bool = key(
        "Lay a batch's documents end to end instead of padding them; they do not see each other.",
        "true where lengths within a batch differ much; batches are sorted anyway.",
    )
    constraint_tolerance: Share = key(
        "Largest share of a constrained step that may land where it must not.",
        "1e-3; above it the stage fails. Raising it hides a broken method.",
    )
    format_warmup: Annotated[
        Annotated[Off, Tag("=off")] | Annotated[FormatWarmup, Tag("=on")], Discriminator(_switch)
    ] = key(
        "Whether every model learns the format, in one job for all methods, orders and seeds, before "
        "anything is measured: it is then row 0.",
        "on where the base model's stop token costs nats (`loss_stop` of the base evaluations).",
        allowed="false, or {steps, documents}",
    )
