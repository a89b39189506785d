"""Bytes on disk, by room of results/."""

BIN_COUNT = 96  # of the histogram of |h| (accumulators.py)
VALUE = 8  # bytes of a sum or counter


def store(shape, probe: dict) -> float:
    """One activation store before compression: both halves of a domain."""
    neurons = 4 + len(probe["top_k"]) + len(probe["thresholds"])  # sum, squares, largest, contribution
    layer = neurons * shape.neurons + BIN_COUNT + 1 + 2 * shape.experts
    # the sums of groups of documents are float32, as many of them as documents at most
    groups = 4.0 * probe.get("groups", 0) * shape.neurons
    return 2.0 * shape.layers * (VALUE * layer + groups)


def tokens(count: float) -> float:
    """Shards: an id of 4 bytes and a mark of the prompt a token."""
    return 5.0 * count


def rooms(study, jobs) -> dict:
    """{room: bytes} of all that the jobs write."""
    probe = study.config["probes"]["activations"]
    result = dict.fromkeys(("models", "tokens", "activations", "adapters", "state of methods"), 0.0)
    splits = study.config["splits"]
    documents = sum(splits[name] for name in ("train", "select", "eval")) + 2 * splits["probe"]
    for model in study.shapes:
        result["models"] += study.model_bytes(model)
        result["tokens"] += tokens(documents * len(study.config["domains"]) * study.length(model))
    for job in jobs:
        model = job.wildcards.get("model")
        if job.rule in ("measure_activations", "measure_control"):
            domains = len(study.config["domains"]) if job.rule == "measure_control" else 1
            result["activations"] += domains * store(study.shapes[model], probe)
        elif job.rule == "train_adapter":
            method, stage = job.run
            trained = study.methods[model, method]
            result["adapters"] += trained.adapter_bytes(stage)
            result["state of methods"] += trained.state_bytes(stage)
    return result
