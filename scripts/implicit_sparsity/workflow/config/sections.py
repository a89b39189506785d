"""Every key of config.yaml: its type, limits, value where it is left out, and how to choose it.

rules/config.schema.yaml is made of these classes (schema.py). Options of methods, probes, figures, claims and
loaders are in the modules that take them.
"""

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field
from pydantic_core import PydanticCustomError

from .corpus_keys import Domain, Splits, Tokens
from .hardware_keys import Archive, Hardware
from .keys import (
    Count,
    EachOnce,
    Name,
    Natural,
    Off,
    Options,
    Positive,
    Section,
    allowed,
    key,
)
from .model_keys import Model
from .training_keys import Method, Training

WITHOUT_PARTS = "a mapping like this file, without optional and with"
NO_PARTS = {"not": {"anyOf": [{"required": ["optional"]}, {"required": ["with"]}]}}


class Evals(Section):
    """What is scored per domain and checkpoint."""

    documents: Count = key(
        "Documents whose losses are taken.", "more for narrower intervals; at most splits.eval."
    )
    choice_items: Natural = key("Documents scored by multiple choice.", "0: none; at 8, one item is 0.125.")
    generate: Annotated[list[str], *EachOnce] = key(
        "Domains whose numeric answers are generated and matched exactly.",
        "[] for none: up to ten seconds an answer of 128 tokens on the embedded model.",
    )
    generation_items: Natural = key("Documents with an exact answer that is generated.")
    max_new_tokens: Count = key("Longest generated answer.", "long enough for a worked solution to end.")
    batch_tokens: Count = key("Tokens of one forward pass.", "memory grows with it; rounding alone changes.")


class Margins(Section):
    """Scores that are compared, and the forgetting that counts as none."""

    model_config = {"json_schema_extra": {"minProperties": 1}}

    loss_content: Positive = key(
        "In nats per token: of completions without their first token and the stop token.", default=None
    )
    loss_first: Positive = key("In nats per token: of completions' first tokens.", default=None)
    loss_stop: Positive = key("In nats per token: of stop tokens.", default=None)
    loss_completion: Positive = key("In nats per token: of whole completions.", default=None)
    acc: Positive = key("Of shares from 0 to 1.", default=None)
    acc_norm: Positive = key("Of shares from 0 to 1.", default=None)


def _some_score(margins):
    """``margins``, or an error where they name no score."""
    if not margins.model_fields_set:
        raise PydanticCustomError("words", "{allowed}", {"allowed": "mapping with at least one entry"})
    return margins


class Comparisons(Section):
    """Methods against each other at equal learning, in results/tables/comparisons.csv."""

    reference: str = key("Entry of methods that all others are compared with.", "what your claim is about.")
    at: Literal["reference", "common"] | float = key(
        "The learned gain at which forgetting is compared: the middle of the reference's front, the "
        "most that every front reaches, or a number in the score's units.",
        "before the run; a front that does not reach it has empty cells.",
        allowed="reference | common | number",
    )
    margins: Annotated[Margins, AfterValidator(_some_score)] = key(
        "Scores that are compared, and how much forgetting (either way) counts as none, in the "
        "score's units.",
        "equal to the thresholds of H2 and H4.",
    )
    draws: Annotated[int, Field(ge=100)] = key("Bootstrap draws of groups of documents.", "1000.")


def _no_parts(part):
    """``part``, or an error where it has optional parts of its own."""
    if "optional" in part or "with" in part:
        raise PydanticCustomError("words", "{allowed}", {"allowed": WITHOUT_PARTS})
    return part


def _with_activations(probes):
    """``probes``, or an error without the pass over the data that every study has."""
    if "activations" not in probes:
        raise PydanticCustomError("lacking", "{key} is missing", {"key": "activations"})
    return probes


ACTIVATIONS = Field(json_schema_extra={"required": ["activations"]})
Part = Annotated[dict[str, Any], AfterValidator(_no_parts), allowed(WITHOUT_PARTS, **NO_PARTS)]


class Config(Section):
    """What is studied: config.yaml with all that is laid over it."""

    models: dict[Name, Model] = key("Models under study, by a name of your own.", min_length=1)
    domains: dict[Name, Domain] = key("Domains, each with the sources its documents come from.", min_length=1)
    reference: Off | str = key(
        "The domain that is the reference set: in no order, so never trained, and read by no pretraining. "
        "Every checkpoint is scored on it, and drift measured; `general_delta` is its change.",
        "what people mean by general knowledge, or what is lost beyond the domains is not seen; false: none.",
        default=False,
        allowed="an entry of domains, or false",
    )
    splits: Splits = key(Splits.__doc__)
    tokens: Tokens = key(Tokens.__doc__)
    orders: dict[Name, Annotated[list[str], Field(min_length=1)]] = key(
        "Sequences of domains that an adapter is trained through.",
        "two or more, with different last domains. A domain appended costs its own stage; one put in "
        "the middle trains all behind it again.",
        min_length=1,
    )
    seeds: Annotated[list[Natural], *EachOnce] = key(
        "One run of every method and order per seed.",
        "[0] while things are tried, three or more for a verdict.",
        min_length=1,
    )
    methods: dict[Name, Method] = key(
        "Continual-learning methods, each a module of methods/ and its options.",
        "compare at equal learning: a sweep of learning rates each.",
    )
    controls: bool = key(
        "Whether methods bring their controls (random masks and the like) as methods of their own.",
        "true before any claim about a mask; each costs as much as the method.",
    )
    probed_methods: Literal["all"] | Annotated[list[str], *EachOnce] = key(
        "Methods whose checkpoints the probes measure, with every point of their sweeps.",
        "a list where probes take longer than training; every method is scored either way.",
        allowed="all, or a list of methods",
    )
    training: Training = key(Training.__doc__)
    probes: Annotated[dict[Name, Options], AfterValidator(_with_activations), ACTIVATIONS] = key(
        "Measurements and probes, which read them: each a module of measurements/ or probes/.",
        "documents first: the width of intervals goes with them.",
    )
    evals: Evals = key(Evals.__doc__)
    comparisons: Comparisons = key(Comparisons.__doc__)
    figures: dict[Name, Options] = key("Figures, each a module of figures/ and its options.")
    claims: dict[Name, Options] = key(
        "Claims that are judged, each a module of claims/, its threshold and its options.",
        "a threshold is the smallest effect that would matter, set before the run.",
    )
    hardware: Hardware = key(
        "What the preflight and `snakemake estimate` count with. Without it nothing is refused and no "
        "hours are estimated. Where jobs run is up to the profile.",
        default=None,
    )
    archive: Archive = key(Archive.__doc__, default=None)
    optional: dict[
        Name, Annotated[dict[str, Any], AfterValidator(_no_parts), allowed(WITHOUT_PARTS, **NO_PARTS)]
    ] = key(
        "Overlays by name, each laid right after the file that it is in when `with` names it.", default=None
    )
    with_: str | list[str] = key(
        "The optional parts to lay, a name or a list of names.",
        "best on the command line, `--config with=ladder`.",
        default=None,
        alias="with",
        allowed="a name or a list of names",
    )
