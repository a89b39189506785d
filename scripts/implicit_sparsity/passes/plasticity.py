"""Can a network still learn? A fixed task learned anew, and the ranks and idle neurons of what it has.

The task is arbitrary: pairs of random token sequences, a prompt and the completion to be given to it. No
domain helps and no model knows it, so what differs between checkpoints is how fast they take it in. A fresh
LoRA, the same initial factors at every checkpoint, is trained on all pairs at once for a fixed number of
steps.

Shapes: S tasks (seeds), P pairs, T steps, D reference documents of a domain, n sampled tokens, L layers, H
hidden width, N neurons of a layer.
"""

import numpy as np
import torch

from implicit_sparsity.corpora.tokens import Document
from implicit_sparsity.errors import InputError
from implicit_sparsity.metrics import clusters, spectra
from implicit_sparsity.metrics.separation import scores
from implicit_sparsity.models import batching, forward, losses
from implicit_sparsity.models.ffn import feed_forwards
from implicit_sparsity.models.hooks.watching import module_inputs
from implicit_sparsity.randomness import stream_seed
from implicit_sparsity.training.pretraining import EveryWeight

from . import activation_pass, document_groups, reference_documents
from .accumulators import ActivationStatistics
from .fresh_adapter import FreshAdapter


def task(seed: int, vocabulary: int, special_ids, options: dict) -> list:
    """The pairs of one task as documents; ids are drawn evenly from all that are not special."""
    ids = np.setdiff1d(np.arange(vocabulary), np.asarray(sorted(special_ids), np.int64))
    random = np.random.default_rng(stream_seed(seed, "held_out_task"))
    length = options["prompt"] + options["completion"]
    drawn = random.choice(ids, size=(options["pairs"], length))
    prompt = np.arange(length) < options["prompt"]
    return [Document(row.astype(np.uint32), prompt, {}) for row in drawn]


def learn(model, tasks: list, options: dict, scratch) -> dict:
    """{before, after: nats per completion token of each pair [S, P]; curve: mean loss before each step and
    after the last [S, T + 1]} of one fresh LoRA a task. The network is left with the last task's
    adapter.
    """
    adapter = FreshAdapter(model, options["rank"], "held_out_task")
    method = EveryWeight(options["learning_rate"], options["steps"], [])  # asks for nothing of its own
    result = {"before": [], "after": [], "curve": []}
    for number, documents in enumerate(tasks):
        batch = batching.collate(documents)
        adapter.reset()
        result["before"].append(pair_losses(adapter.model, batch))
        batches = [batch] * options["steps"]
        curve = adapter.learn(method, batches, options, scratch / str(number), number)
        result["after"].append(pair_losses(adapter.model, batch))
        result["curve"].append([*(row["loss"] for row in curve), result["after"][-1].mean()])
    return {name: np.array(values) for name, values in result.items()}


def pair_losses(model, batch) -> np.ndarray:
    """Nats per completion token of each row of a batch, float64 [P]."""
    batch = batching.to_device(batch, next(model.parameters()).device)
    with torch.inference_mode():
        nats, row = losses.completion_nats(model, batch)
    count = torch.bincount(row).double()
    return (torch.zeros_like(count).index_add_(0, row, nats.double()) / count).cpu().numpy()


def reference(split, special_ids, options: dict, path=None) -> tuple[list, list, list]:
    """(ids, which tokens count, groups) of the first documents of a split, as many as
    ``options["documents"]``."""

    def counts(document):
        return reference_documents.counting(document.ids, special_ids, options["skip_first"])

    documents = reference_documents.first_documents(
        split,
        options["documents"],
        "probes.plasticity_task.documents",
        path,
        wanted=lambda document: counts(document).any(),
        what="tokens that count",
    )
    ids = [np.asarray(document.ids) for document in documents]
    return ids, [counts(document) for document in documents], document_groups.names(documents)


def observe(model, ids, keeps, positions: int, batch_tokens: int) -> tuple[np.ndarray, np.ndarray, dict]:
    """(hidden states float32 [L, n, H], document of each [n], sums of |h| by document) in one pass.

    Of each document at most ``positions`` evenly spaced tokens; |h| of all tokens that count.
    """
    layers = forward.decoder(model).layers
    modules = {i - 1: layer for i, layer in enumerate(layers) if i}
    modules[len(layers) - 1] = forward.last_norm(model)
    device = next(model.parameters()).device
    statistics = ActivationStatistics(feed_forwards(model), device=device, groups=len(ids))
    retained, owners, at = {i: [] for i in modules}, [], {}

    def keep(layer, x):
        if at.get("rows") is not statistics.retained_rows:  # the first layer of a new batch
            owner = statistics.retained_groups.cpu().numpy()
            chosen = spread(owner, positions)
            at.update(rows=statistics.retained_rows, chosen=statistics.retained_rows[chosen])
            owners.append(owner[chosen])
        retained[layer].append(x.detach().flatten(0, -2)[at["chosen"].to(x.device)].float().cpu().numpy())

    with module_inputs(modules, keep):
        activation_pass.run(model, ids, keeps, statistics, batch_tokens, groups=np.arange(len(ids)))
    hidden, owner = np.stack([np.concatenate(retained[i]) for i in sorted(retained)]), np.concatenate(owners)
    order = owner.argsort(kind="stable")
    arrays = statistics.arrays()
    if not (np.isfinite(hidden).all() and np.isfinite(arrays["sum_abs"]).all()):
        raise InputError("hidden states are not finite")
    return hidden[:, order], owner[order], arrays


def spread(owner, positions: int) -> np.ndarray:
    """Places of at most ``positions`` evenly spaced entries of each run of equal ``owner``."""
    runs = (np.flatnonzero(owner == document) for document in dict.fromkeys(owner.tolist()))
    return np.concatenate([reference_documents.evenly(places, positions) for places in runs])


def ranks(hidden, owner) -> dict:
    """{effective_rank, stable_rank: [L, 1 + G]} of hidden states less their mean; then without each group.

    owner: the number of the group of documents of each state, [n].
    """
    result = {"effective_rank": [], "stable_rank": []}
    for x in hidden.astype(np.float64):
        x = np.linalg.qr(x.T, mode="r").T if x.shape[1] > x.shape[0] else x  # turned, which changes no rank
        retained = [x, *(x[owner != group] for group in np.unique(owner))]
        retained = [part - part.mean(axis=0) for part in retained]
        for name, values in result.items():
            values.append([float(getattr(spectra, name)(part)) for part in retained])
    return {name: np.array(values) for name, values in result.items()}


def dormant(arrays: dict, owners, taus, groups) -> np.ndarray:
    """Dormant share ``[tau, L, 1 + G]`` from sums of |h| by document; ``owners``: of each layer, int [N],
    whose its neurons are, -1 of the shared expert and in a dense layer; groups [D]: the name of each
    document's.

    In a mixture a mean is over the tokens that were routed to the neuron; an expert that none reached is
    dormant.
    """
    sums, tokens = arrays["group_sum_abs"].astype(np.float64), arrays["group_tokens"].astype(np.float64)
    counts = np.broadcast_to(tokens[:, None, None], (*sums.shape[:2], 1))
    counts = np.concatenate([arrays["group_routed_tokens"], counts], axis=-1)
    retained = clusters.left_out(groups)
    result = np.empty((len(taus), sums.shape[1], len(retained)))
    for layer, owner in enumerate(owners):
        means = scores(retained @ sums[:, layer, : len(owner)], retained @ counts[:, layer], owner)
        for i, tau in enumerate(taus):
            result[i, layer] = spectra.dormant_share(means, tau)
    return result
