"""Which tokens of a tokenizer.json are control tokens, and the file rewritten so that no text is one.

A control token begins or ends a turn, or is a special token of another kind. It is one of

* an added token that is special, is named in tokenizer_config.json or special_tokens_map.json, is used by the
  template, or stands in brackets (``<tool_call>``, ``[INST]``, ``<|eot|>``); blanks are not, unless special;
* an entry of the model's own vocabulary that has the name of a special token (``</s>``, ``<pad>``, ``[SEP]``,
  ``<|eot|>``), or stands in brackets and is named in those files or occurs in the template.

``about``: what stands in a tokenizer.json. All functions leave it as it is.
"""

import re
from copy import deepcopy
from pathlib import Path

from implicit_sparsity.errors import InputError
from implicit_sparsity.storage.files import read_json

BLANKS = "\u2581\u0120\u010a \t\r\n"  # as they are, and as tokenizers write them
BRACKETS = re.compile(rf"[{BLANKS}]*[<\[{{｜|«‹〈⟨【].*\w.*[>\]}}｜|»›〉⟩】][{BLANKS}]*", re.DOTALL)
SPECIAL = re.compile(
    r"<\|.*\w.*\|>|<｜.*\w.*｜>|</?s>|\[(CLS|SEP|PAD|UNK|MASK|BOS|EOS|/?INST)\]"
    r"|<(unk|pad|bos|eos|cls|sep|mask|eot|eod|endoftext|start_of_turn|end_of_turn)>"
)
BESIDE = ("tokenizer_config.json", "special_tokens_map.json", "added_tokens.json")
BYTE = re.compile(r"<0x[0-9A-F]{2}>")  # of a character that the vocabulary lacks: never a control token
HIDDEN = "\U0010fffd{}\U0010fffd"  # the name of a token that no text has: of a plane for private use
FLAGS = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}


def with_config(about: dict, folder) -> tuple[dict, set, dict]:
    """(``about`` with the added tokens that only the files beside it list, names of special tokens, the
    content of tokenizer_config.json)."""
    config, special, plain = (_read(Path(folder) / name) for name in BESIDE)
    try:
        listed = {int(number): {"content": name} for name, number in plain.items()}
        listed |= {int(number): dict(token) for number, token in _decoder(config).items()}
        names = _names(config) | _names(special)
        about = about | {"added_tokens": _with_listed(about, listed)}
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise InputError(
            f"{', '.join(BESIDE)}: tokens in a form that is not known ({error})", folder
        ) from None
    return about, names, config


def _with_listed(about: dict, listed: dict) -> list[dict]:
    added, entries = list(about["added_tokens"]), vocabulary(about)
    taken = {token["id"] for token in added}
    for number, token in sorted(listed.items()):
        # another place than the next free one it cannot have, here as in transformers
        free = 1 + max([*entries.values(), *taken], default=-1)
        if number not in taken and entries.get(token["content"], free) == number:
            added.append(FLAGS | {"special": False} | token | {"id": number})
            taken.add(number)
    return added


def _read(path: Path) -> dict:
    content = read_json(path) if path.is_file() else {}
    if not isinstance(content, dict):
        raise InputError("is no JSON object", path)
    return content


def _decoder(config: dict) -> dict:
    return config.get("added_tokens_decoder") or {}


def _names(config: dict) -> set[str]:
    """Contents of the special tokens that such a file names."""
    names = set()
    for key, value in config.items():
        if key.endswith(("_token", "special_tokens")):
            values = list(value.values()) if isinstance(value, dict) and "content" not in value else value
            for token in values if isinstance(values, list) else [values]:
                names.add(token.get("content") if isinstance(token, dict) else token)
    names |= {token["content"] for token in _decoder(config).values() if token.get("special")}
    return {name for name in names if isinstance(name, str) and name}


def vocabulary(about: dict) -> dict[str, int]:
    """Token -> id of the model's own vocabulary."""
    entries = about["model"]["vocab"]
    if isinstance(entries, list):  # of a unigram model, with scores
        return {token: number for number, (token, _) in enumerate(entries)}
    return entries


def find(about: dict, names: set, template: str) -> set[str]:
    """The control tokens, but for added tokens that the template alone makes such."""
    added = {token["content"]: token for token in about["added_tokens"]}
    result = {
        name
        for name, token in added.items()
        if token["special"] or (not is_text(name) and (name in names or BRACKETS.fullmatch(name)))
    }
    for name in vocabulary(about).keys() - added.keys():
        if SPECIAL.fullmatch(name) or ((name in names or name in template) and BRACKETS.fullmatch(name)):
            result.add(name)
    return {name for name in result if not BYTE.fullmatch(name)}


def is_text(name: str) -> bool:
    """Whether a token is blanks or a byte, of which no name makes a control token."""
    return not name.strip(BLANKS) or BYTE.fullmatch(name) is not None


def recognised(about: dict, control: set) -> dict:
    """Every control token is an added one, found in any text where it stands."""
    entries, present = vocabulary(about), {token["content"] for token in about["added_tokens"]}
    added = [{"id": entries[name], "content": name, **FLAGS} for name in control - present]
    anywhere = {"single_word": False, "special": True}
    added += [token | (anywhere if token["content"] in control else {}) for token in about["added_tokens"]]
    return about | {"added_tokens": sorted(added, key=lambda token: token["id"])}


def hidden(about: dict, control: set) -> dict:
    """No control token is found in any text: each has a name that no text has, under its own id."""
    model, entries = dict(about["model"]), vocabulary(about)
    numbers = {token["content"]: token["id"] for token in about["added_tokens"]} | entries
    other = {name: HIDDEN.format(numbers[name]) for name in control}
    added = []
    for token in about["added_tokens"]:
        name = token["content"]
        unseen = name in control or BYTE.fullmatch(name)  # special tokens are not recognised
        added.append(token | FLAGS | {"content": other.get(name, name)} if unseen else token)
    if isinstance(model["vocab"], list):
        model["vocab"] = [[other.get(name, name), score] for name, score in model["vocab"]]
    else:
        model["vocab"] = {other.get(name, name): number for name, number in entries.items()}
    if model.get("unk_token") in other:
        model["unk_token"] = other[model["unk_token"]]
    if "merges" in model:
        pairs = [pair.split(" ") if isinstance(pair, str) else pair for pair in model["merges"]]
        model["merges"] = [p for p in pairs if control.isdisjoint([*p, "".join(p)])]
    return about | {"added_tokens": added, "model": model}


def without_prefix(about: dict) -> tuple[dict, str]:
    """(``about``, so that no blank is put before a text that is encoded, and none taken off one that is
    decoded; the blank, or nothing where none was put)."""
    parts = ("normalizer", "pre_tokenizer", "decoder")
    bare = about | {part: _without_prefix(deepcopy(about.get(part))) for part in parts}
    return bare, " " if any(bare[part] != about.get(part) for part in parts[:2]) else ""


def _without_prefix(part: dict | None) -> dict | None:
    if part is None or part["type"] == "Prepend":
        return None
    for several in ("normalizers", "pretokenizers", "decoders"):
        if several in part:
            part[several] = [one for one in map(_without_prefix, part[several]) if one]
    if "add_prefix_space" in part:
        part["add_prefix_space"] = False
    if part["type"] == "Metaspace":
        part["prepend_scheme"] = "never"
    if part["type"] == "Strip" and "start" in part:  # of a decoder
        part["start"] = 0
    return part
