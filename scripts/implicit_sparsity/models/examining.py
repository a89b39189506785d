"""The examination of a model, once, when it is prepared: what would fail later, or give wrong numbers, is
refused now, in one line that names the file and the key.

First what is small (names, JSON, the tokenizer), then the headers of the weights against the network that the
configuration describes, then every number. docs/footguns.md says what is refused and what is let pass.
"""

import logging
import re

import numpy as np

from implicit_sparsity.corpora import control_tokens, tokenizer
from implicit_sparsity.errors import InputError, first_line
from implicit_sparsity.storage import model_folder
from implicit_sparsity.storage.model_folder import CONFIG, TOKENIZER, ModelFolder

from . import families, loading, weight_files
from .loading import GENERATION
from .weight_values import check_values

log = logging.getLogger(__name__)
ROWS = ("embed_tokens.weight", "lm_head.weight")  # a row of these is an entry of the vocabulary
IN_A_LAYER = re.compile(r"(^|\.)layers\.\d+\.")


def small_files(folder: ModelFolder) -> None:
    """What can be seen before any weights come."""
    _vocabulary(folder, model_folder.rows(_settings(folder)))


def examine(folder: ModelFolder) -> dict:
    """The whole examination of a prepared folder; returns what its manifest keeps of it.

    A ``generation_config.json`` that transformers cannot read goes: nothing here reads it.
    """
    _settings(folder)
    left_out = _generation(folder)
    files = weight_files.named(folder, folder.names())
    opened = weight_files.check_headers(folder, files)
    network, unused = _network(folder)
    rows = network.get_input_embeddings().weight.shape[0]
    vocabulary = _vocabulary(folder, rows)
    _check_tied(folder, network, opened)
    tensors = [(name, file) for file, held in opened.items() for name in held]
    return {
        "architecture": type(network).__name__,
        "positions": model_folder.positions(network.config.to_dict()),
        "embedding_rows": rows,
        **vocabulary,
        "files": len(files),
        "tensors": len(tensors),
        "types": sorted({opened[file].kind(name) for name, file in tensors}),
        "unused": unused,
        "left_out": left_out,
        "finite": True,
        "zero": check_values(folder, opened),
    }


def _settings(folder: ModelFolder) -> dict:
    """The configuration, of a family that is known; the tokenizer's settings are JSON as well."""
    config = folder.config()
    families.of(config, path=folder.where(CONFIG))
    for name in sorted(folder.names().intersection(control_tokens.BESIDE)):
        folder.json(name)
    return config


def _vocabulary(folder: ModelFolder, rows: int | None) -> dict:
    """A tokenizer smaller than the embedding is fine: rows are often padded to a round number.

    A larger one is not where a piece of its own vocabulary, which any text may hold, has no row. Tokens that
    were added beyond may never occur, such as an image's or a padding token: they are listed, and refused by
    ``corpora.encoding`` once a template or a text has one.
    """
    folder.check_file(TOKENIZER)
    try:
        known = tokenizer.load(folder.path / TOKENIZER).template
    except Exception as error:  # the library's bare Exception, and whatever nonsense beside it leads to
        words = f"is not a tokenizer, with the settings beside it: {first_line(error)}"
        raise folder.refuse(words, TOKENIZER) from error
    added = {number: token.content for number, token in known.get_added_tokens_decoder().items()}
    learned = known.get_vocab(with_added_tokens=False).values()
    highest = max([*learned, *added], default=-1)
    piece = max((number for number in learned if number not in added), default=-1)
    if rows is not None and piece >= rows:
        words = f"has token ids up to {piece}, the embedding {rows} rows (vocab_size): of another model?"
        raise folder.refuse(words, TOKENIZER, "model.vocab")
    beyond = [added[number] for number in sorted(added) if rows is not None and number >= rows]
    if beyond:
        log.warning(
            "%s: %d added tokens have no row in the embedding, first %r", TOKENIZER, len(beyond), beyond[0]
        )
    return {"highest_token_id": highest, "tokens_beyond_embedding": beyond}


def _generation(folder: ModelFolder) -> dict:
    """{file: why it was left out}."""
    fault = loading.generation_fault(folder.path)
    if fault:
        log.warning("%s is left out: %s", GENERATION, fault)
        (folder.path / GENERATION).unlink()
    return {GENERATION: fault} if fault else {}


def _network(folder: ModelFolder):
    """(the network without its numbers, names of stored tensors that it has no use for)."""
    try:
        network, report = loading.without_numbers(folder.path)
    except InputError:
        raise
    except Exception as error:  # transformers', huggingface_hub's and torch's, of any type
        raise folder.refuse(f"transformers cannot make this model: {first_line(error)}", CONFIG) from error
    if missing := sorted(report["missing_keys"]):
        raise folder.refuse(f"has no weights for {missing[0]} ({len(missing)} are missing)")
    if mismatched := sorted(report["mismatched_keys"]):
        name, stored, expected = mismatched[0]
        words = f"has the shape {list(stored)}, and {CONFIG} makes it {list(expected)}"
        rows = name.endswith(ROWS) and stored[0] != expected[0]
        why = f"vocab_size {expected[0]}, an embedding or head of {stored[0]} rows; " if rows else ""
        raise folder.refuse(f"{words} ({why}{len(mismatched)} differ)", key=name)
    if report["error_msgs"]:
        raise folder.refuse(f"transformers cannot load the weights: {first_line(report['error_msgs'])}")
    unused = sorted(report["unexpected_keys"])
    if inside := [name for name in unused if IN_A_LAYER.search(name)]:
        words = f"is stored, and {CONFIG} has no place for it ({len(inside)} such tensors)"
        raise folder.refuse(words, key=inside[0])
    return network, unused


def _check_tied(folder: ModelFolder, network, opened) -> None:
    """A head that is stored beside the embedding that it is tied to has the same numbers."""
    if not getattr(network.config.get_text_config(), "tie_word_embeddings", False):
        return
    pair = [[(held, n) for held in opened.values() for n in held if n.endswith(end)] for end in ROWS]
    if all(len(places) == 1 for places in pair):
        (embedding, first), (head, second) = (places[0] for places in pair)
        same = embedding.shape(first) == head.shape(second) and all(
            np.array_equal(embedding.part(first, rows), head.part(second, rows))
            for rows in _parts(embedding.shape(first)[0])
        )
        if not same:
            words = f"is true, but {second} is stored and differs from {first}: say false"
            raise folder.refuse(words, CONFIG, "tie_word_embeddings")


def _parts(count: int, size: int = 4096):
    return (slice(start, start + size) for start in range(0, count, size))
