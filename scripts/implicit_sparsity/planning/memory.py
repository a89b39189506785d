"""Memory of one GPU, by rule and by what takes it, in bytes.

Peaks, not averages: what a step, a batch of the probe or of an evaluation holds at its fullest moment. S, T,
H as in ``saved``; V words of the vocabulary.
"""

from dataclasses import dataclass, replace

from implicit_sparsity.models.losses import LOGITS_AT_ONCE

from . import saved
from .gpus import CONTEXT, FRAGMENTATION

QUANTIZED = {"int8": 1.0, "nf4": 0.5625}  # bytes of a weight; NF4 with a float32 scale for every 64


@dataclass(frozen=True)
class Setting:
    """What of a config decides on memory; the changes tried on a plan that does not fit are to its fields."""

    precision: str = "fp32"
    quantization: str = "none"
    max_length: int = 128
    batch_size: int = 4
    checkpointing: bool = False
    packing: bool = False
    eval_tokens: int = 512
    generated: int = 0  # most documents whose answers are generated together
    new_tokens: int = 0
    gpus: int = 1  # that a training job is spread over; all others have one
    fast: bool = False  # the fused Gated DeltaNet

    @property
    def e(self) -> int:
        return 2 if self.precision == "bf16" else 4

    @property
    def step_tokens(self) -> int:
        """Most positions of one training step."""
        return self.batch_size * self.max_length


def setting_of(config: dict, name: str) -> Setting:
    """The setting of one model of a config."""
    model, training = config["models"][name], config["training"]
    evals, tokens = config["evals"], config["tokens"]
    together = max(1, evals["batch_tokens"] // (tokens["max_length"] + evals["max_new_tokens"]))
    return Setting(
        precision=model.get("precision", "fp32"),
        quantization=model.get("quantization", "none"),
        max_length=tokens["max_length"],
        batch_size=training["batch_size"],
        checkpointing=training.get("gradient_checkpointing", False),
        packing=training.get("packing", False),
        eval_tokens=max(evals["batch_tokens"], tokens["max_length"]),
        generated=min(together, evals["generation_items"]) if evals["generate"] else 0,
        new_tokens=evals["max_new_tokens"],
        gpus=config.get("hardware", {}).get("cards_per_job", {}).get(name, 1),
    )


def weights(shape, setting: Setting) -> float:
    """bitsandbytes quantizes linear layers; embedding, head, norms and fused experts stay as they are."""
    linear = sum(w.parameters for w in shape.weights if not w.experts)
    each = QUANTIZED.get(setting.quantization, setting.e)
    return linear * each + (shape.total - linear) * setting.e


def working(shape, setting: Setting, tokens: int, length: int) -> float:
    """Intermediate results of one layer in a forward pass without gradient."""
    e = setting.e
    mixer = 0.0
    for kind in set(shape.kinds):
        if kind == "full_attention":
            mixer = max(mixer, 7.0 * e * shape.heads * shape.head_dim)
        else:
            layer = saved.Layer(shape, kind, None, setting.precision, setting.fast)
            mixer = max(mixer, 2.0 * e * shape.conv_dim + (0 if setting.fast else layer._chunks()))
    routed = shape.active * (3 * shape.expert_ffn + 2 * shape.hidden) + 3 * shape.shared
    return tokens * (4 * e * shape.hidden + max(mixer, e * max(routed, 3.0 * shape.ffn)))


def logits(shape, setting: Setting, tokens: int, gradient: bool) -> float:
    """One chunk: in the model's precision, widened, as log-probabilities, and with a gradient once more."""
    rows = min(tokens, max(1, LOGITS_AT_ONCE // shape.vocabulary))
    return rows * shape.vocabulary * (setting.e + (12.0 if gradient else 8.0))


def mask(shape, setting: Setting, tokens: int) -> float:
    """Packed documents share one row, and a mask over all of it tells attention who sees whom."""
    return tokens * tokens * (1.0 + setting.e) if setting.packing and "full_attention" in shape.kinds else 0.0


def train(shape, trained, setting: Setting, stage: int = 1) -> dict:
    """A training step of a stage."""
    tokens, length = setting.step_tokens, setting.max_length
    n, numbers = setting.gpus, 4.0 * trained.parameters
    result = saved.whole(
        shape, trained, setting.precision, tokens, length, setting.checkpointing, setting.fast
    )
    fused = saved.Layer(shape, shape.kinds[0], trained, setting.precision).fused()
    result = {
        # all weights are trained in float32, or small steps would be rounded away
        "weights": weights(shape, replace(setting, precision="fp32") if trained.everything else setting) / n,
        "adapter": 0.0 if trained.everything else numbers / n,
        "earlier stages": _earlier(trained, setting, stage - 1) / n,
        "gradients": numbers / n,
        "optimizer": 2 * numbers / n,
        "audit": 2 * numbers / n if trained.constrained else 0.0,
        "subspaces": trained.state_bytes(stage - 1) / n if trained.max_rank else 0.0,
        "activations": result["kept"] / n,
        "recomputed layer": result["again"],
        "fused experts": fused
        + (fused * 2 / 3 if fused else 0.0),  # gradient of W + dW, and one dW being made
        "logits": logits(shape, setting, tokens, gradient=True),
        "mask": mask(shape, setting, tokens),
        "working": working(shape, setting, tokens, length),
    }
    sampling = trained.sample_bytes - sum(
        result[part] for part in ("gradients", "optimizer", "activations", "recomputed layer", "logits")
    )
    return _closed(result | {"samples": max(0.0, sampling)})


def _earlier(trained, setting: Setting, stages: int) -> float:
    """What earlier stages learnt, where it stays beside the weights: in float32 it is added to them."""
    if not stages or trained.everything or trained.whole or (trained.rank and not trained.stacked):
        return 0.0
    beside = setting.precision == "bf16" or setting.quantization != "none" or not trained.rank
    return 4.0 * trained.parameters * stages if beside else 0.0


def loaded(trained, setting: Setting, stage: int) -> float:
    """The adapter of a checkpoint that is measured or scored."""
    if trained is None or trained.everything or trained.whole:
        return 0.0
    beside = setting.precision == "bf16" or setting.quantization != "none"
    return trained.adapter_bytes(stage) if beside else 0.0


def passing(
    shape, setting: Setting, tokens: int, head: bool, held: dict, trained=None, stage: int = 0
) -> dict:
    """A pass over documents, ``tokens`` at a time; ``held``: what is kept beside it."""
    return _closed(
        {
            "weights": weights(shape, setting),
            "adapter": loaded(trained, setting, stage),
            "logits": logits(shape, setting, tokens, gradient=False) if head else 0.0,
            **held,
            "working": working(shape, setting, tokens, setting.max_length),
        }
    )


def evaluate(shape, setting: Setting, trained=None, stage: int = 0) -> dict:
    """Scoring, and generation with its caches."""
    tokens, full = setting.eval_tokens, shape.kinds.count("full_attention")
    positions = setting.generated * (setting.max_length + setting.new_tokens)
    state = (
        shape.value_heads * shape.key_dim * shape.value_dim * 4 + shape.conv_dim * shape.kernel * setting.e
    )
    linear = (shape.layers - full) * setting.generated * state
    return _closed(
        {
            "weights": weights(shape, setting),
            "adapter": loaded(trained, setting, stage),
            # the base model's, for the divergence from it
            "head": 0.0 if trained is None else float(setting.e * shape.hidden * shape.vocabulary),
            "logits": logits(shape, setting, tokens, gradient=False),
            "caches": float(positions * full * 2 * shape.kv_heads * shape.head_dim * setting.e + linear),
            "working": working(
                shape, setting, max(tokens, setting.generated * setting.max_length), setting.max_length
            ),
        }
    )


def _closed(parts: dict) -> dict:
    """The parts, what fragmentation and the context take, and the total."""
    moving = sum(size for part, size in parts.items() if part != "weights")
    parts = {part: size for part, size in parts.items() if size}
    parts["margin"] = CONTEXT + FRAGMENTATION * moving
    return parts | {"total": sum(parts.values())}
