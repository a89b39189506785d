"""A small tokenizer, and documents encoded with it by the workflow's own job."""

import json

import numpy as np
from corpora_samples import WORDS
from tokenize_domain import tokenize_domain

from implicit_sparsity.corpora.records import write_jsonl
from implicit_sparsity.corpora.tokens import Tokens

TEMPLATE = {"before": "<|user|>", "between": "<|end|>\n<|bot|>", "after": "<|end|>"}
OPTIONS = {"template": TEMPLATE, "max_length": 64, "min_completion": 16, "shards": 3, "on_long": "truncate"}


def make_model(folder):
    """A folder with a small byte-level BPE tokenizer that would truncate, pad and add a token if left to."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    special = ["<|pad|>", "<|user|>", "<|bot|>", "<|end|>"]
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=600, special_tokens=special, initial_alphabet=alphabet, show_progress=False
    )
    tokenizer.train_from_iterator([" ".join(WORDS)] * 3, trainer)
    tokenizer.enable_truncation(8)
    tokenizer.enable_padding(length=128)
    tokenizer.post_processor = processors.TemplateProcessing("<|pad|> $A", special_tokens=[("<|pad|>", 0)])
    tokenizer.save(str(folder / "tokenizer.json"))
    (folder / "manifest.json").write_text(json.dumps({"name": "nano", "revision": "abc"}))
    return folder


def text_of(model, ids):
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(model / "tokenizer.json"))
    return tokenizer.decode(np.asarray(ids).tolist(), skip_special_tokens=False)


def write(folder, **splits):
    folder.mkdir(exist_ok=True)
    for name, records in splits.items():
        write_jsonl(folder / f"{name}.jsonl", records)
    return folder


def encoded(tmp_path, model, records, **options):
    splits = write(tmp_path / "splits", train=records)
    tokenize_domain(str(tmp_path / "tokens"), str(model), str(splits), OPTIONS | options)
    return Tokens(tmp_path / "tokens")
