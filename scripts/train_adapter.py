"""Continue an order's adapter through one more domain, with one method."""

import csv
import time
from pathlib import Path

from implicit_sparsity import artifacts, job, provenance


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
):
    """Write the adapter folder of one stage: PEFT's files, the method's state, the learning curve, the
    record."""
    from implicit_sparsity import methods, stages, state
    from implicit_sparsity import training as loop

    started = time.monotonic()
    training = training | {"precision": base.get("precision", training["precision"])}
    inputs = [artifacts.digest(artifacts.read_json(Path(folder) / "index.json")) for folder in tokens]
    before = artifacts.folder_digest(previous) if previous else None
    scratch = job.scratch(
        adapter, artifacts.digest([code, base, options, training, domains, seed, inputs, before])
    )
    here = stages.Stage(model, list(domains), list(tokens), int(seed), training, previous)
    chosen = methods.load(
        provenance.method_module(method, options),
        **{key: value for key, value in options.items() if key != "uses"},
    )
    result = loop.fit(here, chosen, scratch)
    study = {
        "model": name or Path(model).name,
        "revision": artifacts.read_json(Path(model) / "manifest.json")["revision"],
        "method": method,
        "order": order,
        "seed": int(seed),
        "stage": int(stage),
        "domain": here.domain,
        "trained_domains": list(domains),
        "tokens_sha256": inputs,
        "previous_sha256": before,
        "code": code,
    }
    record = {
        "study": study,
        "options": options,
        "training": training
        | {
            "tokens": result["tokens"],
            "completion_tokens": result["completion_tokens"],
            "loss_first": result["curve"][0]["loss"],
            "loss_last": result["curve"][-1]["loss"],
        },
        "audit": result["audit"],
        "versions": artifacts.versions(),
    }

    def parts(folder):
        chosen.save(here, folder)
        state.save_state(folder, result["state"])
        write_curve(folder / "learning_curve.csv", result["curve"])
        (folder / "README.md").write_text(card(record), encoding="utf-8")
        measured = {"seconds": time.monotonic() - started, "peak_memory_mb": artifacts.peak_memory_mb()}
        artifacts.write_json(folder / "stage.json", record | {"measured": measured})

    stages.write(adapter, parts)
    stages.remove(scratch)


def write_curve(path, rows) -> None:
    with open(path, "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(
            file, ["step", "loss", "learning_rate", "grad_norm", "leak", "tokens"], lineterminator="\n"
        )
        writer.writeheader()
        writer.writerows(rows)


def card(record) -> str:
    """A model card: what this adapter is, and how to load it."""
    study, audit = record["study"], record["audit"]
    return f"""---
library_name: peft
base_model: {study["model"]}
---
# {study["method"]}, stage {study["stage"]} of order {study["order"]}, seed {study["seed"]}

Base model {study["model"]} at revision {study["revision"]}, fine-tuned on {" ->
".join(study["trained_domains"])}, one after another. {audit["trainable_parameters"]} trainable parameters in
this stage, {record["training"]["steps"]} steps, {record["training"]["tokens"]} tokens. `stage.json` has the
full record, `learning_curve.csv` every step.

    from peft import PeftModel
    model = PeftModel.from_pretrained(base, "this folder")
"""


if __name__ == "__main__":
    job.run(train_adapter, snakemake)
