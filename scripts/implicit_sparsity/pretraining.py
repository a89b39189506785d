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


def pretrain(network, tokenizer, records: list[dict], template: dict, base: dict) -> list[float]:
    """Train every weight on the records in the study's template, the prompt included; returns the loss of
    each step."""
    budget, seed = base["pretraining"], base["seed"]
    before, between, after = (template.get(part, "") for part in ("before", "between", "after"))
    texts = [before + record["prompt"] + between + record["completion"] + after for record in records]
    encoded = [np.array(e.ids[: budget["max_length"]], np.uint32) for e in tokenizer.encode_batch(texts)]
    documents = [SimpleNamespace(ids=ids, prompt=np.zeros(len(ids), bool)) for ids in encoded if len(ids) > 1]
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
    method = EveryWeight(budget["learning_rate"])
    with tempfile.TemporaryDirectory() as scratch:
        curve = training.optimise(network, method, batches, settings, scratch, stream_seed(seed, "dropout"))
    return [row["loss"] for row in curve]


class EveryWeight:
    """The method of a model trained from scratch: every weight, nothing else. Answers what ``optimise``
    asks."""

    def __init__(self, learning_rate: float):
        self.learning_rate = learning_rate

    def loss(self, model, batch, loss):
        return loss

    def gradients(self, model):
        pass

    step = gradients

    def running(self, model):
        return nullcontext()
