"""Which feed-forward neurons a stage writes, and which it leaves to old domains.

Shapes: L layers, N neurons of a layer (numbered as in ``ffn``), K chosen ones, G groups of documents. Scores
are float64 [L, N], larger is chosen first. Sets of neurons are {layer: int64 [K], ascending}. N is of the
widest layer: scores, activity and norms of a narrower one end in NaN.
"""

import torch

from implicit_sparsity.errors import InputError
from implicit_sparsity.models import ffn
from implicit_sparsity.passes import activation_pass, document_groups
from implicit_sparsity.passes.accumulators import ActivationStatistics


def activity(model, documents, tokens: int, skip_first: int = 1, batch_tokens: int = 512):
    """sum |h| per token of the documents' first ``tokens`` tokens, float64 [L, N].

    Per token of the domain, not per token routed: an expert that a domain seldom visits is idle for it.
    """
    statistics = _watched(model, documents, tokens, skip_first, batch_tokens)
    return _with_gaps(statistics.sum_abs.cpu() / max(statistics.tokens, 1), statistics.blocks)


def grouped_activity(
    model, documents, tokens: int, groups: int, skip_first: int = 1, batch_tokens: int = 512
):
    """sum |h| of each of ``groups`` parts of those documents, whole groups of them (``document_groups``),
    float32 [G, L, N].

    Held at once: 4 * G * L * N bytes.
    """
    statistics = _watched(model, documents, tokens, skip_first, batch_tokens, groups)
    return _with_gaps(statistics.group_sums(), statistics.blocks)


def _with_gaps(values, blocks):
    """Values [.., L, N], in place NaN where a layer has no such neuron."""
    for layer, size in enumerate(ffn.sizes(blocks)):
        values[..., layer, size:] = torch.nan
    return values


def sizes(values) -> list[int]:
    """Neurons of every layer, of values [L, N] that are NaN behind a layer's last."""
    return (~values.isnan()).sum(1).tolist()


def _watched(model, documents, tokens, skip_first, batch_tokens, groups=0):
    ids, keeps, _, taken = activation_pass.take_tokens(documents, tokens, skip_first, ())
    device, dealt = next(model.parameters()).device, None
    if groups:
        dealt = document_groups.deal(taken, [keep.sum() for keep in keeps], groups)
        groups = int(dealt.max()) + 1
    statistics = ActivationStatistics(ffn.feed_forwards(model), device=device, groups=groups)
    activation_pass.run(model, ids, keeps, statistics, batch_tokens, groups=dealt)
    return statistics


def scores(how: str, used, model, seed: int, ranks=None):
    """[L, N] by which ``choose`` takes neurons, from the new domain's activity ``used`` [L, N].

    active: the most used; least: the least used of those in use at all (an idle expert's neurons get no
    gradient); random: a draw from ``seed``; weight: the largest norm of a neuron's 3 H numbers in the base;
    hub: the best worst rank (``ranks`` [L, N], see ``worst_ranks``).
    """
    if how == "least":
        result = torch.where(used > 0, -used, -torch.inf)
    elif how == "random":
        result = torch.rand(used.shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    elif how == "hub":
        result = -ranks.double()
    else:
        result = used if how == "active" else weight_norms(model)
    return result.masked_fill(used.isnan(), torch.nan)


def worst_ranks(used, before=None):
    """The worst rank that a neuron has had in any domain so far, int32 [L, N]; 0: the most used of its layer.

    The K of best worst rank are the intersection of all domains' top-k sets, for the k at which it has K
    members: the hubs of ``neuron_sets``. Neurons that have come since ``before`` [L, n] are last in it.
    """
    order = torch.argsort(used.nan_to_num(-1.0), dim=1, descending=True, stable=True)
    ranks = torch.argsort(order, dim=1).int()
    if before is None:
        return ranks
    missing = used.shape[1] - before.shape[1]
    return torch.maximum(ranks, torch.nn.functional.pad(before, (0, missing), value=used.shape[1]))


def weight_norms(model):
    """sqrt(||gate_i||^2 + ||up_i||^2 + ||down_i||^2) of every neuron, float64 [L, N]."""
    norms = [_norms(block).sqrt().cpu() for block in ffn.feed_forwards(model)]
    return torch.nn.utils.rnn.pad_sequence(norms, batch_first=True, padding_value=torch.nan)


def _norms(block):
    def squares(gate, up, down):
        rows = sum(weight.detach().double().square().sum(1) for weight in (gate, up))
        return rows + down.detach().double().square().sum(0)

    norms = [squares(*weights) for first, _, *weights in block.parts() if first < block.routed]
    if dense := block.dense:
        norms.append(squares(*dense.plain_weights()))
    return torch.cat(norms)


def choose(scores, fraction: float, guarded: dict, width: int | None = None) -> dict:
    """In each layer, the share ``fraction`` of neurons (one at least, none for 0) that scores highest
    outside ``guarded``; the share of ``width`` neurons, where a layer once had fewer.

    Ties go to the lower number. Raises InputError where too few neurons are left.
    """
    chosen = {}
    for layer, (row, n) in enumerate(zip(scores, sizes(scores), strict=True)):
        k = max(1, round(fraction * (width or n))) if fraction else 0
        row = row[:n]
        free = torch.ones(n, dtype=torch.bool)
        if layer in guarded:
            free[guarded[layer]] = False
        if int(free.sum()) < k:
            raise InputError(
                f"layer {layer} has {int(free.sum())} unprotected neurons left of {n}, {k} are wanted: "
                "lower fraction or protect",
                key="methods.activation_mask",
            )
        order = torch.argsort(row, descending=True, stable=True)
        chosen[layer] = order[free[order]][:k].sort().values
    return chosen


def union(*sets: dict) -> dict:
    layers = sorted({layer for each in sets for layer in each})
    return {layer: torch.cat([each[layer] for each in sets if layer in each]).unique() for layer in layers}


def protected(state: dict) -> dict:
    """The neurons that earlier stages protect, from a stage's state."""
    return {int(name.split(".")[1]): index for name, index in state.items() if name.startswith("protected.")}
