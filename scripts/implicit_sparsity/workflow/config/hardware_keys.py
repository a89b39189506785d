"""Keys of the config that say what the study may take, and what is kept of it."""

from typing import Annotated, Literal

from pydantic import Field

from .keys import Count, Section, Share, Text, allowed, key


class Utilisation(Section):
    """Share of the GPU's FLOP/s that is reached, where it was not measured."""

    train: Share = key("In training.", default=None)
    probe: Share = key("In forward passes.", default=None)


Range = Annotated[
    list[Annotated[float, Field(ge=0)]], Field(min_length=2, max_length=2), allowed("a list of two numbers")
]


class Budget(Section):
    """Ranges of the user's own for one model: lower and upper end."""

    memory_gb: Range = key("Memory of a job in GB: lower and upper end.", default=None)
    probe_domain_hours: Range = key("Hours to probe a domain: lower and upper end.", default=None)
    train_domain_hours: Range = key("Hours to train a domain: lower and upper end.", default=None)
    total_hours: Range = key("Hours of the study: lower and upper end.", default=None)
    total_cost: Range = key("Cost of the study: lower and upper end.", default=None)


class Hardware(Section):
    """What the preflight and `snakemake estimate` count with. Where jobs run is up to the profile."""

    card: Literal["a100_40gb", "a100_80gb", "h100_80gb", "h200"] = key("Kind of GPU.")
    cards: Count = key("GPUs that can be had at a time.", default=None)
    cards_per_job: dict[str, Count] = key(
        "GPUs that a training job of a model is spread over, by model; 1 where left out.", default=None
    )
    price_per_hour: Annotated[float, Field(ge=0)] = key("Price of one GPU for an hour.", default=None)
    currency: Text = key("Of the price.", default=None)
    mean_tokens: Count = key(
        "Mean tokens of a document, a guess until they are tokenized; tokens.max_length where left out.",
        default=None,
    )
    require_fast_kernels: bool = key(
        "Refuse to start without the fused Gated DeltaNet; a warning where left out.", default=None
    )
    utilisation: Utilisation = key(Utilisation.__doc__, default=None)
    budget: dict[str, Budget] = key(
        "The user's own ranges, by model, which the estimate is set beside. Those of a model that is "
        "switched off "
        "are passed over.",
        default=None,
    )


class Archive(Section):
    """What `snakemake archive` takes along. Its records, tables, figures, scores and notes always go in."""

    path: str = key(
        "The file it writes.",
        ".tar is not compressed.",
        default=None,
        pattern=r"\.(tar|tar\.gz|tgz)$",
        allowed="a file name that ends in .tar or .tar.gz",
    )
    weights: bool = key(
        "Models and adapters; what is left out is made again when a change needs it.",
        "true for a study that goes on.",
        default=None,
    )
    activations: bool = key("Zarr stores of measurements.", default=None)
