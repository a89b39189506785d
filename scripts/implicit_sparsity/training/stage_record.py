"""What a trained stage says about itself: the record, the learning curve and the model card beside an
adapter."""

import csv
from pathlib import Path

from implicit_sparsity.corpora.tokens import LOSSES, SCORED
from implicit_sparsity.models import processes
from implicit_sparsity.provenance import identity
from implicit_sparsity.storage.files import write_json

SEEN = ("n", "groups", "tokens")  # of a step's batch: documents, their groups, all their tokens
CURVE = ("step", "loss", *(f"loss_{part}" for part in LOSSES))  # nats: the objective, completions by part
CURVE += ("learning_rate", "grad_norm", "constraint_violation", *SEEN, *(f"tokens_{p}" for p in SCORED))


ADAPTER = """\
    from peft import PeftModel
    model = PeftModel.from_pretrained(base_model, "path/of/this/folder")
"""
WHOLE = """\
    from transformers import AutoModelForCausalLM
    model = AutoModelForCausalLM.from_pretrained("path/of/this/folder")  # tokenizer: the base model's
"""


def record(study: dict, options: dict, training: dict, result: dict) -> dict:
    """All of a stage that is the same on every run of it; what was measured is added when it is written.

    ``result`` is what ``launcher.launch_stage`` returned.
    """
    spent = {
        "steps": len(result["curve"]),
        **{name: result[name] for name in ("documents", "groups", "tokens", "completion_tokens")},
        "loss_at_start": result["curve"][0]["loss"],
        "loss_at_end": result["curve"][-1]["loss"],
    }
    return {
        "study": study,
        "options": options,
        "training": training | spent,
        "audit": result["audit"],
        "versions": identity.versions(),
        **result.get("report", {}),
    }


def write(folder, record: dict, result: dict, seconds: float) -> None:
    """Write stage.json, learning_curve.csv and README.md; only ``measured`` differs between equal runs."""
    folder = Path(folder)
    with open(folder / "learning_curve.csv", "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, CURVE, lineterminator="\n")
        writer.writeheader()
        writer.writerows(result["curve"])
    (folder / "README.md").write_text(card(record), encoding="utf-8")
    measured = {"seconds": round(seconds, 3), "peak_memory_mb": round(processes.peak_memory_mb(), 1)}
    measured |= {"processes": 1} | result.get("measured", {})  # of several: the largest of their peaks
    write_json(folder / "stage.json", record | {"measured": measured})


def card(record: dict) -> str:
    """A model card: what this adapter is, and how to load it."""
    study, spent = record["study"], record["training"]
    count = record["audit"]["trainable_parameters"]
    whole = study.get("form") == "model"
    library = "transformers" if whole else "peft"
    load = WHOLE if whole else ADAPTER
    return f"""---
library_name: {library}
base_model: {study["model"]}
---
# {study["method"]}, stage {study["stage"]} of order {study["order"]}, seed {study["seed"]}

* base model: {study["model"]} at revision {study["revision"]}
* trained on, one after another: {", ".join(study["trained_domains"])}
* this stage: {count} parameters, {spent["steps"]} steps, {spent["tokens"]} tokens

`stage.json` has the full record, `learning_curve.csv` every step, `state.safetensors` what the next needs.

{load}"""
