"""Document text -> token ids, with the ``tokenizers`` library alone.

Control tokens are recognised in the template's literal parts and nowhere else: "<|im_end|>" inside a document
is encoded as the characters it consists of, so no text can end its own turn. The parts are encoded one by
one, so a completion has the same ids whatever its prompt, and the prompt mask is exact. No blank is put
between them; a sentencepiece tokenizer's goes before the first alone.
"""

from dataclasses import dataclass
from pathlib import Path

from implicit_sparsity.errors import InputError

from . import model_limits, tokenizer


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
    """A tokenizer in a known state, and the template's ids. ``before`` begins with ``bos``, what the
    tokenizer itself puts before a text, whether or not the template has it."""

    def __init__(self, path: Path, options: Options):
        self.options, self._limits = options, model_limits.of_model(Path(path).parent)
        self._limits.check_length(options.max_length)
        self.tokenizer = tokenizer.load(path, options.template)
        begin, between, end = (options.template.get(part, "") for part in ("before", "between", "after"))
        before, bos = self.tokenizer.encode_template(begin, opening=True), self.tokenizer.bos
        self.bos, self.before = bos, before if before[: len(bos)] == bos else bos + before
        self.between, self.after = map(self.tokenizer.encode_template, (between, end))
        self._prompt_opens, self._completion_opens = not begin, not begin + between
        for part in ("before", "between", "after"):
            what = repr(options.template.get(part) or "".join(map(self.tokenizer.name, self.bos)))
            self._limits.check_ids(getattr(self, part), what, f"tokens.template.{part}")
        room = options.max_length - options.min_completion - len(self.before) - len(self.between)
        if room < 0:
            raise InputError(f"template leaves no room in max_length {options.max_length}", key="template")

    @property
    def vocab_size(self) -> int:
        """Ids that the tokenizer has and the model's embedding, too."""
        return min(self.tokenizer.vocab_size, self._limits.rows or self.tokenizer.vocab_size)

    def encode(self, records: list[dict]) -> list[tuple]:
        """(ids of the prompt, of the completion, of each choice, whether the ids are the whole texts)."""
        choices = [record.get("choices", ()) for record in records]
        opens = [self._completion_opens and not record["prompt"] for record in records]
        flat = [(text, begins) for texts, begins in zip(choices, opens) for text in texts]
        prompts = self._texts([(record["prompt"], self._prompt_opens) for record in records])
        completions = self._texts([(record["completion"], begins) for record, begins in zip(records, opens)])
        options = iter(self._texts(flat))
        result = []
        for prompt, completion, texts in zip(prompts, completions, choices, strict=True):
            here = [next(options) for _ in texts]
            exact = all(one for _, one in (prompt, completion, *here))
            result.append((prompt[0], completion[0], [ids for ids, _ in here], exact))
        return result

    def is_ended_by(self, completion: str) -> bool:
        """Whether the template's end, where it has no control token, stands in a document's own text."""
        end = self.options.template.get("after", "")
        return bool(end) and end in completion and set(self.tokenizer.control).isdisjoint(self.after)

    def _texts(self, texts: list[tuple]) -> list[tuple]:
        """Of (text, whether it begins its document): (ids, whether they are the whole text)."""
        result = self.tokenizer.encode(texts)
        for (text, _), ids in zip(texts, result, strict=True):
            self._limits.check_ids(ids, f"the text that begins with {text[:30]!r}")
        return [(ids, self.tokenizer.is_exact(*text, ids)) for text, ids in zip(texts, result, strict=True)]

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
