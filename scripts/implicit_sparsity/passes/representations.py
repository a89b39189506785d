"""A network on the reference documents: hidden states, router inputs and what the head is given.

The reference set is fixed: the first documents of each domain's first probe half, and of each at most
``positions`` evenly spaced tokens. Networks are observed one after another and leave behind what is compared.

Shapes: D documents of a domain, n sampled positions of all of them, L layers, H hidden width, C completion
tokens, V vocabulary, k experts of a token.
"""

import copy
from dataclasses import dataclass

import numpy as np
import torch

from implicit_sparsity.errors import InputError
from implicit_sparsity.metrics import clusters
from implicit_sparsity.models import forward, loading, losses
from implicit_sparsity.models.batching import collate, completion_tokens, sorted_batches, to_device
from implicit_sparsity.models.ffn import feed_forwards
from implicit_sparsity.models.hooks.watching import module_inputs

from . import document_groups
from .reference_documents import counting, evenly, first_documents


@dataclass(frozen=True)
class Reference:
    """The reference documents of one domain."""

    documents: list  # tokens.Document
    positions: list  # of each document, the sampled positions, ascending

    @property
    def place(self) -> np.ndarray:
        """The number of each document's group, int [D]."""
        return clusters.places(document_groups.names(self.documents))

    @property
    def group(self) -> np.ndarray:
        """The number of the group that each sampled position's document is of, int [n]."""
        return self.place[self.owner]

    @property
    def owner(self) -> np.ndarray:
        """The document of each sampled position, int [n]."""
        return np.repeat(np.arange(len(self.positions)), [len(p) for p in self.positions])


@dataclass
class Observed:
    """What one network did with the reference documents of one domain. Arrays are float32."""

    hidden: np.ndarray  # [L, n, H], what each layer hands on
    routed: np.ndarray  # [L, n, H], inputs of the routers; [0, n, H] in a dense network
    last: object  # tensor [C, H], inputs of the head where a completion token follows
    shared: np.ndarray  # [2, L, n], the shared expert's share, see ``shared_shares``


def reference(split, special_ids, options: dict, path=None) -> Reference:
    """The first ``options["documents"]`` documents that have a token that counts and a completion.

    Special tokens and the first ``skip_first`` of a document do not count, as in the activation pass.
    """

    def places(document):
        return np.flatnonzero(counting(document.ids, special_ids, options["skip_first"]))

    documents = first_documents(
        split,
        options["documents"],
        "probes.drift.documents",
        path,
        wanted=lambda document: len(places(document)) and completion_tokens(document),
    )
    return Reference(documents, [evenly(places(document), options["positions"]) for document in documents])


def observe(model, domain: Reference, batch_tokens: int) -> Observed:
    """Run the network on the reference documents of a domain, head left out."""
    layers, device = forward.decoder(model).layers, next(model.parameters()).device
    blocks = [block for block in feed_forwards(model) if block.experts]
    rows = len(domain.owner)
    width = forward.base_network(model).config.get_text_config().hidden_size
    hidden, routed = (np.empty((count, rows, width), np.float32) for count in (len(layers), len(blocks)))
    starts = np.cumsum([0, *map(len, domain.positions)])
    last, here = [None] * len(domain.documents), {}
    modules = {("hidden", i - 1): layer for i, layer in enumerate(layers) if i}
    modules["hidden", len(layers) - 1] = forward.last_norm(model)
    modules |= {("routed", i): block.router for i, block in enumerate(blocks)}

    def keep(name, x):
        kind, i = name
        x = x.detach().reshape(*here["shape"], -1)[here["sequence"], here["position"]]
        (hidden if kind == "hidden" else routed)[i, here["rows"]] = x.float().cpu().numpy()

    with torch.inference_mode(), module_inputs(modules, keep):
        for batch in sorted_batches([len(d.ids) for d in domain.documents], batch_tokens):
            tensors = to_device(collate([domain.documents[i] for i in batch]), device)
            taken = [domain.positions[i] for i in batch]
            here["shape"] = tuple(tensors["input_ids"].shape)
            here["sequence"] = np.repeat(np.arange(len(batch)), [len(p) for p in taken])
            here["position"] = np.concatenate(taken)
            here["rows"] = np.concatenate([np.arange(starts[i], starts[i + 1]) for i in batch])
            states = forward.hidden_states(model, **forward.inputs(tensors))
            wanted = tensors["labels"].to(states.device) != -100
            for row, i in enumerate(batch):
                last[i] = states[row][wanted[row]].cpu()
    _refuse_undefined(hidden, routed, torch.cat(last).float().numpy())
    return Observed(hidden, routed, torch.cat(last), shared_shares(model, blocks, routed))


def _refuse_undefined(hidden, routed, last):
    for layer, states in enumerate(hidden):
        if not np.isfinite(states).all():
            raise InputError(f"hidden states of layer {layer} are not finite")
    if not (np.isfinite(routed).all() and np.isfinite(last).all()):
        raise InputError("hidden states are not finite")


def head(model):
    """The language-model head on its own, beside the GPU, to be asked when the network has gone."""
    return copy.deepcopy(forward.head(model)).to("cpu")


def divergences(old, old_states, new, new_states) -> np.ndarray:
    """KL(old || new) in nats at each position, float64 [C]: exact over the vocabulary, some rows at a time.

    old, new: heads; their states ``[C, H]``.
    """
    at_once = max(1, losses.LOGITS_AT_ONCE // (4 * old.weight.shape[0]))
    for head in (old, new):
        head.to(loading.default_device())
    parts = []
    with torch.inference_mode():
        for p, q in zip(old_states.split(at_once), new_states.split(at_once), strict=True):
            p, q = (
                torch.log_softmax(head(x.to(head.weight)).float(), -1) for head, x in ((old, p), (new, q))
            )
            parts.append((p.exp() * (p - q)).sum(-1).double().cpu())
    return torch.cat(parts).clamp_min(0).numpy()  # rounding alone makes it negative


def routers(model) -> dict:
    """{layer: router} of a mixture on their own, adapters included; none of a dense network."""
    blocks = (block for block in feed_forwards(model) if block.experts)
    return {block.layer: copy.deepcopy(block.router).to("cpu") for block in blocks}


def choices(router, states) -> np.ndarray:
    """Which experts a router gives ``states [n, H]``, bool ``[n, experts]``."""
    weight = next(p for name, p in router.named_parameters() if "lora_" not in name)
    autocast = torch.autocast(weight.device.type, torch.bfloat16, enabled=weight.dtype == torch.bfloat16)
    with torch.inference_mode(), autocast:
        x = torch.from_numpy(states).to(weight.device, weight.dtype)
        logits, _, chosen = router(x)
    return torch.zeros(logits.shape, dtype=torch.bool).scatter_(1, chosen.cpu(), True).numpy()


def shared_shares(model, blocks, routed) -> np.ndarray:
    """How much of a mixture's output is the shared expert's, float32 ``[2, L, n]``; s: its part, r: the rest.

    ``|s| / (|s| + |r|)``, between 0 and 1 whatever the directions; ``s.(s + r) / |s + r|^2``, which adds up
    to 1 with the routed experts' and is negative where the shared expert works against them. NaN where there
    is none.
    """
    result = np.empty((2, *routed.shape[:2]), np.float32)
    with torch.inference_mode(), forward.arithmetic(model):
        for i, block in enumerate(blocks):
            if not block.shared:
                result[:, i] = np.nan
                continue
            x = torch.from_numpy(routed[i]).to(next(block.dense.mlp.parameters()).device)
            x = x.to(forward.base_network(model).get_input_embeddings().weight.dtype)
            whole = block.mlp(x.unsqueeze(0)).squeeze(0).double()
            shared = block.dense.mlp(x)
            if hasattr(block.mlp, "shared_expert_gate"):
                shared = torch.sigmoid(block.mlp.shared_expert_gate(x)) * shared
            shared = shared.double()
            sizes = shared.norm(dim=-1), (whole - shared).norm(dim=-1)
            result[0, i] = (sizes[0] / (sizes[0] + sizes[1])).cpu()
            result[1, i] = ((shared * whole).sum(-1) / whole.square().sum(-1)).cpu()
    return result
