"""The training loop: a small ``transformers.Trainer``, so that resume and precision come with it."""

import json
import math
import shutil
import sys
from pathlib import Path

import numpy as np
import torch
from transformers import PrinterCallback, Trainer, TrainerCallback, TrainingArguments

from implicit_sparsity.corpora.tokens import SCORED
from implicit_sparsity.models import processes
from implicit_sparsity.models.losses import by_part, completion_nats

from . import sharding
from .audit import StageFailed

LOOP, COMPLETE = "loop.json", "complete"


class StageTrainer(Trainer):
    """A Trainer that asks a method its five questions and checkpoints what is trained, no more."""

    def __init__(self, model, method, batches: list, arguments, audit=None):
        super().__init__(model=model, args=arguments, train_dataset=batches)
        self.method, self.audit, self.routing, self.stopping = method, audit, None, False
        self.by_part = None
        self.remove_callback(PrinterCallback)  # the curve is written beside the adapter
        self.add_callback(StepCallbacks(self))
        self.model_accepts_loss_kwargs = False

    def create_accelerator_and_postprocess(self):
        super().create_accelerator_and_postprocess()
        if processes.world() > 1:
            sharding.shard_with(self.accelerator, self.model)
            self.is_fsdp_enabled = True

    def get_train_dataloader(self):
        loader = torch.utils.data.DataLoader(
            self.train_dataset, batch_size=1, collate_fn=lambda batches: batches[0]
        )
        # of several processes each has its own documents of every batch: nothing is left to share out
        return loader if processes.world() > 1 else self.accelerator.prepare(loader)

    def create_scheduler(self, num_training_steps, optimizer=None):
        # transformers' own warm-up begins at zero: its first step does nothing
        warmup = max(1, self.args.warmup_steps)
        rate = torch.optim.lr_scheduler.LambdaLR(
            optimizer or self.optimizer, lambda s: min(1.0, (s + 1) / warmup)
        )
        self.lr_scheduler = rate
        return rate

    def compute_loss(self, model, inputs, return_outputs=False, num_items_in_batch=None):
        # a mean over the whole batch, whose tokens may lie on other processes: see ``fit.share``
        nats, _ = model(inputs) if processes.world() > 1 else completion_nats(model, inputs)
        self._count(nats.detach(), inputs.get("parts"))
        loss = nats.sum() * inputs["weight"] if "weight" in inputs else nats.mean()
        return self.method.loss(model, inputs, loss)

    def _count(self, nats, parts):
        """Adds a batch's nats and tokens up by part of the completion, until the next row of the log."""
        if parts is not None:
            pair = torch.stack([nats.double(), torch.ones_like(nats, dtype=torch.float64)])
            here = torch.zeros(2, 4, dtype=torch.float64, device=nats.device)
            here.index_add_(1, parts.to(nats.device).long(), pair)
            self.by_part = here if self.by_part is None else self.by_part + here

    def _parts(self) -> dict:
        """Mean nats and tokens of each part since the last row of the log, all processes together."""
        if self.by_part is None:
            return {}
        sums = processes.summed(self.by_part.flatten().tolist())
        self.by_part = None
        nats, counts = np.reshape(sums, (2, 4))
        return by_part(nats, counts) | {f"tokens_{part}": int(counts[n]) for part, n in SCORED.items()}

    def log(self, logs, *args, **kwargs):
        if "loss" in logs and not math.isfinite(logs["loss"]):
            raise StageFailed(f"step {self.state.global_step}: the loss is not finite")
        if "loss" in logs:
            logs |= self._parts()
        if "loss" in logs and self.audit is not None and self.audit.watched:
            logs["constraint_violation"] = (
                self.audit.constraint_violations[-1] if self.audit.constraint_violations else None
            )
        super().log(logs, *args, **kwargs)

    def save_model(self, output_dir=None, _internal_call=False):
        Path(output_dir).mkdir(parents=True, exist_ok=True)
        sharding.save_parts(output_dir, self.model, self.optimizer)
        audit = self.audit.state() if self.audit else {}
        if self.args.should_save:
            state = {"audit": audit, "schedule": self.lr_scheduler.state_dict()}
            (Path(output_dir) / LOOP).write_text(json.dumps(state))

    def _save_optimizer_and_scheduler(self, output_dir):
        pass  # written with the weights, in a form that any number of processes reads

    def _load_from_checkpoint(self, resume_from_checkpoint, model=None):
        sharding.load_weights(resume_from_checkpoint, self.model)

    def _load_optimizer_and_scheduler(self, checkpoint):
        if checkpoint is None:
            return
        sharding.load_moments(checkpoint, self.model, self.optimizer)
        state = json.loads((Path(checkpoint) / LOOP).read_text())
        self.lr_scheduler.load_state_dict(state["schedule"])
        for group, rate in zip(self.optimizer.param_groups, self.lr_scheduler.get_last_lr(), strict=True):
            group["lr"] = rate  # the optimizer was made anew, at the first step's rate
        if self.audit:
            self.audit.restore(state["audit"])


class StepCallbacks(TrainerCallback):
    """The two moments around the optimizer's step, and the mark of a checkpoint that is whole."""

    def __init__(self, loop):
        self.loop = loop

    def on_train_begin(self, args, state, control, **kwargs):
        if self.loop.audit and processes.world() > 1:
            self.loop.audit.follow(self.loop.model)  # its parameters are others since it was sharded

    def on_step_begin(self, args, state, control, **kwargs):
        if self.loop.routing:
            self.loop.routing.forget()

    def on_pre_optimizer_step(self, args, state, control, **kwargs):
        self.loop.method.gradients(self.loop.model)
        if self.loop.audit:
            self.loop.audit.before_step(state.global_step)

    def on_optimizer_step(self, args, state, control, **kwargs):
        self.loop.method.step(self.loop.model)
        if self.loop.audit:
            self.loop.audit.after_step()

    def on_step_end(self, args, state, control, **kwargs):
        # save now, whatever the interval, and leave: all processes after the same step
        if any(processes.largest([self.loop.stopping])):
            control.should_save = control.should_training_stop = True

    def on_save(self, args, state, control, **kwargs):
        processes.barrier()  # every process has written its part
        (Path(args.output_dir) / f"checkpoint-{state.global_step}" / COMPLETE).touch()


def arguments(training: dict, learning_rate: float, scratch, seed: int):
    every, device = training["checkpoint_every"], training.get("device")
    return TrainingArguments(
        output_dir=str(scratch),
        max_steps=training["steps"],
        learning_rate=learning_rate,
        warmup_steps=training["warmup"],
        weight_decay=training["weight_decay"],
        max_grad_norm=training["clip"],
        optim="adamw_torch",
        seed=seed,
        logging_steps=1,
        logging_nan_inf_filter=False,
        save_strategy="steps" if every < training["steps"] else "no",
        save_steps=every,
        save_total_limit=2,
        report_to=training.get("report_to", []),
        disable_tqdm=not sys.stderr.isatty(),
        remove_unused_columns=False,
        dataloader_pin_memory=False,
        bf16=False,  # models.hidden_states sees to that: Trainer's own wraps a forward that is not called
        use_cpu=device == "cpu",
    )


def last_checkpoint(scratch) -> Path | None:
    """The newest checkpoint that was written whole; those that were not are removed."""
    result = []
    for folder in Path(scratch).glob("checkpoint-*"):
        if (folder / COMPLETE).exists():
            result.append((int(folder.name.split("-")[1]), folder))
        elif processes.rank() == 0:
            shutil.rmtree(folder)
    processes.barrier()
    return max(result)[1] if result else None
