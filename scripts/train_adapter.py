"""Continue an order's adapter through one more domain, with one method."""

import shutil
import time
from pathlib import Path

from implicit_sparsity.provenance import identity
from implicit_sparsity.storage.files import new_folder, read_json
from implicit_sparsity.workflow import job, source


def train_adapter(
    adapter,
    model,
    tokens,
    base,
    method,
    options,
    training,
    domains,
    stage,
    order,
    seed,
    previous=None,
    name=None,
    code="",
    gpu=1,
    launcher=None,
):
    """Write the folder of one stage: PEFT's files or a whole model's, state, learning curve, record, card.

    ``tokens``: token folders of the last of ``domains``, which is new, or of all of them. A killed attempt is
    continued, on as many cards (``gpu``) as this one has. ``launcher``: accelerate's settings where there
    are several.
    """
    from implicit_sparsity.training import stage_record
    from implicit_sparsity.training.launcher import launch_stage

    started = time.monotonic()
    kind = {"precision": base.get("precision", "fp32"), "quantization": base.get("quantization", "none")}
    training = training | kind
    study = {
        "model": name or Path(model).name,
        "revision": read_json(Path(model) / "manifest.json")["revision"],
        "method": method,
        "order": order,
        "seed": int(seed),
        "stage": int(stage),
        "domain": domains[-1],
        "trained_domains": list(domains),
        "tokens_sha256": [identity.digest(read_json(Path(f) / "index.json")) for f in tokens],
        # of what this stage goes on from; the records beside it say when and where it was made
        "previous_sha256": identity.folder_digest(previous, "*.safetensors") if previous else None,
        "code": code,
    }
    scratch = job.scratch(adapter, identity.digest([study, base, options, training]))
    stage_of = {"model_folder": model, "domains": list(domains), "tokens": list(tokens), "seed": int(seed)}
    work = {
        "stage": stage_of | {"training": training, "previous": previous},
        "method": source.method_module(method, options),
        "options": {key: value for key, value in options.items() if key != "uses"},
    }
    here, chosen, result = launch_stage(work, int(gpu), launcher, scratch)

    form = "adapter" if chosen.adapter else "model"
    record = stage_record.record(study | {"form": form}, options, training, result)
    with new_folder(adapter) as folder:
        here.save(chosen, folder, result["state"])
        stage_record.write(folder, record, result, time.monotonic() - started)
    shutil.rmtree(scratch)


if __name__ == "__main__":
    job.run(train_adapter, snakemake)
