"""The training loop: a small ``transformers.Trainer``, so that resume, accumulation and precision come with
it.

The only room that steps an optimizer. Shapes: B documents, S positions, H hidden width, V vocabulary.
"""

import json
import logging
import shutil
import signal
import sys
import threading
from contextlib import contextmanager
from pathlib import Path

from . import batching
from .audit import Audit, StageFailed

log = logging.getLogger(__name__)
TRAINABLE, LOOP, COMPLETE = "trainable.safetensors", "loop.json", "complete"


def completion_loss(model, batch):
    """Mean cross-entropy in nats over completion tokens; the head runs on their positions alone."""
    import torch

    from . import models

    hidden = models.hidden_states(model, batch["input_ids"], batch["attention_mask"])
    wanted = batch["labels"] != -100
    logits = models.head(model)(hidden[wanted]).float()
    return torch.nn.functional.cross_entropy(logits, batch["labels"][wanted])


def _loop_class():
    """The Trainer subclass; made on demand, because transformers takes seconds to import."""
    import torch
    from safetensors.torch import load_file, save_file
    from transformers import PrinterCallback, Trainer, TrainerCallback

    class Loop(Trainer):
        """A Trainer that asks a method its five questions and checkpoints what is trained, no more."""

        method = audit = None
        stopping = False

        def __init__(self, *args, **kwargs):
            super().__init__(*args, **kwargs)
            self.remove_callback(PrinterCallback)  # the curve is written beside the adapter
            self.model_accepts_loss_kwargs = False

        def get_train_dataloader(self):
            loader = torch.utils.data.DataLoader(
                self.train_dataset, batch_size=1, collate_fn=lambda batches: batches[0]
            )
            return self.accelerator.prepare(loader)

        def create_scheduler(self, num_training_steps, optimizer=None):
            # transformers' own warm-up begins at zero: its first step does nothing
            warmup = max(1, self.args.warmup_steps)
            rate = torch.optim.lr_scheduler.LambdaLR(
                optimizer or self.optimizer, lambda s: min(1.0, (s + 1) / warmup)
            )
            self.lr_scheduler = rate
            return rate

        def compute_loss(self, model, inputs, return_outputs=False, num_items_in_batch=None):
            return self.method.loss(model, inputs, completion_loss(model, inputs))

        def log(self, logs, *args, **kwargs):
            if "loss" in logs and self.audit is not None and self.audit.method.constrained:
                logs["leak"] = self.audit.leaks[-1] if self.audit.leaks else None
            super().log(logs, *args, **kwargs)

        def _save(self, output_dir=None, state_dict=None):
            folder = Path(output_dir)
            folder.mkdir(parents=True, exist_ok=True)
            tensors = {
                n: p.detach().cpu().contiguous() for n, p in self.model.named_parameters() if p.requires_grad
            }
            save_file(tensors, str(folder / TRAINABLE))
            (folder / LOOP).write_text(json.dumps(self.audit.state() if self.audit else {}))

        def _load_from_checkpoint(self, resume_from_checkpoint, model=None):
            folder = Path(resume_from_checkpoint)
            parameters = dict(self.model.named_parameters())
            with torch.no_grad():
                for name, tensor in load_file(str(folder / TRAINABLE)).items():
                    parameters[name].copy_(tensor)
            if self.audit:
                self.audit.restore(json.loads((folder / LOOP).read_text()))

    class Seams(TrainerCallback):
        """The two moments around the optimizer's step, and the mark of a checkpoint that is whole."""

        def __init__(self, loop):
            self.loop = loop

        def on_pre_optimizer_step(self, args, state, control, **kwargs):
            self.loop.method.gradients(self.loop.model)
            if self.loop.audit:
                self.loop.audit.before_step(state.global_step)

        def on_optimizer_step(self, args, state, control, **kwargs):
            self.loop.method.step(self.loop.model)
            if self.loop.audit:
                self.loop.audit.after_step()

        def on_step_end(self, args, state, control, **kwargs):
            if self.loop.stopping:  # save now, whatever the interval, and leave
                control.should_save = control.should_training_stop = True

        def on_save(self, args, state, control, **kwargs):
            (Path(args.output_dir) / f"checkpoint-{state.global_step}" / COMPLETE).touch()

    return Loop, Seams


def _arguments(training: dict, learning_rate: float, scratch, seed: int):
    from transformers import TrainingArguments

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
        bf16=training.get("precision") == "bf16",
        use_cpu=device == "cpu",
    )


def last_checkpoint(scratch) -> Path | None:
    """The newest checkpoint that was written whole; those that were not are removed."""
    found = []
    for folder in Path(scratch).glob("checkpoint-*"):
        if (folder / COMPLETE).exists():
            found.append((int(folder.name.split("-")[1]), folder))
        else:
            shutil.rmtree(folder)
    return max(found)[1] if found else None


@contextmanager
def _saves_on_sigterm(loop):
    """SIGTERM (a time limit, a preemption) ends training after the step at hand, with a checkpoint."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(*_):
        loop.stopping = True

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def optimise(model, method, batches: list, training: dict, scratch, seed: int, audit=None) -> list[dict]:
    """Train ``model`` on ``batches`` (one a step), continuing what an earlier, killed attempt left in
    ``scratch``.

    Returns one row a step: step, loss, learning_rate, grad_norm, and leak where the method is constrained.
    Raises StageFailed where it stopped before the last step (SIGTERM: a checkpoint is left for the next
    attempt).
    """
    loop_class, seams = _loop_class()
    arguments = _arguments(training, method.learning_rate or training["learning_rate"], scratch, seed)
    loop = loop_class(model=model, args=arguments, train_dataset=batches)
    loop.method, loop.audit = method, audit
    loop.add_callback(seams(loop))
    start = last_checkpoint(scratch)
    if start:
        log.info("continuing from %s", start)
    with method.running(model), _saves_on_sigterm(loop):
        model.train()
        loop.train(resume_from_checkpoint=str(start) if start else None)
        model.eval()
    if loop.state.global_step < training["steps"]:
        raise StageFailed(
            f"stopped at step {loop.state.global_step} of {training['steps']}; run again to continue"
        )
    kept = ("step", "loss", "learning_rate", "grad_norm", "leak")
    return [{name: row.get(name) for name in kept} for row in loop.state.log_history if "loss" in row]


def fit(stage, method, scratch) -> dict:
    """Run one stage: {curve: rows, audit, tokens, completion_tokens, state: tensors}; the model keeps its
    adapter."""
    model = stage.model = method.begin(stage)
    training = stage.training
    documents = method.mix(stage.documents("train"), stage)
    lengths = [len(document.ids) for document in documents]
    plan = batching.training_batches(
        lengths, training["steps"], training["batch_size"], stage.stream("order")
    )
    batches = [batching.collate([documents[i] for i in batch]) for batch in plan]
    audit = Audit(model, method, training["leak_tolerance"])
    curve = optimise(model, method, batches, training, scratch, stage.stream("dropout"), audit)
    for row, batch in zip(curve, batches, strict=True):
        row["tokens"] = int(batch["attention_mask"].sum())
    with method.running(model):
        state = method.end(stage)
    return {
        "curve": curve,
        "audit": audit.close(),
        "tokens": sum(row["tokens"] for row in curve),
        "completion_tokens": sum(int((batch["labels"] != -100).sum()) for batch in batches),
        "state": state,
    }
