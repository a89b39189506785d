"""What stands around a number in a text: whether it makes the number a part of an expression.

An operator, a root, a power, a fraction or a variable before or behind it does (``18 / 2``, ``2x``,
``5!``, ``3√2``); a unit, a percent sign, a currency, a closing mark, words do not (``18cm``, ``18 apples``).
The text is as ``number_forms.plain`` has it. Where it is not clear, it is an expression: no answer is safer
than a wrong one that counts as right.
"""

import re

NEAR = 60  # characters before a number that are looked at
ABUT = r"[^\S\n]*"  # blanks of the same line
OPERAND = rf"{ABUT}(?:[-+.√π({{\[$\d\\¢£¥€₹]|[b-hj-zB-HJ-Z](?![^\W\d_]))"
UNIT = "[eEmgGsShHlLdtTcpVWAJNCFΩ]"  # of one letter
CLOSING = re.compile(
    rf"(?:{ABUT}(?:[)\]}}`\"'°$¢£¥€₹]|\\[)\]}}%$]|%(?!{ABUT}\d))"
    rf"|\*{{1,3}}(?![\w(\\])(?!{ABUT}[-+.$]?\d)|_+(?!\w)|\^\{{?(?:\\circ|°)\}}?)*"
)
BEHIND = re.compile(
    rf"{ABUT}(?:[×÷·⋅∙√∛±π^!\u00b2\u00b3\u00b9\u2070-\u207f\u00bc-\u00be\u2150-\u215f\u2189万亿千百十萬億兆]"
    rf"|(?:[-+]|\*\*?){OPERAND}|%{ABUT}\d|\*\*?\w|/(?!{ABUT}[A-Za-z]{{2}})"
    r"|\\(?!text|math|rm\b|quad|qquad|degree|circ|\W)"
    r"|(?:[xyz]+|[nij])(?![^\W\d_])|(?:sin|cos|tan|log|ln|exp|sqrt|pi|mod)\b"
    rf"|(?:times|plus|minus|over|divided by|to the power of)\s{OPERAND})"
    rf"|[^\S\n]+(?:\d|:{ABUT}\d)|_\w|[(\[{{]{OPERAND}"
    rf"|(?!{UNIT}(?![^\W_]))[A-Za-z\u0370-\u03ff](?![^\W_])|(?!(?:[mcdk]?m|ft|in)[23]\b)[A-Za-z]+\d"
)
BEFORE = re.compile(
    rf"(?:[\d)\]}}%]{ABUT}(?:[-+*/^x×÷·⋅∙±]|\*\*|\\times|\\cdot|\\div){ABUT}[-+({{\[]*|[√∛]{ABUT}[({{]*|\\sqrt\{{?)"
    r"[$¢£¥€₹]?\s?$|\d[_(]$"
)
EQUALS = re.compile(r"(?<![<>!=])[=≈](?![>=])")


def is_part(text: str, start: int, end: int) -> bool:
    """Whether the number ``text[start:end]`` is a part of an expression."""
    before = text[max(0, start - NEAR) : start]
    emphasised = before.rstrip("$")[-1:] == "*" and "*" in text[end : end + 3]  # 1) **18**
    if not emphasised and BEFORE.search(before):
        return True
    return BEHIND.match(text, CLOSING.match(text, end).end()) is not None


def operates(text: str, sign: int) -> bool:
    """Whether a sign, blanks or brackets behind it, joins two operands: a number or a letter is before."""
    before = text[max(0, sign - NEAR) : sign].rstrip(" \u00a0")
    return re.search(r"[\d)\]}%]$|(?<![^\W_])[^\W\d_]$", before) is not None


def right_side(text: str, end: int) -> str | None:
    """What stands right of the last equals sign of the line behind a number; None where there is none.

    One in brackets or in a clause of its own (``18, as x = 3``) says nothing about the number.
    """
    line = text[end:].split("\n", 1)[0][:1000]
    line = re.sub(r"\([^()]*[=≈][^()]*\)", "", line)
    sides = EQUALS.split(re.split(r"[,;.]\s", line, maxsplit=1)[0])
    return sides[-1] if len(sides) > 1 else None
