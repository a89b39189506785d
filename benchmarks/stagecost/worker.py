"""One process, one stage: of a method of ours, or PEFT's LoRA under a plain ``transformers.Trainer``.

    python -m stagecost.worker '{"method": name or null, "place": {...}, "domains": [...], "steps": 8, ...}'

The last line of the output is JSON: phases (begin, train, end, audit: seconds and peak_mb), tokens, number of
trained parameters. ``train`` is ``Trainer.train`` in both cases.
"""

import json
import os
import sys
import tempfile
from pathlib import Path

SCRIPTS = Path(__file__).resolve().parents[2] / "scripts"


def ours(settings: dict, memory_meter) -> dict:
    """A stage through the project's own loop, from its beginning to the tensors that the next stage needs."""
    from implicit_sparsity.options import load
    from implicit_sparsity.storage import files
    from implicit_sparsity.training import audit, fit
    from stagecost import cases

    method = load("methods", settings["method"], **settings["options"])
    method.begin, method.end = (
        memory_meter.around("begin", method.begin),
        memory_meter.around("end", method.end),
    )
    stage = cases.stage(
        settings["place"], settings["domains"], _training(settings), settings["seed"], settings["previous"]
    )
    audits = memory_meter.watching("audit", audit.Audit, "__init__", "close")
    with audits, tempfile.TemporaryDirectory() as scratch:
        result = fit.run_stage(stage, method, scratch)
    if settings["save"]:
        with files.new_folder(settings["save"]) as folder:
            stage.save(method, folder, result["state"])
    return {"tokens": result["tokens"], "parameters": result["audit"]["trainable_parameters"]}


def _training(settings: dict) -> dict:
    from stagecost import cases

    return cases.TRAINING | {"steps": settings["steps"]}


def peer(settings: dict, memory_meter) -> dict:
    """The same documents in random batches, padded, the head on every position: what Trainer does."""
    import torch
    from transformers import Trainer, TrainingArguments

    from stagecost import cases

    stage = cases.stage(settings["place"], settings["domains"], _training(settings), settings["seed"])
    documents = stage.documents("train")
    model = _with_lora(stage.model)
    with tempfile.TemporaryDirectory() as scratch:
        arguments = TrainingArguments(
            output_dir=scratch,
            max_steps=settings["steps"],
            per_device_train_batch_size=cases.TRAINING["batch_size"],
            learning_rate=cases.TRAINING["learning_rate"],
            save_strategy="no",
            report_to=[],
            disable_tqdm=True,
            seed=settings["seed"],
            use_cpu=not torch.cuda.is_available(),
        )
        trainer = Trainer(model=model, args=arguments, train_dataset=_rows(documents), data_collator=_pad)
        trainer.train()
    trained = sum(p.numel() for p in model.parameters() if p.requires_grad)
    return {"tokens": sum(len(document.ids) for document in documents), "parameters": trained}


def _with_lora(model):
    """Rank 8 on every linear layer; on a mixture's fused experts, too, which no linear layer names."""
    from peft import LoraConfig, get_peft_model

    fused = ["mlp.experts.gate_up_proj", "mlp.experts.down_proj"]
    mixture = getattr(model.config.get_text_config(), "num_experts", 0)
    more = {"target_parameters": fused} if mixture else {}
    config = LoraConfig(r=8, lora_alpha=16, target_modules="all-linear", task_type="CAUSAL_LM", **more)
    return get_peft_model(model, config)


def _rows(documents) -> list:
    import numpy as np

    return [
        {
            "input_ids": d.ids.tolist(),
            "attention_mask": [1] * len(d.ids),
            "labels": np.where(d.prompt, -100, d.ids.astype(np.int64)).tolist(),
        }
        for d in documents
    ]


def _pad(rows) -> dict:
    import torch

    longest = max(len(row["input_ids"]) for row in rows)
    fill = {"input_ids": 0, "attention_mask": 0, "labels": -100}
    return {
        name: torch.tensor([list(row[name]) + [value] * (longest - len(row[name])) for row in rows])
        for name, value in fill.items()
    }


def measure(settings: dict) -> dict:
    import torch
    from transformers import Trainer

    from stagecost.memory_meter import MemoryMeter

    torch.set_num_threads(settings["threads"])
    memory_meter = MemoryMeter()
    with memory_meter.watching("train", Trainer, "train"):
        result = (ours if settings["method"] else peer)(settings, memory_meter)
    return result | {"phases": memory_meter.phases}


if __name__ == "__main__":
    sys.path.insert(0, str(SCRIPTS))
    asked = json.loads(sys.argv[1])
    os.environ["OMP_NUM_THREADS"] = str(asked["threads"])
    os.environ["HF_HUB_OFFLINE"] = "1"
    print(json.dumps(measure(asked)), flush=True)
