"""A small model of one's own: a byte-level BPE and a short pre-training on the training splits of all
domains.

For trends over width and for routing where no pretrained model is at hand; always labelled as such.
"""

import tempfile
from contextlib import nullcontext
from types import SimpleNamespace

import numpy as np

from . import batching, training
from .randomness import stream_seed


def train_tokenizer(texts: list[str], vocabulary: int, specials: list[str]):
    """A byte-level BPE with ``vocabulary`` entries, the special tokens first."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary,
        special_tokens=specials,
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    return tokenizer


def pretrain(
    network, tokenizer, records: list[dict], held_out: list[dict], template: dict, base: dict
) -> dict:
    """Train every weight on the records in the study's template, the prompt included.

    Returns losses in nats a token: "train", one a step, and "held_out", [step, loss] on records that are
    never trained on, at ten points and the end. A few hundred documents are soon known by heart: the second
    says when.
    """
    budget, seed = base["pretraining"], base["seed"]
    documents = _documents(tokenizer, records, template, budget["max_length"])
    unseen = _documents(tokenizer, held_out, template, budget["max_length"])
    lengths = [len(document.ids) for document in documents]
    plan = batching.training_batches(
        lengths, budget["steps"], budget["batch_size"], stream_seed(seed, "order")
    )
    batches = [batching.collate([documents[i] for i in batch]) for batch in plan]
    settings = {
        "steps": budget["steps"],
        "learning_rate": budget["learning_rate"],
        "warmup": max(1, budget["steps"] // 20),
        "weight_decay": 0.1,
        "clip": 1.0,
        "checkpoint_every": budget["steps"],
    }
    network.requires_grad_(True)
    method = EveryWeight(budget["learning_rate"], budget["steps"], unseen)
    with tempfile.TemporaryDirectory() as scratch:
        curve = training.optimise(network, method, batches, settings, scratch, stream_seed(seed, "dropout"))
    return {
        "train": [row["loss"] for row in curve],
        "held_out": method.held_out,
        "tokens": sum(batching.tokens(batch) for batch in batches),
        "passes": budget["steps"] * budget["batch_size"] / len(documents),
    }


def _documents(tokenizer, records, template, max_length) -> list:
    """Records in the template as documents whose every token counts, cut after ``max_length``."""
    before, between, after = (template.get(part, "") for part in ("before", "between", "after"))
    texts = [before + record["prompt"] + between + record["completion"] + after for record in records]
    encoded = [np.array(e.ids[:max_length], np.uint32) for e in tokenizer.encode_batch(texts)]
    return [SimpleNamespace(ids=ids, prompt=np.zeros(len(ids), bool)) for ids in encoded if len(ids) > 1]


def _nats(model, documents) -> float:
    """Mean loss in nats a token."""
    import torch

    from .losses import completion_nats

    total = count = 0
    with torch.no_grad():
        for batch in batching.sorted_batches([len(document.ids) for document in documents], 2048):
            nats, _ = completion_nats(model, batching.collate([documents[i] for i in batch]))
            total, count = total + float(nats.sum()), count + len(nats)
    return total / count


class EveryWeight:
    """The method of a model trained from scratch: every weight, nothing else. Answers what ``optimise``
    asks."""

    def __init__(self, learning_rate: float, steps: int, unseen: list):
        self.learning_rate = learning_rate
        self.every, self.steps, self.unseen = max(1, steps // 10), steps, unseen
        self.taken, self.held_out = 0, []

    def loss(self, model, batch, loss):
        return loss

    def gradients(self, model):
        pass

    def step(self, model):
        self.taken += 1
        if self.unseen and (self.taken % self.every == 0 or self.taken == self.steps):
            self.held_out.append([self.taken, round(_nats(model, self.unseen), 4)])

    def running(self, model):
        return nullcontext()
