"""Bytes on disk, by room of results/."""


def tokens(count: float) -> float:
    """Shards: an id of 4 bytes and a mark of the prompt a token."""
    return 5.0 * count


def rooms(study, jobs) -> dict:
    """{room: bytes} of all that the jobs write; of measurements, those whose stores are worth planning."""
    result = dict.fromkeys(("models", "tokens", *study.measurements, "adapters", "state of methods"), 0.0)
    splits = study.config["splits"]
    documents = sum(splits[name] for name in ("train", "select", "eval")) + 2 * splits["probe"]
    for model in study.shapes:
        result["models"] += study.model_bytes(model)
        result["tokens"] += tokens(documents * len(study.config["domains"]) * study.length(model))
    for job in jobs:
        model = job.wildcards.get("model")
        if job.rule == "warm_up_format":
            result["models"] += study.model_bytes(model)
        elif job.kind in result:
            result[job.kind] += study.measurement(job.kind).stored(study.shapes[model])
        elif job.rule == "measure_control":
            each = study.measurement("activations").stored(study.shapes[model])
            result["activations"] += len(study.domains()) * each
        elif job.rule == "train_adapter":
            method, stage = job.run
            trained = study.methods[model, method]
            result["adapters"] += trained.adapter_bytes(stage)
            result["state of methods"] += trained.state_bytes(stage)
    return {room: size for room, size in result.items() if size or room not in study.measurements}
