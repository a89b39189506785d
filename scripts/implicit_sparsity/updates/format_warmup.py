"""A format learned before anything is measured: the template's stop token, on text of no domain.

A model that does not end its answers as the study's template does pays for that in every domain: what a
stage then learns first is the stop token. Here a small LoRA on the linear layers learns it from neutral
documents (corpora/neutral_text.py) and is added into the weights. The loss is the mean over a completion's
tokens of

    -log p of a stop token, and KL(before || now) at every other token

so that nothing is learned of what the documents say: with their words in the loss the domains' content gets
worse with every step (docs/measurements.md has the numbers). Routed experts and routers stay as they are.
One run for a model, whatever is trained on it later: no seed of the study is in it.
"""

import logging
import shutil
from contextlib import contextmanager
from fnmatch import fnmatch
from itertools import islice
from pathlib import Path

import numpy as np
import torch

from implicit_sparsity.corpora import neutral_text
from implicit_sparsity.corpora.encoding import Encoder, Options
from implicit_sparsity.corpora.tokens import SCORED, STOP, Document
from implicit_sparsity.errors import InputError
from implicit_sparsity.models import adapters, batching, loading, losses, sources
from implicit_sparsity.passes import scoring
from implicit_sparsity.randomness import stream_seed
from implicit_sparsity.training import fit
from implicit_sparsity.training.pretraining import EveryWeight

from . import distillation

log = logging.getLogger(__name__)

TOKENS_AT_ONCE = 512
HELD_OUT = 64  # documents on which the losses before and after are taken, none of them trained on
RETAINED = 0.5  # least share of the fall of the stop token's loss that is left with the update in the weights


class FormatWarmup(EveryWeight):
    """How it is trained. The literals are read by the plan, too."""

    RANK = 4
    ROWS = 8  # documents a step
    LEARNING_RATE = 1.0e-3

    @contextmanager
    def running(self, model):
        with distillation.last_states(model) as self.states:
            yield

    def loss(self, model, batch, loss):
        """Of a batch with the hidden states before any step at its completion positions, ``before`` [N, H],
        and ``parts`` [N], what each of its completion tokens is."""
        now = distillation.completion_states(self.states, model, batch)
        before, ends = batch["before"].to(now), batch["parts"].to(now.device) == STOP
        labels = batch["labels"][batch["labels"] != -100].to(now.device)
        stop = losses.token_nats(model, now[ends], labels[ends]).sum()
        moved = distillation.divergence(model, now[~ends], before[~ends], 1.0).sum()
        return (stop + moved) / len(labels)


def run(folder, model, base: dict, budget: dict, tokens: dict, scratch) -> dict:
    """Fill ``folder`` with the model of the folder ``model`` after its warm-up.

    A killed run goes on from the folder ``scratch``. ``base``: the model's config entry; ``budget``:
    {steps, documents}; ``tokens``: the config's section. Returns what is to be recorded: budget, tokens,
    and on held-out neutral documents the nats per token of each part of a completion before, after (with
    the LoRA beside the weights) and saved (as read back from ``folder``). Raises InputError where too few
    documents fit, or the model's precision rounds the update away.
    """
    documents = _documents(model, tokens, budget["documents"] + HELD_OUT)
    train, held_out = documents[: budget["documents"]], documents[budget["documents"] :]
    torch.manual_seed(stream_seed(0, "format_warmup", "initialisation"))
    network = loading.load(model, **loading.settings(base))
    record, states = {**budget, "before": part_losses(network, held_out)}, _states(network, train)
    network = adapters.add_linear_lora(network, FormatWarmup.RANK, 2 * FormatWarmup.RANK, targets="all")
    record["tokens"] = _learn(network, train, states, budget["steps"], scratch)
    record["after"] = part_losses(network, held_out)
    loading.save(network.merge_and_unload(), folder, base.get("precision", "fp32"))
    for path in sorted(Path(model).iterdir()):
        if any(fnmatch(path.name, pattern) for pattern in sources.SMALL) and path.name != "config.json":
            shutil.copyfile(path, Path(folder) / path.name)
    del network
    record["saved"] = part_losses(loading.load(folder, **loading.settings(base)), held_out)
    _check(record)
    return record


def _documents(model, tokens: dict, count: int) -> list[Document]:
    """The first ``count`` neutral documents that fit into the template whole."""
    encoder = Encoder(Path(model) / "tokenizer.json", Options(**tokens))
    records = list(islice(neutral_text.documents(0), 2 * count))
    result = []
    for *texts, _ in encoder.encode(records):
        context, completion, stop, _, cut = encoder.fit(*texts)
        if not cut:
            ids = np.array([*context, *completion], np.uint32)
            result.append(Document(ids, np.arange(len(ids)) < len(context), {"stop": stop}))
    if len(result) < count:
        raise InputError(
            f"too short for {count} neutral documents, {len(result)} fit", key="tokens.max_length"
        )
    return result[:count]


def _states(network, documents) -> list:
    """Of each document the hidden states at its completion positions [C, H], on the CPU."""
    result = {}
    scoring.part_nats(network, documents, TOKENS_AT_ONCE, see=result.__setitem__)
    return [result[i].cpu() for i in range(len(documents))]


def _batches(documents, before: list, plan: list) -> list[dict]:
    """The plan's documents, with the states ``before`` of each, as ``FormatWarmup.loss`` reads them."""
    batches = fit.share([[documents[i] for i in rows] for rows in plan], packing=False)
    states = [torch.cat([before[i] for i in rows]) for rows in plan]
    return [batch | {"before": part} for batch, part in zip(batches, states, strict=True)]


def _learn(network, documents, before: list, steps: int, scratch) -> int:
    """Train the adapter, ``before``: each document's hidden states; tokens of all steps."""
    lengths, order = [len(document.ids) for document in documents], stream_seed(0, "format_warmup", "order")
    batches = _batches(documents, before, batching.training_batches(lengths, steps, FormatWarmup.ROWS, order))
    settings = {"steps": steps, "learning_rate": FormatWarmup.LEARNING_RATE, "warmup": max(1, steps // 10)}
    settings |= {"weight_decay": 0.0, "clip": 1.0, "checkpoint_every": max(1, steps // 4)}
    method = FormatWarmup(FormatWarmup.LEARNING_RATE, steps, [])
    fit.optimise(network, method, batches, settings, scratch, stream_seed(0, "format_warmup", "dropout"))
    return sum(batching.tokens(batch) for batch in batches)


def part_losses(network, documents) -> dict:
    """{content, first, stop: nats per token of that part, mean over the documents that have one}."""
    nats, counts = scoring.part_nats(network, documents, TOKENS_AT_ONCE)
    held = counts > 0
    return {
        part: float((nats[held[:, j], j] / counts[held[:, j], j]).mean())
        for part, j in SCORED.items()
        if held[:, j].any()
    }


def _check(record: dict) -> None:
    """InputError where what was learned of the stop token did not survive its way into the weights."""
    before, after, saved = (record[when]["stop"] for when in ("before", "after", "saved"))
    log.info("stop token: %.3f nats before, %.3f after, %.3f in the weights", before, after, saved)
    if after < before and before - saved < RETAINED * (before - after):
        raise InputError(
            f"the stop token's loss fell from {before:.2f} to {after:.2f}, in the saved weights to "
            f"{saved:.2f}: their precision rounds the update away; more steps make a larger one",
            key="training.format_warmup",
        )
