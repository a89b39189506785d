"""Numbers as people and models write them: found in a text, and their exact values.

A sign (U+2212 and dashes too), a currency before or behind it, digits of any script, ``,``, ``'`` or a
no-break space between groups of three, a decimal point (``.5`` too), an exponent, a fraction (``1/2``,
``1 1/2``, ``\\frac{1}{2}``). What goes on with digits behind another mark (``18,5``, ``1.2.3``, ``10:30``,
``18-20``, ``2^5``) is no number, and no part of it is one; nor is a part of an expression
(``number_context``). Of ``9 * 2 = 18`` the right side is the answer.
"""

import re
from fractions import Fraction

from . import number_context

CHARACTERS = {
    **dict.fromkeys("\u2010\u2011\u2012\u2013\u2212\ufe63\uff0d", "-"),
    **dict.fromkeys("\ufe62\uff0b", "+"),
    **dict.fromkeys("\u2007\u2009\u202f", "\u00a0"),
    **dict.fromkeys("\u200b\u200c\u200d\u200e\u200f\u2060\ufeff", ""),
    **dict(zip("\u066b\u066c\u2044\u2215\u2019\u066a", ".,//'%", strict=True)),
    **dict(zip("\uff03\uff04\uff05\uff0a\uff0c\uff0e\uff0f\uff1a", "#$%*,./:", strict=True)),
}
LATEX = (
    (r"\\[dt]?frac\s*\{([^{}]*)\}\s*\{([^{}]*)\}", r"\1/\2"),
    (r"\\([$%])", r"\1"),
    (r"\{,\}", ","),
    (r"\\,", "\u00a0"),
    (r"\\!", ""),
    (r"(?<=\d)\s*(?:\*|×|·|⋅|x|\\times|\\cdot)\s*10\s*(?:\^|\*\*)\s*\{?([-+]?\d+)\}?", r"e\1"),
)
CURRENCY = "[$\u00a2\u00a3\u00a5\u20ac\u20b9]"
BLANKS = r"[^\S\n]{0,3}"
SIGN, BRACKETS = r"(?:(?<![\w)\]}%])([-+])", rf"(?:{BLANKS}(?:[(\[{{]|\\boxed\{{|\*\*)){{0,3}}{BLANKS}"
PRICED = rf"(?:{CURRENCY}\s?([-+])?)?"
DIGITS = r"((?:\d+ (?=\d+/\d))?(?:(?<![\w.])\.)?\d+(?:[eE][-+]?\d+|[-+*×·⋅.,/:^'\u00a0]\.?\d+)*)"
NUMBER = re.compile(SIGN + BRACKETS + ")?" + PRICED + DIGITS)
# behind ####: emphasis, brackets, an equals sign
OPENING = r"(?:[\s*_`~≈({\[=:]|\\[(\[]|\\boxed|\\text(?:bf)?|\\mathbf|\$(?=[\\$]))*" + NUMBER.pattern
MARKED, ALONE = re.compile(r"(?<!#)#{4,}+" + OPENING), re.compile(OPENING)
WHOLE = re.compile(rf"{SIGN}{BLANKS})?{PRICED}{DIGITS}\s*{CURRENCY}?\s*[%.]?")
WRAPPED = [  # a number alone, with marks around it
    re.compile(rf"([-+]?)\s*{opens}(.*){closes}\.?")
    for opens, closes in (
        *((r"\(", r"\)"), (r"\[", r"\]"), (r"\{", r"\}"), (r"\*", r"\*"), ("_", "_"), ("`", "`")),
        *(
            (r"\\\(", r"\\\)"),
            (r"\\\[", r"\\\]"),
            (r"\$", r"\$"),
            (r"\\(?:boxed|text|textbf|mathbf)\{", r"\}"),
        ),
    )
]
SIMPLE = re.compile(r"([1-9]\d{0,2}(?:([,'\u00a0])\d{3})(?:\2\d{3})*|\d*)((?:\.\d+)?)(?:[eE]([-+]?\d+))?")
DIGITS_AT_MOST, EXPONENT_AT_MOST = 1000, 999  # a number of more is none: it would take time, and is no answer
WRAPS_AT_MOST = 9  # marks around a number


def plain(text: str) -> str:
    """The text with one character for what is written with several."""
    text = text.translate(str.maketrans(CHARACTERS))
    text = re.sub(r"(?![0-9])\d", lambda match: str(int(match[0])), text)
    for pattern, instead in LATEX:
        text = re.sub(pattern, instead, text)
    return text


def last(text: str, marked: bool) -> str | None:
    """The last number of a text, or of those that follow ``####``; None where what stands there is none."""
    text = _joined(plain(text))
    matches = list((MARKED if marked else NUMBER).finditer(text))
    if not matches:
        return None
    match = matches[-1]
    if marked and (side := number_context.right_side(text, match.end())) is not None:
        match = ALONE.match(side)
    number = _alone(match) if match else None
    if number and re.match(r"0\d", match[3]) and re.search(r"\d $", match.string[: match.start(3)][-2:]):
        return None  # 10 0000
    return number if number is not None and value(number) is not None else None


def _joined(text: str) -> str:
    """The text with a no-break space in each blank between groups of three digits."""
    groups = r"(?<![\d.,])[1-9]\d{0,2}(?: \d{3})+(?![\d/])"
    return re.sub(groups, lambda match: match[0].replace(" ", "\u00a0"), text)


def _alone(match) -> str | None:
    """The number found, with its sign; None where it is a part of an expression."""
    text, sign = match.string, match.start(1)
    apart = sign >= 0 and text[sign + 1] not in "0123456789.$\u00a2\u00a3\u00a5\u20ac\u20b9"
    joins = apart and number_context.operates(text, sign)
    start = match.start(3) if joins or sign < 0 else sign
    if number_context.is_part(text, start, match.end()):
        return None
    return match[3] if joins else _signed(match)


def _signed(match) -> str:
    return ("-" if "-" in (match[1], match[2]) else "") + match[3]


def value(text: str) -> Fraction | None:
    """The exact value of a text that is a number and nothing else, or None."""
    text, sign = _unwrapped(_joined(plain(text)).strip())
    match = WHOLE.fullmatch(text)
    if match is None or (match[1] and sign) or len(match[3]) > DIGITS_AT_MOST or (match[1] and match[2]):
        return None
    whole, _, rest = match[3].rpartition(" ")
    parts = [_simple(part) for part in rest.split("/")]
    if None in parts or len(parts) > 2 or 0 in parts[1:]:
        return None
    number = parts[0] / parts[1] if len(parts) == 2 else parts[0]
    return (int(whole or 0) + number) * (-1 if "-" in (sign, match[1], match[2]) else 1)


def _unwrapped(text: str) -> tuple[str, str]:
    """(the text without the marks around it, the sign before them)."""
    sign = ""
    for _ in range(WRAPS_AT_MOST):
        found = next(filter(None, (wrapped.fullmatch(text) for wrapped in WRAPPED)), None)
        if found is None or (found[1] and sign):
            break
        sign, text = sign or found[1], found[2].strip()
    return text, sign


def _simple(text: str) -> Fraction | None:
    match = SIMPLE.fullmatch(text)
    if match is None or not match[1] + match[3] or abs(int(match[4] or 0)) > EXPONENT_AT_MOST:
        return None
    whole = re.sub(r"\D", "", match[1]) or "0"
    return Fraction(whole + match[3]) * Fraction(10) ** int(match[4] or 0)
