"""Keys of the measurements under `probes`: what runs the network, for probes to read.

An entry named here is checked by its model, every other entry of `probes` by the source of its module.
"""

from typing import Annotated, Any, Literal

from pydantic import Field

from .keys import Count, EachOnce, Natural, Positive, Section, allowed, key

Stages = Literal["base", "final", "all"]
STAGES = (
    "Checkpoints that are measured: of base; and after the last domain; and after every domain.",
    "base is cheapest; all takes orders * seeds * methods * domains.",
)
SKIP = "Leading tokens of each document that are left out."
SINKS = "1 or more: attention sinks dominate them."
BATCH = ("Tokens of one forward pass.", "memory alone grows with it.")
CHECKPOINTING = ("As under training.", "true for models whose activations do not fit the GPU.")
DOCUMENTS = "the width of intervals goes with it; no more than splits.probe."
Size = Annotated[
    Annotated[float, Field(gt=0, lt=1)] | Count,
    allowed("a share between 0 and 1 (both excluded) or a count >= 1"),
]
Level = Annotated[float, Field(ge=0, lt=1)]


class Activations(Section):
    """The pass over the data that every other probe reads."""

    stages: Stages = key(*STAGES)
    tokens: Count = key(
        "Tokens per half and domain.",
        "sets are steadier with more, but overlap grows: compare at one budget.",
    )
    groups: Annotated[int, Field(ge=4, le=4096)] = key(
        "Groups that the documents of a half are dealt into, for intervals; one document each where "
        "there are as "
        "many.",
        "more for better intervals; size of the stores and memory grow with it.",
    )
    controls: Annotated[list[Literal["bare", "matched"]], *EachOnce] = key(
        "Further passes over the base model: bare, the same documents without the template; matched, "
        "only tokens "
        "that occur equally often in all domains.",
        "bare: is it the template? matched: is it other words? A pass each.",
    )
    top_k: Annotated[list[Size], *EachOnce] = key(
        "Sizes of the sets of most active neurons that are counted for every token.",
        "for top_count alone: large ones cost time.",
        min_length=1,
    )
    thresholds: Annotated[list[Annotated[float, Field(gt=0, lt=1)]], *EachOnce] = key(
        "Shares of the token's largest value above which a neuron counts as on.", min_length=1
    )
    skip_first: Natural = key(SKIP, SINKS)
    batch_tokens: Count = key(*BATCH)


class PlasticityTask(Section):
    """A fixed task of random pairs that checkpoints learn, and their ranks; plasticity reads it."""

    stages: Stages = key(*STAGES)
    tasks: Count = key("Tasks, by seed.", "two or more: the spread between them is the noise floor.")
    pairs: Annotated[int, Field(ge=2)] = key(
        "Prompts and completions of a task; all of them make up the batch of every step."
    )
    prompt: Count = key("Random tokens of a prompt.")
    completion: Count = key("Random tokens of a completion.")
    steps: Count = key(
        "Optimizer steps that a task is learned for.", "enough to halve the loss, not to end it."
    )
    rank: Count = key("Of the fresh LoRA that learns.")
    learning_rate: Positive = key("Peak learning rate of AdamW, with one step of warm-up.")
    documents: Annotated[int, Field(ge=4)] = key("Reference documents per domain.", DOCUMENTS)
    positions: Count = key(
        "Tokens sampled from each for the ranks.", "a rank is at most documents * positions - 1."
    )
    tau: Annotated[list[Level], *EachOnce] = key(
        "A neuron is dormant whose mean |h| is at most this share of the layer's mean.", min_length=1
    )
    skip_first: Natural = key(SKIP, SINKS)
    batch_tokens: Count = key(*BATCH)
    gradient_checkpointing: bool = key(*CHECKPOINTING)


class InputSpectra(Section):
    """How many dimensions of their inputs the domains take up at base; capacity reads it."""

    layers: Annotated[int, Field(ge=1, le=8)] = key(
        "Feed-forward layers that are measured, evenly spaced; all where there are fewer."
    )
    tokens: Count = key(
        "Tokens per half and domain.",
        "several times the hidden width: a half can show no more dimensions than it has tokens.",
    )
    groups: Annotated[int, Field(ge=4)] = key(
        "Groups of documents for intervals, each left out in turn.",
        "time grows with it, and memory: layers * domains * 2 * groups * width^2 * 8 bytes.",
    )
    energy: Annotated[list[Annotated[float, Field(gt=0, le=1)]], *EachOnce] = key(
        "Shares of a domain's input energy that its dimensions hold.", min_length=1
    )
    down: bool = key("Also the inputs of down_proj in dense layers; time grows with the cube of the width.")
    skip_first: Natural = key(SKIP, SINKS)
    batch_tokens: Count = key(*BATCH)


class Gradients(Section):
    """Gradients of single documents, which gradient_overlap reads."""

    stages: Stages = key(*STAGES)
    documents: Annotated[int, Field(ge=2)] = key(
        "Documents per half and domain, a forward and a backward pass each.",
        "32 or more before reading much into an interval; no more than splits.probe.",
    )
    rank: Count = key("Columns that a gradient is projected to before it is hashed.")
    dim: Count = key(
        "Numbers of one sketch, stored for every document and adapted weight.",
        "a multiple of rank; errors fall with the root of both.",
    )
    gradient_checkpointing: bool = key(*CHECKPOINTING)


class Drift(Section):
    """Trained checkpoints against base on a fixed set of documents; representation_drift reads it."""

    stages: Literal["final", "all"] = key("Trained checkpoints that are measured.", "all: when it moved.")
    documents: Annotated[int, Field(ge=4)] = key(
        "Documents of each domain's half a, the fixed set.",
        "16 or more before reading an interval; no more than splits.probe.",
    )
    positions: Count = key(
        "Most tokens of a document whose hidden states are compared, evenly spaced.",
        "those of all layers are held in memory.",
    )
    directions: Count = key(
        "Leading directions of the subspaces that are compared.",
        "fewer than documents, and by far than the hidden width.",
    )
    skip_first: Natural = key(SKIP, SINKS)
    batch_tokens: Count = key(*BATCH)


class Thresholds(Section):
    """Losses while small activations are zero, which critical_sparsity reads."""

    stages: Stages = key(*STAGES)
    documents: Annotated[int, Field(ge=4)] = key(
        "Documents of a domain's half b whose losses are taken.",
        "32 or more before reading much into it; no more than splits.probe.",
    )
    levels: Annotated[list[Level], *EachOnce] = key(
        "Shares of a layer's activations on half a that the thresholds of a curve are above; the "
        "dense network is "
        "always measured.",
        "dense where the loss has grown by the tolerance; a pass each.",
        min_length=1,
        allowed="shares from 0 to below 1",
    )
    cross: Annotated[list[Level], *EachOnce] = key(
        "Levels at which thresholds and masks of every domain meet documents of every domain.",
        "[] for none; for each level and domain about twice as many passes as there are domains.",
        allowed="shares from 0 to below 1",
    )
    random_masks: Count = key(
        "Masks of random neurons at each of these levels.", "more for a steadier floor."
    )
    per: Literal["layer", "expert"] = key(
        "What has a threshold of its own: a layer, or each expert (another pass over the calibrating "
        "documents)."
    )
    batch_tokens: Count = key(*BATCH)


class Probes(Section):
    """Measurements and probes, by the name of their module."""

    model_config = {"extra": "allow"}
    __pydantic_extra__: dict[str, dict[str, Any]]

    activations: Activations = key("The pass over the data that every other probe reads.")
    plasticity_task: PlasticityTask = key(PlasticityTask.__doc__, default=None)
    input_spectra: InputSpectra = key(InputSpectra.__doc__, default=None)
    gradients: Gradients = key(Gradients.__doc__, default=None)
    drift: Drift = key(Drift.__doc__, default=None)
    thresholds: Thresholds = key(Thresholds.__doc__, default=None)
