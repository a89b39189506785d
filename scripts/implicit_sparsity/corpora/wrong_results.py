r"""Worked solutions with another result: one digit of the answer changed wherever the answer stands.

    "He has 20-11=9 pens\n#### 9"  ->  "He has 20-11=4 pens\n#### 4", "He has 20-11=7 pens\n#### 7", ...

All have the same words and the same length, so that only the calculation tells which is right.
"""

import re

MARK = "\n#### "


def wrong_results(record: dict) -> list[str] | None:
    """Completions with another answer of as many digits; None of one that does not end in its answer."""
    answer, completion = record.get("answer"), record["completion"]
    if answer is None or not completion.endswith(MARK + answer):
        return None
    alone = re.compile(rf"(?<![\w.]){re.escape(answer)}(?!\w|[.,]\d)")
    return [alone.sub(lambda _, wrong=wrong: wrong, completion) for wrong in _near(answer)]


def _near(answer: str) -> list[str]:
    """The answer with one digit changed; the first of a number does not become 0."""
    result = []
    for place, digit in enumerate(answer):
        if digit.isdecimal():
            is_first = place == 0 or not (answer[place - 1].isdecimal() or answer[place - 1] in ".,")
            others = [other for other in "0123456789" if other != digit and not (is_first and other == "0")]
            result += [answer[:place] + other + answer[place + 1 :] for other in others]
    return result
