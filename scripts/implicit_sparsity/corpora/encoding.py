"""Document text -> token ids, with the ``tokenizers`` library alone.

Special tokens are recognised in the template's literal parts and nowhere else: "<|im_end|>" inside a document
is encoded as the characters it consists of, so no text can end its own turn. The parts are encoded one by
one, so a completion has the same ids whatever its prompt, and the prompt mask is exact.
"""

from dataclasses import dataclass
from pathlib import Path

from implicit_sparsity.errors import InputError

from . import model_limits


@dataclass(frozen=True)
class Options:
    """``template``: literal texts before, between, after. Lengths in tokens, template included.

    A prompt longer than ``max_length`` less room for the completion (``min_completion``, or all of a shorter
    one) loses its beginning, a completion is cut at ``max_length``; ``on_long="drop"`` leaves such documents
    out. Both are counted. ``cut_at_most``: largest share of a split's documents that may be cut, from 0 to
    1. ``shards``: files per split, always that many, some of them empty if need be.
    """

    template: dict
    max_length: int
    min_completion: int = 1
    shards: int = 1
    on_long: str = "truncate"
    cut_at_most: float = 1.0

    def __post_init__(self):
        if self.on_long not in ("truncate", "drop"):
            raise InputError(f"{self.on_long!r} is not one of truncate, drop", key="on_long")
        if unknown := sorted(set(self.template) - {"before", "between", "after"}):
            raise InputError("a template has before, between and after", key=f"template.{unknown[0]}")
        if not 1 <= self.min_completion < self.max_length:
            raise InputError(f"must be from 1 to below max_length ({self.max_length})", key="min_completion")
        if self.shards < 1:
            raise InputError(f"must be 1 or more, found {self.shards}", key="shards")


class Encoder:
    """A tokenizer without truncation, padding or post-processing, and the template's ids."""

    def __init__(self, path: Path, options: Options):
        from tokenizers import Tokenizer

        try:
            self.tokenizer = Tokenizer.from_file(str(path))
        except Exception as error:  # the library raises bare Exception
            raise InputError(f"is not a tokenizer: {error}", path) from None
        self.tokenizer.no_truncation()
        self.tokenizer.no_padding()
        self.options, self._limits = options, model_limits.of_model(Path(path).parent)
        self._limits.check_length(options.max_length)
        self.before, self.between, self.after = (
            self._literal(options.template.get(part, "")) for part in ("before", "between", "after")
        )
        for part in ("before", "between", "after"):
            self._limits.check_ids(
                getattr(self, part), repr(options.template.get(part)), f"tokens.template.{part}"
            )
        room = options.max_length - options.min_completion - len(self.before) - len(self.between)
        if room < 0:
            raise InputError(f"template leaves no room in max_length {options.max_length}", key="template")

    def _literal(self, text: str) -> list[int]:
        self.tokenizer.encode_special_tokens = False  # recognise them
        return self.tokenizer.encode(text, add_special_tokens=False).ids if text else []

    def texts(self, texts: list[str]) -> list[list[int]]:
        """Ids of document text; special tokens in it are encoded as ordinary characters."""
        self.tokenizer.encode_special_tokens = True
        result = [encoded.ids for encoded in self.tokenizer.encode_batch(texts, add_special_tokens=False)]
        for text, ids in zip(texts, result, strict=True):
            self._limits.check_ids(ids, f"the text that begins with {text[:30]!r}")
        return result

    def special_ids(self) -> list[int]:
        added = self.tokenizer.get_added_tokens_decoder()
        return sorted(number for number, token in added.items() if token.special)

    def fit(self, prompt: list[int], completion: list[int], choices: list[list[int]]):
        """(context ids, completion ids, how many of these are stop tokens, choices, what was cut).

        Cut to ``max_length`` together. The completion ends in the template's ``after``, the stop tokens; a
        choice does not: choices are compared by their texts, as in lm-eval. What was cut: "completion", which
        has lost its end, and the answer with it; else "prompt", "choices" or "".
        """
        text, completion = len(completion), completion + self.after
        longest = max(map(len, [completion, *choices]))
        reserved = min(self.options.min_completion, longest)
        room = self.options.max_length - reserved - len(self.before) - len(self.between)
        context = self.before + prompt[max(0, len(prompt) - room) :] + self.between
        left = self.options.max_length - len(context)
        cut = {"completion": len(completion) > left, "prompt": len(prompt) > room, "choices": longest > left}
        stop = max(0, min(left, len(completion)) - text)
        what = next((part for part in cut if cut[part]), "")
        return context, completion[:left], stop, [choice[:left] for choice in choices], what
