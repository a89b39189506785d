"""Split documents -> token shards; tokens.py says what a shard is, and reads it."""

import json
import logging
from collections import Counter
from itertools import chain
from pathlib import Path

import numpy as np

from implicit_sparsity.errors import InputError
from implicit_sparsity.storage.files import new_folder, read_json, sha256, write_json

from .choice_baselines import baselines
from .encoding import Encoder, Options
from .records import read_jsonl
from .tokens import FILES, shard_name

log = logging.getLogger(__name__)


def tokenize(tokens, model, splits, options: dict) -> dict:
    """Write the folder ``tokens`` for a model's folder and a domain's splits folder; return the index."""
    try:
        chosen = Options(**options)
    except TypeError as error:
        raise InputError(f"tokens: {error}".replace("Options.__init__() ", "")) from None
    model, path = Path(model), Path(model) / "tokenizer.json"
    if not path.is_file():
        raise InputError("the model's folder has no tokenizer.json", path)
    encoder = Encoder(path, chosen)
    _log_bos(encoder)
    known = read_json(model / "manifest.json") if (model / "manifest.json").is_file() else {}
    index = {
        "tokenizer": {
            "name": known.get("name", model.name),
            "revision": known.get("revision"),
            "sha256": sha256(path),
        },
        "template": {part: chosen.template.get(part, "") for part in ("before", "between", "after")},
        "max_length": chosen.max_length,
        "min_completion": chosen.min_completion,
        "on_long": chosen.on_long,
        "dtype": "uint32",
        "vocab_size": encoder.vocab_size,
        "special_ids": encoder.tokenizer.control,
        "bos_ids": encoder.bos,
        "stop_ids": encoder.after,
        "template_tokens": {part: len(getattr(encoder, part)) for part in ("before", "between", "after")},
        "splits": {},
    }
    with new_folder(tokens) as folder:
        for source in sorted(Path(splits).glob("*.jsonl")):
            entry = _write_split(folder / source.stem, source, encoder)
            _check_cut(entry, f"{Path(splits).parent.name}: {source.stem}", chosen)
            _warn_of_texts(entry, f"{Path(splits).parent.name}: {source.stem}", chosen)
            index["splits"][source.stem] = entry
        if not index["splits"]:
            raise InputError("holds no split", splits)
        write_json(folder / "index.json", index)
    return index


def _write_split(folder: Path, source: Path, encoder: Encoder) -> dict:
    """Encode one split into its shards; return its entry of the index."""
    folder.mkdir()
    records, _ = read_jsonl(source)
    documents, dropped, cuts, texts = [], Counter(), Counter(), Counter()
    for record, (*ids, exact) in zip(records, encoder.encode(records), strict=True):
        encoded = encoder.fit(*ids)
        if encoded[-1] and encoder.options.on_long == "drop":
            dropped[record["source"]] += 1
        else:
            cuts[encoded[-1]] += 1
            texts["changed"] += not exact
            texts["ending"] += encoder.is_ended_by(record["completion"])
            documents.append((record, *encoded))
    with open(folder / "documents.jsonl", "w", encoding="utf-8", newline="\n") as file:
        file.writelines(json.dumps(_meta(*document), ensure_ascii=False) + "\n" for document in documents)
    shards = [documents[start:end] for start, end in _ranges(len(documents), encoder.options.shards)]
    files = [_write_shard(folder, number, shard) for number, shard in enumerate(shards)]
    shard_tokens = [sum(len(context) + len(completion) for _, context, completion, *_ in s) for s in shards]
    return {
        "documents": len(documents),
        "tokens": sum(shard_tokens),
        "dropped": dropped.total(),
        "dropped_by_source": dict(sorted(dropped.items())),
        "truncated": cuts.total() - cuts[""],
        "answers_cut": cuts["completion"],
        "texts_changed": texts["changed"],
        "ends_inside": texts["ending"],
        "shard_documents": [len(shard) for shard in shards],
        "shard_tokens": shard_tokens,
        "shards": files,
        "meta": {"documents.jsonl": sha256(folder / "documents.jsonl")},
    }


def _check_cut(entry: dict, what: str, options: Options):
    """A warning where documents are cut, a refusal where they are too many."""
    if not entry["truncated"]:
        return
    share, length = entry["truncated"] / entry["documents"], options.max_length
    if share > options.cut_at_most:
        raise InputError(
            f"{what}: {share:.2f} of the documents are cut at {length} tokens, more than "
            f"{options.cut_at_most:g}: raise tokens.max_length, lower max_chars of the sources, or set "
            "tokens.on_long: drop",
            key="tokens.cut_at_most",
        )
    log.warning(
        "%s: %d of %d documents are cut at %d tokens, %d of them lose the end of the completion",
        *(what, entry["truncated"], entry["documents"], length, entry["answers_cut"]),
    )


def _log_bos(encoder: Encoder):
    """A line on the token before every document, a warning where the template lacks one."""
    missing, begin = encoder.tokenizer.chat_bos, encoder.options.template.get("before", "")
    if encoder.bos:
        names = " ".join(map(encoder.tokenizer.name, encoder.bos))
        log.info("%s stands before every document, as the model's own tokenizer puts it", names)
    elif missing and not begin.startswith(missing):
        log.warning(
            "the model's chat template writes bos_token, %s: its tokenizer puts none before a text, and "
            "tokens.template.before does not begin with it",
            missing,
        )


def _warn_of_texts(entry: dict, what: str, options: Options):
    """A warning where the ids are not the texts, or a text has the template's end in it."""
    if changed := entry["texts_changed"]:
        log.warning(
            "%s: %d of %d documents have text that the tokenizer does not give back (unknown characters, "
            "or what its normalizer changes)",
            *(what, changed, entry["documents"]),
        )
    if inside := entry["ends_inside"]:
        log.warning(
            "%s: %d of %d completions have %r inside, which is no single token: a generated answer ends at "
            "the first one. Choose a tokens.template.after that no document has",
            *(what, inside, entry["documents"], options.template["after"]),
        )


def _meta(record: dict, context: list, completion: list, stop: int, choices: list, cut: str) -> dict:
    line = {key: record[key] for key in ("id", "group", "source")}
    line |= {"tokens": len(context) + len(completion), "stop": stop}
    if choices:
        line["choices"] = choices
        known = record.get("correct")
        line["correct"] = record["choices"].index(record["answer"]) if known is None else known
        line["baselines"] = baselines(record["prompt"], record["choices"], line["correct"])
    if "answer" in record:
        line["answer"] = record["answer"]
    if cut:
        line["cut"] = cut
    return line


def _ranges(count: int, shards: int) -> list[tuple[int, int]]:
    """``shards`` contiguous ranges over ``count`` documents, their sizes differing by at most one."""
    return [(count * i // shards, count * (i + 1) // shards) for i in range(shards)]


def _write_shard(folder: Path, number: int, shard: list[tuple]) -> dict[str, str]:
    parts = [(context, completion) for _, context, completion, *_ in shard]
    lengths = [len(context) + len(completion) for context, completion in parts]
    mask = chain.from_iterable([1] * len(context) + [0] * len(completion) for context, completion in parts)
    arrays = {
        "tokens": [token for context, completion in parts for token in chain(context, completion)],
        "offsets": np.cumsum([0, *lengths]),
        "prompt": list(mask),
    }
    result = {}
    for part, dtype in FILES.items():
        path = folder / shard_name(number, part)
        np.asarray(arrays[part], dtype=dtype).tofile(path)
        result[path.name] = sha256(path)
    return result
