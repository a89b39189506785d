"""Continue an order's adapter through one more domain, with one method."""

import shutil
import time
from pathlib import Path

from implicit_sparsity.provenance import cache, identity
from implicit_sparsity.storage.files import new_folder, read_json
from implicit_sparsity.workflow import job, source

PRECISION = {"precision": "fp32", "quantization": "none"}  # of a model whose entry does not say


def train_adapter(adapter, model, tokens, recipe, previous=None, code="", gpu=1, launcher=None):
    """Write the folder of one stage: PEFT's files or a whole model's, state, learning curve, record, README.

    ``recipe``: {model, method, order, seed, stage, domains}, which stage; {base, options, training}, the
    config's entries of that model and method, and its section. ``tokens``: token folders of the last of
    ``domains``, which is new, or of all of them. A killed attempt is continued, on as many GPUs (``gpu``) as
    this one has. ``launcher``: accelerate's settings where there are several.
    """
    from implicit_sparsity.passes import stage_change
    from implicit_sparsity.training import stage_record
    from implicit_sparsity.training.launcher import launch_stage

    started = time.monotonic()
    base, options = recipe["base"], recipe["options"]
    precision = {name: base.get(name, default) for name, default in PRECISION.items()}
    training = recipe["training"] | precision
    study = describe(recipe, model, tokens, previous, code)
    scratch = cache.scratch(adapter, study, base, options, training)
    where = {"model_folder": model, "domains": study["trained_domains"], "tokens": list(tokens)}
    work = {
        "stage": where | {"seed": study["seed"], "training": training, "previous": previous},
        "method": source.method_module(study["method"], options),
        "options": {key: value for key, value in options.items() if key != "uses"},
    }
    stage, method, result = launch_stage(work, int(gpu), launcher, scratch)

    form = "adapter" if method.adapter else "model"
    record = stage_record.record(study | {"form": form}, options, training, result)
    with new_folder(adapter) as folder:
        stage.save(method, folder, result["state"])
        record |= stage_change.norms(folder, previous, model)
        stage_record.write(folder, record, result, time.monotonic() - started)
    shutil.rmtree(scratch)


def describe(recipe: dict, model, tokens, previous, code: str) -> dict:
    """Which stage of which run this is, and the checksums of what it goes on from."""
    return {
        "model": recipe["model"],
        "revision": read_json(Path(model) / "manifest.json")["revision"],
        "method": recipe["method"],
        "order": recipe["order"],
        "seed": int(recipe["seed"]),
        "stage": int(recipe["stage"]),
        "domain": recipe["domains"][-1],
        "trained_domains": list(recipe["domains"]),
        "tokens_sha256": [identity.digest(read_json(Path(f) / "index.json")) for f in tokens],
        # of what this stage goes on from; the records beside it say when and where it was made
        "previous_sha256": identity.folder_digest(previous, "*.safetensors") if previous else None,
        "code": code,
    }


if __name__ == "__main__":
    job.run(train_adapter, snakemake)
