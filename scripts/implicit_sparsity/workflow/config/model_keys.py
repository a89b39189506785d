"""Keys of the config that say what is studied: models, domains, their splits and tokens."""

from typing import Annotated, Literal

from pydantic import Discriminator, Field, Tag, model_validator
from pydantic_core import PydanticCustomError

from .keys import Count, Natural, PathInside, Positive, Revision, Section, Text, key

EXPERTS = ("num_experts", "num_experts_per_tok", "moe_intermediate_size", "shared_expert_intermediate_size")


# keys that kinds of models share
SOURCE = key("Where the weights come from.")
TRAINED = key(
    "Whether the methods are trained on it. Probes and evals take the base model either way.",
    "false for the rungs of a ladder.",
    default=True,
)
PRECISION = key(
    "Arithmetic of everything that runs the model.",
    "bf16 on GPUs; most CPUs are faster in fp32. bf16 halves the weights' memory and moves the top 1 "
    "% of neurons a little.",
    default="fp32",
)
QUANTIZATION = key(
    "Linear layers of the frozen model in 8 or 4 bits through bitsandbytes; fused experts stay in "
    "the model's precision.",
    "only where nothing else fits the GPU: it saves little of a mixture, and such checkpoints cannot "
    "be exported.",
    default="none",
)
LAYERS = key("Number of FFN blocks of the model.", "the model's own: compared with the weights.")
WIDTH = key(
    "FFN neurons in one block, the widest; those of all experts in a mixture.",
    "the model's own: compared with the weights.",
)
Precision = Literal["fp32", "bf16"]
Quantization = Literal["none", "int8", "nf4"]


class PackageModel(Section):
    """A GGUF checkpoint that an installed package ships."""

    source: Literal["package"] = SOURCE
    package: Text = key("Importable name of the installed package that ships the file.")
    file: PathInside = key("File inside the package, a GGUF checkpoint.")
    layers: Count = LAYERS
    width: Count = WIDTH
    trained: bool = TRAINED
    precision: Precision = PRECISION


class HubModel(Section):
    """A repository on the hub, at one commit."""

    source: Literal["hub"] = SOURCE
    repo: str = key(
        "Repository on the hub.", pattern="^[A-Za-z0-9._-]+/[A-Za-z0-9._-]+$", allowed="owner/name"
    )
    revision: Revision = key("Commit of the repository.", "a commit, as a branch or tag can move.")
    layers: Count = LAYERS
    width: Count = WIDTH
    trained: bool = TRAINED
    precision: Precision = PRECISION
    quantization: Quantization = QUANTIZATION


class PathModel(Section):
    """A folder on this machine."""

    source: Literal["path"] = SOURCE
    path: Text = key("Folder with config.json and safetensors.", "best relative to the study's folder.")
    layers: Count = LAYERS
    width: Count = WIDTH
    trained: bool = TRAINED
    precision: Precision = PRECISION
    quantization: Quantization = QUANTIZATION


class Architecture(Section):
    """Shape of a model from scratch, in the words of its transformers config."""

    model_type: Literal["qwen3_5_text", "qwen3_5_moe_text"] = key("Dense or mixture of experts.")
    hidden_size: Count = key("Width of the residual stream.")
    num_hidden_layers: Count = key("Blocks; every fourth has full attention.")
    num_attention_heads: Count = key("Query heads of full attention.")
    num_key_value_heads: Count = key(
        "Key and value heads of full attention.", "a divisor of the query heads."
    )
    head_dim: Annotated[int, Field(ge=8, multiple_of=8)] = key(
        "Width of one attention head.", allowed="a multiple of 8"
    )
    linear_num_key_heads: Count = key("Key heads of linear attention.", default=None)
    linear_num_value_heads: Count = key("Value heads of linear attention.", default=None)
    linear_key_head_dim: Count = key("Width of a linear key head.", default=None)
    linear_value_head_dim: Count = key("Width of a linear value head.", default=None)
    linear_conv_kernel_dim: Count = key("Width of the short convolution of linear attention.", default=None)
    intermediate_size: Count = key("FFN neurons of a dense block.", default=None)
    num_experts: Count = key("Routed experts of a block.", default=None)
    num_experts_per_tok: Count = key("Routed experts active for a token.", default=None)
    moe_intermediate_size: Count = key("Neurons of a routed expert.", default=None)
    shared_expert_intermediate_size: Count = key("Neurons of the shared expert.", default=None)
    max_position_embeddings: Count = key("Longest sequence.", default=None)
    initializer_range: Positive = key("Standard deviation of the initial weights.", default=None)
    tie_word_embeddings: bool = key("Share the embedding with the language-model head.", default=None)

    @model_validator(mode="after")
    def _dense_or_mixture(self):
        """A dense block has one size, a mixture the sizes of its experts."""
        mixture = self.model_type == "qwen3_5_moe_text"
        for name in EXPERTS if mixture else ("intermediate_size",):
            if name not in self.model_fields_set:
                raise PydanticCustomError("lacking", "{key} is missing", {"key": name})
        if ("intermediate_size" if mixture else "num_experts") in self.model_fields_set:
            words = "expert sizes only, without intermediate_size"
            words = words if mixture else "intermediate_size only, without num_experts"
            raise PydanticCustomError("words", "{allowed}", {"allowed": words})
        return self


class Pretraining(Section):
    """Budget of a model from scratch."""

    steps: Count = key("Optimizer steps.")
    batch_size: Count = key("Sequences per step.")
    max_length: Count = key("Tokens per sequence.")
    learning_rate: Positive = key("Peak learning rate.")


class ScratchModel(Section):
    """A small model that is trained here, on the training splits of all domains."""

    source: Literal["scratch"] = SOURCE
    config: Architecture = key("Shape of the model, in the words of its transformers config.")
    vocabulary: Annotated[int, Field(ge=300)] = key(
        "Entries of the model's own byte-level BPE tokenizer.", "small, or the embedding dwarfs the rest."
    )
    seed: Natural = key("Seed of the initial weights and of the order of the data.")
    pretraining: Pretraining = key(
        "Budget spent on a mix of the training splits of all domains: a new domain makes the model again."
    )
    trained: bool = TRAINED
    precision: Precision = PRECISION


KINDS = {"package": PackageModel, "hub": HubModel, "path": PathModel, "scratch": ScratchModel}


def _kind(entry):
    """The tag of a model's kind, which no key can be; None where it says no source."""
    source = entry.get("source") if isinstance(entry, dict) else None
    return None if source is None else f"={source}"


Model = Annotated[
    Annotated[PackageModel, Tag("=package")]
    | Annotated[HubModel, Tag("=hub")]
    | Annotated[PathModel, Tag("=path")]
    | Annotated[ScratchModel, Tag("=scratch")],
    Discriminator(_kind),
]
