"""What is measured: every method of methods/, with which options, on which network and documents."""

from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
DOMAINS = ("code", "math")
OPTIONS = {"activation_mask": {"fraction": 0.05}}  # the others as they come
NANO_OPTIONS = {"activation_mask": {"fraction": 0.1}, "orthogonal": {"max_rank": 6}}
GOALS = {"activation_mask": (1.0, 1.0), "orthogonal": (1.15, None)}  # ratios of time, of memory
REASONS = {  # why a step costs what it does, shown above LIMIT
    "curvature": "after each step every factor is projected and audited in float64, on both sides",
    "expert_mask": "routed experts' slices are masked, put back and audited after each step",
    "full": "gradients and AdamW's moments of all weights instead of a hundredth of them",
    "osf": "gradients and AdamW of most singular vectors, projected before and after each step in float64",
    "self_distillation": "one more forward pass, of the teacher, and divergences over the whole vocabulary",
    "structured_sparsity": "an eighth of the FFN's weights is trained, scattered into dense ones each pass",
}
LIMIT = 1.5
TRAINING = {
    "batch_size": 4,
    "learning_rate": 1e-3,
    "warmup": 2,
    "weight_decay": 0.0,
    "clip": 1.0,
    "checkpoint_every": 10**6,
    "constraint_tolerance": 1e-3,
}
LARGER = {  # a mixture with random weights, where a step takes about as long as SmolLM2's
    "hidden_size": 256,
    "vocab_size": 8192,
    "num_experts": 16,
    "moe_intermediate_size": 128,
    "shared_expert_intermediate_size": 128,
}


def methods() -> list[str]:
    """Every file of methods/; there is no list to keep."""
    room = ROOT / "scripts" / "implicit_sparsity" / "methods"
    return sorted(path.stem for path in room.glob("*.py") if path.stem not in ("__init__", "base"))


def says(method: str, literal: str):
    """A literal of a method's class, such as STARTS."""
    from implicit_sparsity.workflow import source

    return source.class_literal(source.module_name("methods", method), literal)


def kind(method: str) -> str:
    """The network that a method is measured on: a mixture only where it chooses among experts."""
    return "mixture" if says(method, "ROUTED") else "dense"


def places(nano: bool, kinds, scratch) -> dict:
    """{kind: {model, tokens}}: the default study's SmolLM2 and its documents; random networks and synthetic
    documents for mixtures and at nano size. FileNotFoundError where the study was not run."""
    result = {}
    for name in kinds:
        if name == "dense" and not nano:
            result[name] = _of_the_study()
        else:
            result[name] = {"model": str(_create(name, nano, Path(scratch) / name)), "tokens": None}
    return result


def _of_the_study() -> dict:
    model = ROOT / "results" / "models" / "smollm2"
    tokens = [ROOT / "results" / "tokens" / "smollm2" / domain for domain in DOMAINS]
    if missing := [path for path in (model, *tokens) if not path.is_dir()]:
        raise FileNotFoundError(missing[0])
    return {"model": str(model), "tokens": [str(folder) for folder in tokens]}


def _create(name, nano, folder) -> Path:
    from onegpu import networks

    from implicit_sparsity.models import loading

    config = networks.NANO[{"dense": "qwen3_5_27b", "mixture": "qwen3_5_35b_a3b"}[name]]
    loading.create(config if nano else config | LARGER, 0).save_pretrained(str(folder))
    return folder


def stage(place: dict, domains, training: dict, seed: int, previous=None):
    """A stage like any other, but that it trains on each document once: ``steps`` batches of them."""
    import numpy as np

    from implicit_sparsity.corpora.tokens import Document
    from implicit_sparsity.training.stage import Stage

    count = training["steps"] * training["batch_size"]

    class Measured(Stage):
        def documents(self, split, domain=None):
            if place["tokens"]:
                result = super().documents(split, domain)
                return result[:count] if split == "train" else result
            random = np.random.default_rng([seed, self.domains.index(domain or self.domain)])
            vocabulary = self.model.config.get_text_config().vocab_size
            ids = [random.integers(3, vocabulary, n, np.uint32) for n in random.integers(24, 128, count)]
            metas = [{"group": number, "source": "random"} for number in range(count)]
            return [Document(row, np.arange(len(row)) < len(row) // 3, meta) for row, meta in zip(ids, metas)]

    tokens = (place["tokens"] or [""] * len(DOMAINS))[: len(domains)]
    return Measured(place["model"], list(domains), tokens, seed, training, previous)
