"""Seconds of a stage's training against PEFT LoRA under a plain ``transformers.Trainer``, same documents.

    make bench        (or: .venv/bin/python benchmarks/training.py --steps 8 --rounds 3)

Every round runs the peer and each method once, in turn, in this one process; the ratio of a round is
paired, and the median and range over rounds are printed. All see the same documents, as many steps, rank 8
on every linear layer (A: as many parameters), clipping and AdamW. The peer pads each random batch to its
longest document and runs the head on every position, as Trainer does; ours sorts by length and runs the
head on completion positions. Orthogonal and activation_mask are timed in a second stage, where their
constraints are at work.
"""

import argparse
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "scripts"))
TRAINING = {
    "batch_size": 4,
    "learning_rate": 1e-3,
    "warmup": 2,
    "weight_decay": 0.0,
    "clip": 1.0,
    "checkpoint_every": 10**6,
    "leak_tolerance": 1e-3,
}


def peer(model_folder, documents, steps: int, seed: int) -> float:
    """Seconds of ``Trainer.train`` on a PEFT LoRA, documents in random batches."""
    import numpy as np
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM, Trainer, TrainingArguments

    def pad(rows):
        longest = max(len(row["input_ids"]) for row in rows)
        fill = {"input_ids": 0, "attention_mask": 0, "labels": -100}
        return {
            name: torch.tensor([list(row[name]) + [value] * (longest - len(row[name])) for row in rows])
            for name, value in fill.items()
        }

    rows = [
        {
            "input_ids": d.ids.tolist(),
            "attention_mask": [1] * len(d.ids),
            "labels": np.where(d.prompt, -100, d.ids.astype(np.int64)).tolist(),
        }
        for d in documents
    ]
    model = AutoModelForCausalLM.from_pretrained(model_folder, dtype=torch.float32)
    model = get_peft_model(
        model, LoraConfig(r=8, lora_alpha=16, target_modules="all-linear", task_type="CAUSAL_LM")
    )
    with tempfile.TemporaryDirectory() as scratch:
        arguments = TrainingArguments(
            output_dir=scratch,
            max_steps=steps,
            per_device_train_batch_size=TRAINING["batch_size"],
            learning_rate=TRAINING["learning_rate"],
            save_strategy="no",
            report_to=[],
            disable_tqdm=True,
            seed=seed,
            use_cpu=not torch.cuda.is_available(),
        )
        trainer = Trainer(model=model, args=arguments, train_dataset=rows, data_collator=pad)
        started = time.perf_counter()
        trainer.train()
        return time.perf_counter() - started


class Timed:
    """One of our methods; the first stage, without which a second has no constraint, is not timed."""

    def __init__(self, name, options, model_folder, tokens, scratch):
        self.name, self.options, self.model, self.tokens = name, options, str(model_folder), tokens
        self.folder, self.previous = Path(scratch) / name, None
        if name != "lora":
            _, stage, method, result = self.fit(["code"], 2, 0)
            self.previous = self.save(stage, method, result)

    def fit(self, domains, steps, seed):
        from implicit_sparsity import methods, stages, training

        settings = TRAINING | {"steps": steps}
        stage = stages.Stage(self.model, domains, self.tokens[: len(domains)], seed, settings, self.previous)
        stage.documents = lambda split, domain=None: (
            self.documents if split == "train" else original(split, domain)
        )
        original = stages.Stage.documents.__get__(stage)
        self.documents = original("train")[: steps * TRAINING["batch_size"]]
        method = methods.load(self.name, **self.options)
        seconds, optimise = [], training.optimise

        def timed(*args, **kwargs):
            started = time.perf_counter()
            try:
                return optimise(*args, **kwargs)
            finally:
                seconds.append(time.perf_counter() - started)

        training.optimise = timed
        try:
            with tempfile.TemporaryDirectory() as scratch:
                result = training.fit(stage, method, scratch)
        finally:
            training.optimise = optimise
        return seconds[0], stage, method, result

    def save(self, stage, method, result):
        from implicit_sparsity import files

        with files.new_folder(self.folder) as folder:
            stage.save(method, folder, result["state"])
        return str(self.folder)


def main(arguments) -> None:
    os.environ["OMP_NUM_THREADS"] = str(arguments.threads)
    os.environ["HF_HUB_OFFLINE"] = "1"
    import torch

    from implicit_sparsity.tokens import Tokens

    torch.set_num_threads(arguments.threads)
    results = ROOT / "results"
    model = results / "models" / "smollm2"
    tokens = [str(results / "tokens" / "smollm2" / domain) for domain in ("code", "math")]
    if not model.is_dir() or not all(Path(folder).is_dir() for folder in tokens):
        sys.exit(
            "benchmarks/training.py: run `make` first, it needs results/models/smollm2 and results/tokens/"
        )
    need = arguments.steps * TRAINING["batch_size"]
    options = {"lora": {}, "activation_mask": {"fraction": 0.03}, "orthogonal": {}}
    with tempfile.TemporaryDirectory() as scratch:
        ours = {name: Timed(name, o, model, tokens, scratch) for name, o in options.items()}
        ratios = {name: [] for name in ours}
        for seed in range(arguments.rounds):
            found = {}
            for folder in tokens:
                split = Tokens(folder).split("train")
                found[folder] = peer(model, [split[i] for i in range(need)], arguments.steps, seed)
            for name, method in ours.items():
                domains = ["code", "math"] if method.previous else ["code"]
                seconds = method.fit(domains, arguments.steps, seed)[0]
                against = found[tokens[len(domains) - 1]]
                ratios[name].append(seconds / against)
                print(
                    f"round {seed + 1} {name}: {seconds:.1f} s, Trainer + PEFT LoRA {against:.1f} s",
                    flush=True,
                )
    print(
        f"\nseconds of training / seconds of PEFT LoRA under Trainer, {arguments.steps} steps, "
        f"{arguments.rounds} rounds, {arguments.threads} threads, torch {torch.__version__}"
    )
    for name, values in ratios.items():
        print(f"  {name:18s} {statistics.median(values):.2f}  ({min(values):.2f} to {max(values):.2f})")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--steps", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    main(parser.parse_args())
