"""The one door to a model's tokenizer: put into a known state, never used as it is shipped.

Of what a tokenizer.json may bring, sampling (``dropout`` of BPE, ``alpha`` and ``nbest_size`` of unigram
models), truncation, padding and the post-processor are taken off: a text has the same ids in every run. In
documents control tokens (control_tokens.py) are ordinary characters, whatever flags they were added with.
What the post-processor puts before a text (``<bos>``) is set apart: it stands before every document.
"""

import json
import re
from dataclasses import dataclass
from itertools import takewhile
from operator import itemgetter
from pathlib import Path

from tokenizers import Tokenizer

from implicit_sparsity.errors import InputError

from . import control_tokens


@dataclass
class KnownTokenizer:
    """``template`` recognises control tokens, ``text`` does not. Neither puts a blank before a text;
    ``prefix`` is the one that the tokenizer as it is shipped puts before the first (sentencepiece).

    ``control``: ids, sorted. ``bos``: ids that stand before every document. ``chat_bos``: where there are
    none, the token that the model's own chat template begins with. ``unknown``: the id of unknown characters,
    unless the template names it. ``takes_bytes``: whether the model would take the text "<0x0A>" for the
    byte.
    """

    template: Tokenizer
    text: Tokenizer
    prefix: str
    control: list[int]
    bos: list[int]
    chat_bos: str | None
    unknown: int | None
    takes_bytes: bool

    @property
    def vocab_size(self) -> int:
        return self.template.get_vocab_size(with_added_tokens=True)

    def name(self, number: int) -> str:
        return self.template.id_to_token(number)

    def encode_template(self, text: str, opening: bool = False) -> list[int]:
        """``opening``: the text begins a document."""
        ids = _ids(self.template, text)
        opened = opening and ids and ids[0] not in self.control
        return _ids(self.template, self._opened(text)) if opened else ids

    def encode(self, texts: list[tuple[str, bool]]) -> list[list[int]]:
        """Ids of document texts, each with whether it begins its document; InputError where one holds a
        control token after all."""
        whole = [self._opened(text) if opening else text for text, opening in texts]
        result = [one.ids for one in self.text.encode_batch(whole, add_special_tokens=False)]
        if self.takes_bytes:
            for i in (i for i, text in enumerate(whole) if control_tokens.BYTE.search(text)):
                pieces = re.split("(?<=<)(?=0x[0-9A-F]{2}>)", whole[i])
                result[i] = [number for piece in pieces for number in _ids(self.text, piece)]
        forbidden = set(self.control) - {self.unknown}
        for ids in result:
            if inside := forbidden.intersection(ids):
                name = self.name(min(inside))
                raise InputError(f"the tokenizer takes a document's text for {name!r}", key="tokens.template")
        return result

    def _opened(self, text: str) -> str:
        return text if not text or text[0].isspace() else self.prefix + text

    def is_exact(self, text: str, opening: bool, ids: list[int]) -> bool:
        """Whether the ids are all of the text: no unknown character, nothing normalised away."""
        whole = self._opened(text) if opening else text
        return self.text.decode(ids, skip_special_tokens=False) == whole


def load(path, template: dict | None = None) -> KnownTokenizer:
    """The tokenizer of a tokenizer.json, for the texts of a ``template``; the files beside it may name more
    tokens (tokenizer_config.json, special_tokens_map.json, added_tokens.json)."""
    path, texts = Path(path), [text for text in (template or {}).values() if text]
    about, names, config = control_tokens.with_config(_read(path), path.parent)
    begin = _named_bos(config)
    bos = _bos(_make(about, path), begin, config.get("add_bos_token"))
    about, prefix = control_tokens.without_prefix(about | {"post_processor": None})
    control = control_tokens.find(about, names, "\n".join(texts))
    shipped = frozenset(control)
    first = _make(control_tokens.recognised(about, shipped), path)
    added = {token["id"]: token["content"] for token in about["added_tokens"]}
    used = {number for text in texts for number in _ids(first, text)}
    control |= {added[number] for number in used & added.keys() if not control_tokens.is_text(added[number])}
    control |= {first.id_to_token(number) for number in bos}
    unknown, chats = _unknown(about["model"]), begin and not bos and _chat_begins(config, path.parent)
    return KnownTokenizer(
        template=first if control == shipped else _make(control_tokens.recognised(about, control), path),
        text=_make(control_tokens.hidden(about, control), path, special=False),
        prefix=prefix,
        control=sorted(first.token_to_id(name) for name in control),
        bos=bos,
        chat_bos=begin if chats else None,
        unknown=None if unknown is None or first.id_to_token(unknown) in "".join(texts) else unknown,
        takes_bytes=isinstance(about["model"]["vocab"], list)
        and "<0x0A>" in control_tokens.vocabulary(about),
    )


def _read(path: Path) -> dict:
    """What stands in a tokenizer.json, without sampling, truncation and padding."""
    try:
        about = json.loads(path.read_bytes())
        model = {"vocab": about["model"]["vocab"]} | about["model"]
    except (OSError, ValueError, LookupError, TypeError, AttributeError) as error:
        raise InputError(f"is not a tokenizer: {error}", path) from None
    for sampling in {"dropout", "alpha", "nbest_size"} & model.keys():
        model[sampling] = None
    known = {"model": model, "added_tokens": about.get("added_tokens") or []}
    return about | known | {"truncation": None, "padding": None}


def _make(about: dict, path: Path, special: bool = True) -> Tokenizer:
    """``special``: whether special tokens are recognised."""
    try:
        tokenizer = Tokenizer.from_str(json.dumps(about))
    except Exception as error:  # the library raises bare Exception
        raise InputError(f"is not a tokenizer: {error}", path) from None
    tokenizer.encode_special_tokens = not special
    return tokenizer


def _ids(tokenizer: Tokenizer, text: str) -> list[int]:
    return tokenizer.encode(text, add_special_tokens=False).ids


def _named_bos(config: dict) -> str | None:
    token = config.get("bos_token")
    return token.get("content") if isinstance(token, dict) else token


def _bos(tokenizer: Tokenizer, named: str | None, adds: bool | None) -> list[int]:
    """What the tokenizer as it is shipped puts before a text (what pads is no beginning); where its config
    says whether it ``adds`` the token that it names, that goes first."""
    if adds is not None:
        number = tokenizer.token_to_id(named) if adds and named else None
        return [] if number is None else [number]
    encoded = tokenizer.encode("a")
    added = zip(encoded.ids, encoded.tokens, encoded.special_tokens_mask)
    return [number for number, name, special in takewhile(itemgetter(2), added) if "pad" not in name.lower()]


def _chat_begins(config: dict, folder: Path) -> bool:
    """Whether the model's own chat template writes the token that begins a text."""
    file = folder / "chat_template.jinja"
    text = file.read_text("utf-8", errors="replace") if file.is_file() else str(config.get("chat_template"))
    return "bos_token" in text


def _unknown(model: dict) -> int | None:
    if isinstance(model["vocab"], list):
        return model.get("unk_id")
    return model["vocab"].get(model.get("unk_token"))
