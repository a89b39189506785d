"""A small model of one's own: a byte-level BPE and a short pre-training on the training splits of all
domains.

For trends over width and for routing where no pretrained model is at hand; always labelled as such.
"""

import json
import sys
import tempfile
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

from implicit_sparsity.corpora.encoding import Encoder, Options
from implicit_sparsity.models import batching, loading
from implicit_sparsity.models.losses import completion_nats
from implicit_sparsity.provenance import identity
from implicit_sparsity.randomness import stream_seed

from . import fit


def train_tokenizer(texts: list[str], vocabulary: int, specials: list[str]):
    """A byte-level BPE with ``vocabulary`` entries, the special tokens first."""
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


def pretrain(network, encoder: Encoder, records: list[dict], held_out: list[dict], base: dict) -> dict:
    """Train every weight on the records in the study's template, the prompt included.

    Returns losses in nats a token: "train", one a step, and "held_out", [step, loss] on records that are
    never trained on, at ten points and the end. A few hundred documents are soon known by heart: the second
    says when.
    """
    budget, seed = base["pretraining"], base["seed"]
    documents = _documents(encoder, records, budget["max_length"])
    unseen = _documents(encoder, held_out, budget["max_length"])
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
        curve = fit.optimise(network, method, batches, settings, scratch, stream_seed(seed, "dropout"))
    return {
        "train": [row["loss"] for row in curve],
        "held_out": method.held_out,
        "tokens": sum(batching.tokens(batch) for batch in batches),
        "passes": budget["steps"] * budget["batch_size"] / len(documents),
    }


def _documents(encoder: Encoder, records: list[dict], max_length: int) -> list:
    """Records in the template as documents whose every token counts, cut after ``max_length``."""
    result = []
    for prompt, completion, *_ in encoder.encode(records):
        ids = [*encoder.before, *prompt, *encoder.between, *completion, *encoder.after][:max_length]
        result.append(SimpleNamespace(ids=np.array(ids, np.uint32), prompt=np.zeros(len(ids), bool)))
    return [document for document in result if len(document.ids) > 1]


def _nats(model, documents) -> float:
    """Mean loss in nats a token."""
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


def from_scratch(folder, base: dict, splits, template: dict) -> dict:
    """Fill ``folder`` with a model of the entry ``base``, trained here; returns what it says of itself."""
    records, held_out = _records(splits, "train"), _records(splits, "select")
    texts = [f"{r['prompt']}\n{r['completion']}" for r in records]
    specials = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
    tokenizer = train_tokenizer(texts, base["vocabulary"], specials)
    end = tokenizer.token_to_id("<|im_end|>")
    config = {"vocab_size": tokenizer.get_vocab_size(), "eos_token_id": end, "pad_token_id": end}
    config |= base["config"]
    network = loading.create(config, base["seed"])
    loading.save_tokenizer(tokenizer, folder, "<|im_end|>")
    options = Options(template, max_length=sys.maxsize)  # no document is cut
    encoder = Encoder(Path(folder) / "tokenizer.json", options)
    history = pretrain(network, encoder, records, held_out, base)
    network.save_pretrained(str(folder))
    return {
        "revision": f"scratch-{identity.folder_digest(folder, '*.safetensors')[:12]}",
        "note": (
            f"trained from scratch here, {len(history['train'])} steps and {history['tokens']} tokens "
            f"({history['passes']:.1f} passes over {len(records)} documents): no pretrained model"
        ),
        "parameters": network.num_parameters(),
        "pretraining_loss": [history["train"][0], history["train"][-1]],
        "held_out_loss": history["held_out"],  # on the split that never measures: [step, nats a token]
    }


def _records(splits, name: str) -> list[dict]:
    """The documents of one split of every domain, in the order of the config."""
    records = []
    for folder in splits:
        with open(Path(folder) / f"{name}.jsonl", encoding="utf-8") as file:
            records += [json.loads(line) for line in file]
    return records
