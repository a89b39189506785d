"""Load a network from a plain local folder, add adapters to it. The only room that knows transformers and
PEFT.

Shapes: B sequences, S positions, H hidden width, V vocabulary.
"""

import logging
import sys
from pathlib import Path

from .errors import InputError

log = logging.getLogger(__name__)
MLP_MODULES = ("gate_proj", "up_proj", "down_proj")
EXPERT_PARAMETERS = ("mlp.experts.gate_up_proj", "mlp.experts.down_proj")


def load(folder, precision: str = "fp32", device: str | None = None):
    """The causal language model of a model folder, in eval mode, weights frozen. Offline, safetensors
    only."""
    import torch
    from transformers import AutoModelForCausalLM

    if not (Path(folder) / "config.json").is_file():
        raise InputError("is not a model folder: it has no config.json", path=folder)
    quiet()
    dtype = {"fp32": torch.float32, "bf16": torch.bfloat16}[precision]
    model = AutoModelForCausalLM.from_pretrained(
        str(folder), dtype=dtype, local_files_only=True, use_safetensors=True, trust_remote_code=False
    )
    model.requires_grad_(False).eval()
    log.info("model loaded")  # benchmarks/startup.py reads how long a job took to get here
    return model.to(device or default_device())


def quiet() -> None:
    """What transformers has to say goes to the job's log; no progress bars where nobody looks."""
    from transformers.utils import logging

    logging.disable_default_handler()
    logging.enable_propagation()
    if not sys.stderr.isatty():
        logging.disable_progress_bar()


def default_device() -> str:
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"


def create(config: dict, seed: int):
    """A freshly initialised network from a configuration (``model_type`` and its fields)."""
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    fields = {name: value for name, value in config.items() if name != "model_type"}
    try:
        settings = AutoConfig.for_model(config["model_type"], **fields)
    except (ValueError, TypeError, KeyError) as error:
        raise InputError(f"transformers refuses this configuration: {error}", key="config") from error
    torch.manual_seed(seed)
    return AutoModelForCausalLM.from_config(settings, dtype=torch.float32)


def from_gguf(folder, file: str):
    """(network, tokenizer) of a GGUF checkpoint, its weights dequantized to float32.

    ``save_pretrained`` refuses a network that came from GGUF, so the weights move into a fresh one.
    """
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    source = AutoModelForCausalLM.from_pretrained(str(folder), gguf_file=file, dtype=torch.float32)
    fields = source.config.to_dict()
    fields.pop("quantization_config", None)
    network = type(source)(type(source.config)(**fields))
    network.load_state_dict(source.state_dict())
    return network, AutoTokenizer.from_pretrained(str(folder), gguf_file=file)


def shape(folder) -> dict:
    """{layers, width, experts} of a model folder, from its config alone; ``width``: FFN neurons of one
    layer, those of all routed experts and of the shared expert together."""
    from transformers import AutoConfig

    config = AutoConfig.from_pretrained(
        str(folder), local_files_only=True, trust_remote_code=False
    ).get_text_config()
    experts = getattr(config, "num_experts", 0) or 0
    if experts:
        width = experts * config.moe_intermediate_size + config.shared_expert_intermediate_size
    else:
        width = config.intermediate_size
    return {"layers": config.num_hidden_layers, "width": width, "experts": experts}


def base_network(model):
    """The transformers model inside, whether or not PEFT has wrapped it (PEFT injects its layers in
    place)."""
    return model.get_base_model() if hasattr(model, "get_base_model") else model


def hidden_states(model, ids, mask, **kwargs):
    """Last hidden states [B, S, H]; the language-model head is not run."""
    network = base_network(model)
    return network.model(input_ids=ids, attention_mask=mask, use_cache=False, **kwargs).last_hidden_state


def head(model):
    """The language-model head: [.., H] -> logits [.., V]."""
    return base_network(model).lm_head


def lora_config(
    rank: int, alpha: float, targets: str = "all", mixture: bool = False, dropout: float = 0.0, **more
):
    """PEFT's LoRA settings. ``targets``: "all" linear layers, or "mlp" (the FFN alone).

    In a mixture of experts the routed experts are bare fused parameters that ``all-linear`` would skip in
    silence, so they are named here. The router stays as it is.
    """
    from peft import LoraConfig, TaskType

    return LoraConfig(
        task_type=TaskType.CAUSAL_LM,
        r=rank,
        lora_alpha=alpha,
        lora_dropout=0.0 if mixture else dropout,  # PEFT has no dropout on bare parameters
        target_modules="all-linear" if targets == "all" else list(MLP_MODULES),
        target_parameters=list(EXPERT_PARAMETERS) if mixture else None,
        **more,
    )


def is_mixture(model) -> bool:
    return bool(getattr(base_network(model).config.get_text_config(), "num_experts", 0))


def add_lora(model, rank: int, alpha: float, targets: str = "all", dropout: float = 0.0, **more):
    """The model with a new, trainable LoRA: a PeftModel."""
    from peft import get_peft_model

    return get_peft_model(model, lora_config(rank, alpha, targets, is_mixture(model), dropout, **more))


def add_adapter(model, folder, trainable: bool = False):
    """The model with an adapter folder on it: a PeftModel."""
    from peft import PeftModel

    if not (Path(folder) / "adapter_config.json").is_file():
        raise InputError("is not an adapter folder: it has no adapter_config.json", path=folder)
    return PeftModel.from_pretrained(model, str(folder), is_trainable=trainable)


def merge_adapter(model, folder):
    """The model with an adapter folder added into its weights (in float32 this loses rounding only)."""
    return add_adapter(model, folder).merge_and_unload().requires_grad_(False).eval()


def greedy(max_new_tokens: int, stop: int | None, pad: int):
    """Generation settings: the likeliest token each time, until ``stop``."""
    from transformers import GenerationConfig

    return GenerationConfig(
        max_new_tokens=max_new_tokens, do_sample=False, eos_token_id=stop, pad_token_id=pad
    )


def save_tokenizer(tokenizer, folder, template_end: str) -> None:
    """Write a ``tokenizers.Tokenizer`` so that transformers loads it; ``template_end`` ends a text."""
    from transformers import PreTrainedTokenizerFast

    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token=template_end, pad_token=template_end)
    fast.save_pretrained(str(folder))
