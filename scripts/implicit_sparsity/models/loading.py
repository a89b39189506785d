"""Load a network from a plain local folder, or make a new one; save it."""

import logging
import sys
from importlib.util import find_spec
from pathlib import Path

import torch
from accelerate import init_empty_weights
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    AutoTokenizer,
    BitsAndBytesConfig,
    GenerationConfig,
    PreTrainedTokenizerFast,
)
from transformers.utils import logging as transformers_logging

from implicit_sparsity.errors import InputError, first_line
from implicit_sparsity.storage.files import read_json

from . import families, ffn, processes
from .forward import base_network

GENERATION = "generation_config.json"
# what a forward pass gives, whatever a config.json asks for
OUTPUTS = {"return_dict": True, "output_hidden_states": False, "output_attentions": False}

log = logging.getLogger(__name__)


def load(folder, precision: str = "fp32", device: str | None = None, quantization: str = "none"):
    """The causal language model of a model folder, in eval mode, weights frozen. Offline, safetensors
    only; of a vision-language checkpoint the text model alone.

    It is spread over the visible GPUs (``device_map``) only where one of them is too small.
    """
    config = configuration(folder)
    quiet()
    dtype = {"fp32": torch.float32, "bf16": torch.bfloat16}[precision]
    device = device or default_device()
    if processes.is_handed_weights():
        return _empty_init(config, dtype)
    spread = device == "cuda" and _larger_than_a_gpu(folder, precision, quantization)
    placed = {} if device == "cpu" else {"device_map": "auto" if spread else {"": device}}
    if quantization != "none":
        placed = {"device_map": {"": device}} | placed | {"quantization_config": _quantized(quantization)}
    model, info = AutoModelForCausalLM.from_pretrained(
        str(folder),
        dtype=dtype,
        local_files_only=True,
        use_safetensors=True,
        trust_remote_code=False,
        output_loading_info=True,
        generation_config=GenerationConfig(),  # not the folder's: ours are in ``forward.greedy``
        **OUTPUTS,
        **placed,
    )
    if missing := sorted(info["missing_keys"]):  # transformers would go on with random values
        raise InputError(f"has no weights for {missing[0]} ({len(missing)} are missing)", path=folder)
    model.requires_grad_(False).eval()
    log.info("model loaded")  # benchmarks/startup.py reads how long a job took to get here
    return model if placed else model.to(device)


def configuration(folder):
    """The configuration of a model folder, as transformers has it; InputError where its family is not
    known."""
    path = Path(folder) / "config.json"
    if not path.is_file():
        raise InputError("is not a model folder: it has no config.json", path=folder)
    families.of(read_json(path), path)
    return AutoConfig.from_pretrained(str(folder), local_files_only=True, trust_remote_code=False, **OUTPUTS)


def gguf_configuration(folder, file: str):
    """The configuration that a GGUF file describes; InputError where its family is not known."""
    try:
        config = AutoConfig.from_pretrained(str(folder), gguf_file=file, trust_remote_code=False)
    except ValueError as error:  # an architecture that transformers cannot dequantize
        raise InputError(first_line(error), path=Path(folder) / file) from error
    families.of(config.to_dict(), Path(folder) / file)
    return config


def without_numbers(folder):
    """(the network of a model folder without its numbers, on torch's meta device; what transformers reports
    of the weights' names and shapes). Read as ``load`` reads them, but for the numbers: of any size in a
    second.

    The report: ``missing_keys``, ``unexpected_keys``, ``mismatched_keys`` (name, stored shape, expected),
    ``error_msgs``.
    """
    quiet()
    return AutoModelForCausalLM.from_pretrained(
        str(folder),
        device_map="meta",
        local_files_only=True,
        use_safetensors=True,
        trust_remote_code=False,
        ignore_mismatched_sizes=True,
        output_loading_info=True,
        generation_config=GenerationConfig(),
        **OUTPUTS,
    )


def generation_fault(folder) -> str:
    """Why transformers would not load a network beside this ``generation_config.json``; "" where it would, or
    where there is none."""
    quiet()
    try:
        if (Path(folder) / GENERATION).exists():
            GenerationConfig.from_pretrained(str(folder), local_files_only=True)
    except Exception as error:  # whatever its values lead to
        return f"{type(error).__name__}: {error}"
    return ""


def _empty_init(config, dtype):
    """The network with room for its weights, which the first process hands out; untouched, it is free."""
    with init_empty_weights():
        model = AutoModelForCausalLM.from_config(config, dtype=dtype, trust_remote_code=False)
    for module in model.modules():
        for name, p in module.named_parameters(recurse=False):
            setattr(module, name, torch.nn.Parameter(torch.empty_like(p, device="cpu"), requires_grad=False))
    model.tie_weights()
    return model.eval()


def settings(base: dict) -> dict:
    """Of a config entry of a model, what ``load`` asks for."""
    return {name: base[name] for name in ("precision", "quantization") if name in base}


def fp32_master_weights(model):
    """The network with every weight trainable and in float32, whatever it was loaded in."""
    for p in model.parameters():
        handed = processes.is_handed_weights()  # then what is there now is no weight: room alone
        p.data = torch.empty_like(p, dtype=torch.float32) if handed else p.data.float()
    return model.requires_grad_(True)


def save(model, folder, precision: str) -> None:
    """Write a whole network, in its base's precision, as ``from_pretrained`` loads it; in files of 4 GB.
    Generation settings are the base's and stay there."""
    network = base_network(model).to({"fp32": torch.float32, "bf16": torch.bfloat16}[precision])
    network.save_pretrained(str(folder), max_shard_size="4GB")
    (Path(folder) / GENERATION).unlink(missing_ok=True)


def _larger_than_a_gpu(folder, precision, quantization) -> bool:
    """Whether the weights leave less than a quarter of the first GPU to work in, and there is a second."""
    if torch.cuda.device_count() < 2:
        return False
    stored = sum(path.stat().st_size for path in Path(folder).glob("*.safetensors"))  # 16-bit, mostly
    factor = {"int8": 0.5, "nf4": 0.3}.get(quantization, 2 if precision == "fp32" else 1)
    return stored * factor > 0.75 * torch.cuda.get_device_properties(0).total_memory


def _quantized(quantization: str):
    """bitsandbytes' settings. It quantizes linear layers; fused experts, norms and embeddings stay as they
    are."""
    if find_spec("bitsandbytes") is None:
        raise InputError(
            f"{quantization} needs bitsandbytes: pip install bitsandbytes", key="models.*.quantization"
        )
    if quantization == "int8":
        return BitsAndBytesConfig(load_in_8bit=True)
    return BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_compute_dtype=torch.bfloat16,
    )


def quiet() -> None:
    """What transformers has to say goes to the job's log; no progress bars where nobody looks."""
    transformers_logging.disable_default_handler()
    transformers_logging.enable_propagation()
    if not sys.stderr.isatty():
        transformers_logging.disable_progress_bar()


def default_device() -> str:
    return "cuda" if torch.cuda.is_available() else "cpu"


def create(config: dict, seed: int):
    """A freshly initialised network from a configuration (``model_type`` and its fields)."""
    families.of(config, key="config.model_type")
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
    gguf_configuration(folder, file)
    source = AutoModelForCausalLM.from_pretrained(str(folder), gguf_file=file, dtype=torch.float32)
    fields = source.config.to_dict()
    fields.pop("quantization_config", None)
    network = type(source)(type(source.config)(**fields))
    network.load_state_dict(source.state_dict())
    return network, AutoTokenizer.from_pretrained(str(folder), gguf_file=file)


def shape(folder) -> dict:
    """{layers, width, experts} of a model folder, from its config alone. ``width``: FFN neurons of a layer,
    of a mixture those of all routed experts and of a shared one together; where layers differ, of the widest.
    ``experts``: routed ones of a layer that has them, 0 in a dense network. InputError for a configuration
    that transformers refuses, and for feed-forward layers of an unknown form (``ffn``).
    """
    blocks = ffn.feed_forwards(skeleton(folder))
    return {"layers": len(blocks), "width": max(ffn.sizes(blocks)), "experts": ffn.experts_of(blocks)}


def skeleton(folder):
    """The network of a model folder without its weights, on torch's meta device, from the config alone."""
    config = configuration(folder).get_text_config()
    try:
        with torch.device("meta"):
            return AutoModelForCausalLM.from_config(config)
    except (ValueError, TypeError, KeyError, AttributeError, RuntimeError) as error:
        words = f"transformers refuses this configuration: {first_line(error)}"
        raise InputError(words, path=folder) from error


def save_tokenizer(tokenizer, folder, template_end: str) -> None:
    """Write a ``tokenizers.Tokenizer`` so that transformers loads it; ``template_end`` ends a text."""
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token=template_end, pad_token=template_end)
    fast.save_pretrained(str(folder))
