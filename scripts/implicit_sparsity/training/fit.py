"""A stage from its documents to what it leaves: the loop of ``trainer`` fed with a method's own documents.

With ``trainer`` the only room that steps an optimizer.
"""

import logging
import signal
import threading
from contextlib import ExitStack, contextmanager

import torch

from implicit_sparsity.models import batching, forward, processes
from implicit_sparsity.models.hooks.documents import separate_documents
from implicit_sparsity.models.hooks.routing import SteadyRouting
from implicit_sparsity.models.losses import completion_nats

from . import sharding, trainer
from .audit import Audit, StageFailed
from .stage_record import CURVE, SEEN
from .trainer import last_checkpoint

log = logging.getLogger(__name__)


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


@contextmanager
def _prepared(model, method, training: dict):
    """The model in training: the method's adapter at work, packed documents apart, gradients checkpointed.

    Yields the steady routing whose counts tell of router flips; None where nothing is computed again.
    """
    with ExitStack() as stack:
        stack.enter_context(method.running(model))
        if training.get("packing"):
            stack.enter_context(separate_documents(model))
        routing = None
        if training.get("gradient_checkpointing"):
            routing = stack.enter_context(SteadyRouting(model).holding())
            forward.checkpoint_gradients(model, routing.contexts)
            stack.callback(forward.keep_gradients, model)
        model.train()
        stack.callback(model.eval)
        yield routing


def optimise(model, method, batches: list, training: dict, scratch, seed: int, audit=None) -> list[dict]:
    """Train ``model`` on ``batches`` (one a step), continuing what an earlier, killed attempt left in
    ``scratch``.

    Returns one row a step: step, loss (the objective), that of the step's tokens by part of the completion
    where the batches say what these are, learning_rate, grad_norm, and constraint_violation where the method
    is constrained.
    Raises StageFailed where it stopped before the last step (SIGTERM: a checkpoint is left for the next
    attempt).
    """
    learning_rate = method.learning_rate or training["learning_rate"]
    arguments = trainer.arguments(training, learning_rate, scratch, seed)
    loop = trainer.StageTrainer(model, method, batches, arguments, audit)
    start = last_checkpoint(scratch)
    if start:
        log.info("continuing from %s", start)
    root = sharding.through_the_root(model, lambda batch: completion_nats(model, batch))
    with _prepared(model, method, training) as routing, root, _saves_on_sigterm(loop):
        loop.routing = routing
        if audit:
            audit.routing = routing
        loop.train(resume_from_checkpoint=str(start) if start else None)
    if loop.state.global_step < training["steps"]:
        raise StageFailed(
            f"stopped at step {loop.state.global_step} of {training['steps']}; run again to continue"
        )
    columns = [name for name in CURVE if name not in SEEN]
    return [{name: row.get(name) for name in columns} for row in loop.state.log_history if "loss" in row]


def share(batches: list, packing: bool) -> list[dict]:
    """Batches of documents as tensors; of W processes, the r-th takes documents r, r + W, ... of each.

    ``weight``: the mean over processes of (sum of a process's nats) * weight is the mean over all completion
    tokens of the whole batch, as in one process. ``parts``: which part of the completion each label is of.
    """
    world, rank = processes.world(), processes.rank()
    lay_out = batching.pack if packing else batching.collate
    shared = []
    for batch in batches:
        weight, mine = world / max(1, sum(map(batching.completion_tokens, batch))), batch[rank::world]
        parts = torch.from_numpy(batching.label_parts(mine))
        shared.append(lay_out(mine) | {"weight": weight, "parts": parts})
    return shared


def run_stage(stage, method, scratch) -> dict:
    """Run one stage in this process: what ``train_model`` returns and {state: tensors}, what the method
    leaves for the next; the model keeps its adapter."""
    result = train_model(stage, method, scratch)
    with method.running(stage.model):
        return result | finished(stage, method)


def finished(stage, method) -> dict:
    """What a trained stage leaves: {state: tensors for the next one, report: numbers for its record}."""
    return {"state": method.end(stage), "report": method.report()}


def train_model(stage, method, scratch) -> dict:
    """Train one stage's model: {curve: rows, audit, documents, groups (each counted once), tokens,
    completion_tokens (each time they are seen)}."""
    method.check(stage.model)
    model = stage.model = method.begin(stage)
    training = stage.training | {"steps": method.steps(stage)}
    documents = method.mix(stage.documents("train"), stage)
    lengths = [len(document.ids) for document in documents]
    plan = batching.training_batches(
        lengths, training["steps"], training["batch_size"], stage.stream("order")
    )
    batches = share([[documents[i] for i in batch] for batch in plan], training.get("packing", False))
    audit = Audit(model, method, training["constraint_tolerance"])
    curve = optimise(model, method, batches, training, scratch, stage.stream("dropout"), audit)
    groups = [document.meta["group"] for document in documents]
    for row, batch in zip(curve, plan, strict=True):
        row["tokens"] = sum(lengths[i] for i in batch)
        row |= {"n": len(batch), "groups": len({groups[i] for i in batch})}
    seen = {i for batch in plan for i in batch}
    return {
        "curve": curve,
        "audit": audit.close(),
        "documents": len(seen),
        "groups": len({groups[i] for i in seen}),
        "tokens": sum(row["tokens"] for row in curve),
        "completion_tokens": sum(batching.completion_tokens(documents[i]) for batch in plan for i in batch),
    }
