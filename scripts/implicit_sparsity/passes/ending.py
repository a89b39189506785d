"""Where a generated answer ends, if the template's end is more than one control token.

An end such as "\\n### End" is a text of several tokens, and a model may write it with others than the
template's own ("x\\n" is often one). So it is searched in what the tokens spell, where a control token is one
character of its own: the characters of "<|im_end|>" are not the token.
"""

from itertools import groupby

import numpy as np
import torch

CONTROL = 0x100000  # first character of a plane for private use: the first control token


class Ending:
    """``ids``: tokens of the template's end; ``control``: ids of all control tokens; ``tokenizer``: as
    ``evaluation.tokenizer_of`` gives it. As a number it is its first token."""

    def __init__(self, ids: list[int], tokenizer, control: list[int]):
        self.ids, self.tokenizer = list(ids), tokenizer
        self.symbols = {number: chr(CONTROL + i) for i, number in enumerate(sorted(control))}
        self.text = self.spell(ids)

    def __index__(self) -> int:
        return self.ids[0]

    def spell(self, ids) -> str:
        """The text of ids."""
        text = ""
        for is_control, run in groupby(map(int, ids), self.symbols.__contains__):
            if is_control:
                text += "".join(map(self.symbols.get, run))
            else:
                text += self.tokenizer.decode(list(run), skip_special_tokens=False)
        return text

    def cut(self, ids: np.ndarray) -> tuple[np.ndarray, bool]:
        """(ids of what stands before the end, whether there is no end). Where a token belongs to both, what
        is the answer's is encoded anew."""
        text = self.spell(ids)
        at = text.find(self.text)
        if at < 0:
            return ids, True
        for count in range(len(ids), -1, -1):
            before = self.spell(ids[:count])
            if len(before) <= at and text.startswith(before):
                break
        rest = self.tokenizer.encode(text[len(before) : at], add_special_tokens=False).ids
        return np.append(ids[:count], np.array(rest, ids.dtype)), False

    def reached(self, start: int):
        """A stopping criterion of ``generate``: which rows have the end among their tokens from ``start`` on,
        bool [B]. A row that has is not looked at again; all others go on."""
        window = 1 + len(self.text.encode())  # no token spells less than a byte

        def criterion(input_ids, scores, **more):
            rows = input_ids[:, max(start, input_ids.shape[1] - window) :].tolist()
            return torch.tensor([self.text in self.spell(row) for row in rows], device=input_ids.device)

        return criterion


def of_template(ids: list[int], tokenizer, control: list[int]) -> "int | Ending | None":
    """What ends an answer, of the tokens of ``after``: the control token, where it is one; None for no
    tokens. Blanks behind the last control token are not waited for."""
    last = max((place for place, number in enumerate(ids) if number in control), default=None)
    if last is not None and not tokenizer.decode(ids[last + 1 :]).strip():
        ids = ids[: last + 1]
    if not ids:
        return None
    return ids[0] if len(ids) == 1 and ids[0] in control else Ending(ids, tokenizer, control)
