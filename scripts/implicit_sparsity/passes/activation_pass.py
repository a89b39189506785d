"""The activation pass: a domain's documents through a checkpoint, both halves, into the arrays of one store.

Shapes: T tokens of a document, D documents of a half, G parts that their groups are dealt into (``group`` in
a store, see ``document_groups``); the others as in ``accumulators``.
"""

from typing import NamedTuple

import numpy as np

from implicit_sparsity.errors import InputError
from implicit_sparsity.models import ffn
from implicit_sparsity.models.hooks.watching import ffn_activations

from . import document_groups
from .accumulators import ActivationStatistics, bin_edges
from .document_loop import over_documents


class Taken(NamedTuple):
    """``ids``, uint32 [T], and ``keeps``, bool [T], of each of ``documents``; ``excluded``: tokens left out,
    by reason."""

    ids: list
    keeps: list
    excluded: dict
    documents: list


def take_tokens(documents, budget: int, skip_first: int, special_ids) -> Taken:
    """The first documents, their groups in turn, with exactly ``budget`` tokens that count; the last one cut.

    The first ``skip_first`` tokens of a document and special tokens do not count: they are attention sinks
    and format. ``sum(keep) < budget`` where the documents do not suffice: the caller says whose they are.
    """
    special = np.asarray(sorted(special_ids), dtype=np.int64)
    taken, excluded, total = Taken([], [], {}, []), {"first": 0, "special": 0}, 0
    for document in document_groups.in_turn(documents):
        if total >= budget:
            break
        tokens = np.asarray(document.ids)
        early = np.arange(len(tokens)) < skip_first
        keep = ~early & ~np.isin(tokens, special)
        if total + keep.sum() > budget:
            end = int(np.flatnonzero(np.cumsum(keep) == budget - total)[0]) + 1
            tokens, keep, early = tokens[:end], keep[:end], early[:end]
        total += int(keep.sum())
        excluded["first"] += int(early.sum())
        excluded["special"] += int((~early & ~keep).sum())
        taken.ids.append(tokens)
        taken.keeps.append(keep)
        taken.documents.append(document)
    return taken._replace(excluded=excluded)


def run(model, ids, keeps, statistics, batch_tokens: int, progress=iter, groups=None) -> int:
    """Show ``statistics`` every activation of the documents; returns the number of padded positions.

    groups: int [D], the group of each document, where ``statistics`` has groups.
    """

    def begin(keep, group, documents):
        statistics.begin_batch(keep, group)
        statistics.documents += documents

    with ffn_activations(model, statistics.observe, statistics.observe_routed):
        return over_documents(model, ids, keeps, batch_tokens, begin, progress, groups)


def measure_half(model, blocks, split, special_ids, options: dict, progress=iter, path=None) -> dict:
    """Arrays of one half of a domain's documents at the token budget ``options["tokens"]``; see ``as_store``.

    Raises InputError where the documents do not hold that many tokens, or an activation is not finite.
    """
    taken = take_tokens(split, options["tokens"], options["skip_first"], special_ids)
    counted = int(sum(keep.sum() for keep in taken.keeps))
    if counted < options["tokens"]:
        raise InputError(
            f"a probe half holds {counted} tokens that count, {options['tokens']} are wanted: "
            "raise splits.probe or lower the budget",
            path=path,
            key="probes.activations.tokens",
        )
    return measure(model, blocks, taken, options, progress, path)


def measure(model, blocks, taken: Taken, options: dict, progress=iter, path=None) -> dict:
    """Arrays of documents at the tokens that ``taken.keeps`` says.

    Groups of documents are dealt whole to ``options["groups"]`` parts; a part is one group where there are as
    many.
    """
    ids, keeps, excluded, documents = taken
    device, dealt, groups = next(model.parameters()).device, None, 0
    if options.get("groups", 0):
        dealt = document_groups.deal(documents, [keep.sum() for keep in keeps], options["groups"])
        groups = int(dealt.max()) + 1
    statistics = ActivationStatistics(blocks, options["top_k"], options["thresholds"], device, groups)
    padding = run(model, ids, keeps, statistics, options["batch_tokens"], progress, dealt)
    arrays = statistics.arrays() | {"document_groups": np.int64(len(set(document_groups.names(documents))))}
    if groups:
        arrays["group_documents"] = np.bincount(dealt, minlength=groups)
        arrays["source"] = document_groups.sources(documents, dealt)
    numbers = {name: value for name, value in arrays.items() if name != "source"}
    bad = [name for name, value in numbers.items() if not np.isfinite(value).all()]
    if bad:
        raise InputError(f"activations are not finite ({', '.join(bad)})", path=path)
    excluded = {"control": 0, **excluded, "padding": padding}
    return arrays | {f"excluded_{why}": np.int64(n) for why, n in excluded.items()}


UNITS = {  # variable: (dims after half, long name, units)
    "tokens": ((), "tokens that count", "tokens"),
    "documents": ((), "documents", "documents"),
    "document_groups": ((), "groups that the documents come in, the unit of intervals", "groups"),
    "histogram_tokens": ((), "tokens sampled for the histogram", "tokens"),
    "excluded_first": ((), "leading tokens left out", "tokens"),
    "excluded_special": ((), "special tokens left out", "tokens"),
    "excluded_padding": ((), "padded positions left out", "tokens"),
    "excluded_control": ((), "tokens left out by a control", "tokens"),
    "sum_abs": (("layer", "neuron"), "sum of |h|", "activation"),
    "sum_sq": (("layer", "neuron"), "sum of h squared", "activation squared"),
    "max_abs": (("layer", "neuron"), "largest |h|", "activation"),
    "contribution": (
        ("layer", "neuron"),
        "sum of |h| times the norm of the neuron's down column",
        "activation",
    ),
    "top_count": (("layer", "top_k", "neuron"), "tokens in whose top-k the neuron is", "tokens"),
    "above_count": (
        ("layer", "threshold", "neuron"),
        "tokens where |h| is at least eps times the token's largest",
        "tokens",
    ),
    "zero_count": (("layer",), "exact zeros", "activations"),
    "histogram": (("layer", "bin"), "sampled activations by |h|", "activations"),
    "routed_tokens": (("layer", "expert_id"), "tokens routed to the expert", "tokens"),
    "routed_weight": (("layer", "expert_id"), "sum of routing weights", "1"),
    "group_tokens": (
        ("group",),
        "tokens that count, by part: whole groups of documents",
        "tokens",
    ),
    "group_documents": (("group",), "documents, by part", "documents"),
    "group_sum_abs": (("group", "layer", "neuron"), "sum of |h|, by part", "activation"),
    "group_routed_tokens": (("group", "layer", "expert_id"), "tokens routed there, by part", "tokens"),
    "group_above": (
        ("group", "layer", "threshold"),
        "sampled activations at least eps times the token's largest, by part",
        "activations",
    ),
    "group_zero": (("group", "layer"), "sampled exact zeros, by part", "activations"),
    "group_sampled": (("group", "layer"), "sampled activations, by part", "activations"),
}


def as_store(halves: list, blocks, options: dict) -> tuple[dict, dict]:
    """(arrays, coordinates) for ``store.write_store`` from the arrays of the two halves."""
    mixture = next((block for block in blocks if block.experts), None)
    arrays = {}
    for name, (dims, long_name, units) in UNITS.items():
        if ("expert_id" in dims and not mixture) or any(name not in half for half in halves):
            continue
        values = [half[name] for half in halves]
        values = np.stack(_padded(values) if "group" in dims else values)
        arrays[name] = (("half", *dims), values, {"long_name": long_name, "units": units})
    coords = {
        "half": np.array(["a", "b"]),
        "layer": np.arange(len(blocks)),
        "neuron": np.arange(max(ffn.sizes(blocks))),
        "top_k": np.asarray(options["top_k"], dtype=np.float64),
        "threshold": np.asarray(options["thresholds"], dtype=np.float64),
        "bin": bin_edges(),
    }
    if all("source" in half for half in halves):
        text = {"long_name": "source of the part's documents, empty where there are several", "units": "1"}
        coords["source"] = (("half", "group"), np.stack(_padded([half["source"] for half in halves])), text)
    if mixture:
        routed, neuron = mixture.routed, coords["neuron"]
        coords["expert_id"] = np.arange(mixture.experts)
        coords["expert"] = np.where(neuron < routed, neuron // mixture.width, -1)
        coords["unit"] = np.where(neuron < routed, neuron % mixture.width, neuron - routed)
    if ffn.mixed(blocks):
        for name, values, text in (
            ("layer_neurons", ffn.sizes(blocks), "neurons of the layer; the axis is as long as the widest"),
            ("layer_routed", [block.routed for block in blocks], "those of routed experts; 0: a dense layer"),
        ):
            coords[name] = (("layer",), np.array(values), {"long_name": text, "units": "neurons"})
    return arrays, coords


def _padded(parts: list) -> list:
    """Arrays with equally many parts: parts of no document, zeros or "", at the end of the shorter."""
    groups = max(len(part) for part in parts)
    rest = (np.zeros((groups - len(part), *part.shape[1:]), part.dtype) for part in parts)
    return [np.concatenate(pair) for pair in zip(parts, rest)]
