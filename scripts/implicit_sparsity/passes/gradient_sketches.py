"""Gradients of single documents' losses, sketched per adapted weight: small, inner products unbiased.

A LoRA with a fixed A of independent N(0, 1/r) entries and B = 0 leaves the network as it is, and the
gradient of B is ``G A'``, G [o, i] the gradient of the weight itself. Each of its r columns is a CountSketch
(Charikar, Chen & Farach-Colton 2002) of dim / r buckets, hash and sign seeded by weight. Over A and the
hashes, ``<s(G), s(H)>`` has mean ``<G, H>`` and, with M = G'H, a variance of

    (|M|^2 + tr M^2) / r + (|G|^2 |H|^2 + 2 tr(G'G H'H) + <G, H>^2 + |M|^2 + tr M^2) / dim   at most.

The first term is what A costs: gradients of one document are sums of few outer products, so r counts, not
dim alone. Columns do not share buckets, so that leaving one out tells how far the sketch is off (jackknife).
Shapes: X experts or 1, o output width, r rank, i input width.
"""

import re
from contextlib import ExitStack

import numpy as np
import torch

from implicit_sparsity.corpora.tokens import CONTENT
from implicit_sparsity.errors import InputError
from implicit_sparsity.models import adapters, forward, lowrank
from implicit_sparsity.models.batching import collate, label_parts, to_device
from implicit_sparsity.models.hooks.routing import SteadyRouting
from implicit_sparsity.models.losses import completion_nats
from implicit_sparsity.models.weight_names import ROUTER
from implicit_sparsity.randomness import stream_seed

from . import document_groups
from .reference_documents import first_documents

SEED = 0  # one projection for all models, checkpoints and domains, so that their gradients can be compared
KINDS = {  # kind of weight -> what its name contains, the first that fits
    "shared_expert": re.compile(r"\.shared_expert"),
    "experts": re.compile(r"\.experts\."),
    "router": ROUTER,
    "deltanet": re.compile(r"\.linear_attn\."),
    "attention": re.compile(r"\.self_attn\."),
    "ffn": re.compile(r"\.mlp\."),
}
COUNTED = {  # which tokens of a document its loss is of, as bool [completion tokens]
    "content": lambda document: label_parts([document]) == CONTENT,
    "completion": lambda document: np.ones(len(label_parts([document])), bool),
}


def kind_of(name: str) -> str:
    """The kind of an adapted weight by its name: one of KINDS."""
    for kind, part in KINDS.items():
        if part.search(name):
            return kind
    raise InputError(f"{name} is neither attention nor Gated DeltaNet nor feed-forward")


def layer_of(name: str) -> int:
    """The number of the decoder layer that an adapted weight is in."""
    return int(re.search(r"\blayers\.(\d+)\.", name)[1])


def attach(model, rank: int, seed: int = SEED):
    """The model with the probing LoRA on every linear layer, expert and router; B alone has a gradient.

    An earlier stage's adapter (``adapters.with_adapter``) stays at work. Where it is beside the weights of a
    mixture, routers are probed only if it adapts them: PEFT wants both to have the same bare parameters.
    """
    earlier = getattr(model, "peft_config", {}).get(adapters.EARLIER)
    bare = getattr(earlier, "target_parameters", None)
    router = adapters.is_mixture(model) and (not bare or any(ROUTER.search(f".{name}") for name in bare))
    model = adapters.add_lora(model, rank, float(rank), router=router)
    for name, factor in lowrank.factors(model).items():
        a, b = factor.weights
        a.data.copy_(projection(name, tuple(a.shape), rank, seed))
        b.data.zero_()
        a.requires_grad_(False)
    return model.eval()


def projection(name: str, shape: tuple, rank: int, seed: int = SEED):
    """A of one weight, float32 of ``shape``: N(0, 1/rank), so that A'A is the identity on average."""
    generator = torch.Generator().manual_seed(stream_seed(seed, "gradients", name, "projection"))
    return torch.randn(shape, generator=generator) / rank**0.5


class Sketch:
    """CountSketches of ``G A'`` of one weight: [X, o, r] -> [dim]."""

    def __init__(self, name: str, rows: int, rank: int, dim: int, device=None, seed: int = SEED):
        """rows: X * o. A row's code is its bucket, plus ``dim`` where its sign is negative."""
        generator = torch.Generator().manual_seed(stream_seed(seed, "gradients", name, "hash"))
        buckets, size = dim // rank, (rank, rows)
        code = torch.randint(0, buckets, size, generator=generator, dtype=torch.int32)
        code += torch.arange(rank, dtype=torch.int32)[:, None] * buckets
        code += torch.randint(0, 2, size, generator=generator, dtype=torch.int32) * dim
        self.dim, self.code = dim, code.flatten().to(device)

    def __call__(self, gradient):
        values = gradient.flatten(0, 1).T.flatten().float()
        both = torch.zeros(2 * self.dim, device=values.device).index_add_(0, self.code, values)
        return both[: self.dim] - both[self.dim :]


class GradientSketcher:
    """Sketches of the gradient of the mean loss of the ``tokens`` (one of COUNTED), one document at a time.

    ``checkpointing``: keep each layer's input only and compute the layer again in the backward pass.
    """

    def __init__(self, model, rank: int, dim: int, checkpointing: bool = False, tokens: str = "content"):
        if dim % rank:
            raise InputError(f"dim = {dim} is no multiple of rank = {rank}", key="probes.gradients.dim")
        self.model, self.checkpointing, self.tokens = attach(model, rank), checkpointing, tokens
        self.factors = lowrank.factors(self.model)
        self.names = list(self.factors)
        self.sketches = {}
        for name, factor in self.factors.items():
            _, b = factor.views
            self.sketches[name] = Sketch(name, b.shape[0] * b.shape[1], rank, dim, b.device)

    def documents(self, documents, progress=iter):
        """Yield (sketch float32 [module, dim], norm of G A' float32 [module], loss in nats) of each."""
        with ExitStack() as stack:
            routing = None
            if self.checkpointing:  # transformers computes a layer again in training mode alone
                routing = stack.enter_context(SteadyRouting(self.model).holding())
                forward.checkpoint_gradients(self.model, routing.contexts)
                stack.callback(forward.keep_gradients, self.model)
                self.model.train()
                stack.callback(self.model.eval)
            for document in progress(documents):
                if routing:
                    routing.forget()
                yield self._one(document)

    def _one(self, document):
        self.model.zero_grad(set_to_none=True)
        device = next(self.model.parameters()).device
        nats, _ = completion_nats(self.model, to_device(collate([document]), device))
        loss = nats[torch.from_numpy(COUNTED[self.tokens](document)).to(nats.device)].mean()
        loss.backward()
        sketches, norms = [], []
        for name, factor in self.factors.items():
            a, b = factor.weights
            gradient = torch.zeros_like(b) if b.grad is None else b.grad  # an expert layer that none reached
            gradient = factor.shaped(a, gradient)[1]
            sketches.append(self.sketches[name](gradient))
            norms.append(gradient.float().norm())
        sketch, norm = torch.stack(sketches).cpu().numpy(), torch.stack(norms).cpu().numpy()
        if not np.isfinite(sketch).all():
            bad = self.names[int(np.flatnonzero(~np.isfinite(sketch).all(axis=1))[0])]
            raise InputError(f"the gradient of {bad} is not finite in document {document.meta.get('id')}")
        return sketch, norm, loss.item()


META = {"document_id": "id", "group": "group", "source": "source"}  # coordinate of a document: in its line


def measure_half(sketcher, split, count: int, progress=iter, path=None) -> dict:
    """Arrays of one half of a domain's documents that have tokens that count; see ``as_store``."""
    documents = first_documents(
        split,
        count,
        "probes.gradients.documents",
        path,
        wanted=lambda document: COUNTED[sketcher.tokens](document).any(),
        what=f"{sketcher.tokens} tokens",
        order=document_groups.by_content,
    )
    sketches, norms, losses = zip(*sketcher.documents(documents, progress), strict=True)
    return {
        "sketch": np.stack(sketches),
        "norm": np.stack(norms),
        "loss": np.array(losses),
        **{name: np.array([document.meta[key] for document in documents]) for name, key in META.items()},
    }


def as_store(halves: list, names: list[str], rank: int, tokens: str) -> tuple[dict, dict]:
    """(arrays, coordinates) for ``store.write_store`` from the arrays of the two halves."""
    both = {name: np.stack([half[name] for half in halves]) for name in halves[0]}
    dim, dims = both["sketch"].shape[-1], ("half", "document", "module")
    gradient = f"of the gradient of the document's mean {tokens} loss"
    arrays = {
        "sketch": ((*dims, "dim"), both["sketch"], {"long_name": f"sketch {gradient}", "units": "nats"}),
        "norm": (dims, both["norm"], {"long_name": f"norm, before hashing, {gradient}", "units": "nats"}),
        "loss": (dims[:2], both["loss"], {"long_name": f"mean {tokens} loss", "units": "nats"}),
    }
    metadata = {
        "module": "adapted weight",
        "layer": "index of the decoder layer, from 0",
        "kind": "kind of weight",
    }
    columns = {"module": names, "layer": map(layer_of, names), "kind": map(kind_of, names)}
    coords = {
        name: (("module",), np.array(list(values)), {"long_name": metadata[name], "units": "1"})
        for name, values in columns.items()
    }
    for name, key in META.items():
        words = {"long_name": f"{key} of the document", "units": "1"}
        coords[name] = (dims[:2], both[name], words)
    column = {"long_name": "column of the projection that the number is a sketch of", "units": "1"}
    coords["column"] = (("dim",), np.repeat(np.arange(rank), dim // rank), column)
    return arrays, coords | {"half": np.array(["a", "b"])}
