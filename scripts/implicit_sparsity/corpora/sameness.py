"""When two texts are the same: one answer for duplicates, contamination, choices and answers.

``plain``   text as it compares: no case, nothing invisible, one blank, one form of each character and sign
``key``     the same text: but for spacing and a full stop at its end ("Paris" and "paris. ")
``bare``    the same but for punctuation, too, a leading article, the form of a number ("1,000.0" and "1000")
``units``   what is compared piece by piece, and ``weight``, how much of a word each is

A unit is a word or a sign. Where words do not serve it is smaller: a character with its marks in scripts that
put no blanks between words (characters.py), and a few letters from each place of a word of more than LONG
letters (DNA, base64, a text without blanks), so that one letter changes few units. Each word decides for
itself: a text may mix all of these.
"""

import re
import unicodedata
from functools import lru_cache

from .characters import IGNORABLE, MARKS, ONE_SIGN, POINTS, RAISED, WITHOUT_BLANKS

LONG = 32  # letters; words of languages end before, German compounds and most identifiers too
WORD, CHARACTER, LETTER, NONE = 1.0, 0.5, 0.2, 0.0  # of a word: what a unit counts in an n-gram

_IGNORED = re.compile(f"[{IGNORABLE}]")
_POINTS = re.compile(f"[{POINTS}]")
_DIGIT = re.compile(r"[^\D0-9]")  # of another script than ours
_ASCII = re.compile(r"\w+|[^\w\s]")
_TOKEN = re.compile(rf"(?:[^\W{WITHOUT_BLANKS}][{MARKS}]*)+|[{WITHOUT_BLANKS}][{MARKS}]*|[^\w\s]")
_ALONE = re.compile(f"[{WITHOUT_BLANKS}\U0001f000-\U0001ffff]")  # emoji are words of one character
_EXCLAIMED = r"(?<=[^\W\d_])(?<!\b[a-z])!(?!=)"  # of "Yes!", not of "5!", "n!", "!x" or "!="
_END = re.compile(rf"(?:[.,;:\s]|{_EXCLAIMED})+$")
_PUNCTUATION = re.compile(rf"[.,?\"'`]|{_EXCLAIMED}")  # colons have more often a meaning: 1:2
_ARTICLE = re.compile(r"^(?:an?|the) (?=\w\w)")
_NUMBER = re.compile(r"([-+]?)(\d{1,3}(?:,\d{3})+|\d*)(?:\.(\d+))?(?<=\d)")


def plain(text: str) -> str:
    """Unicode's NFKC and case folding without invisible characters and points of Arabic and Hebrew; blanks of
    all kinds as one."""
    if text.isascii():
        return " ".join(text.lower().split())
    text = _IGNORED.sub("", text).translate(RAISED).translate(ONE_SIGN)
    # points go once letters are composed: a hamza or madda on its letter makes another letter
    text = _POINTS.sub("", unicodedata.normalize("NFKC", text).casefold())
    text = unicodedata.normalize("NFKC", text)
    text = _DIGIT.sub(lambda digit: str(unicodedata.decimal(digit[0])), text)
    return " ".join(text.split())


def tokens(text: str) -> list[str]:
    """Words and signs of ``plain``; a character of a script without blanks is a word."""
    simple = plain(text)
    return (_ASCII if simple.isascii() else _TOKEN).findall(simple)


def key(text: str) -> str:
    """Equal for two texts that differ in spacing, case, form of characters or a full stop at the end."""
    simple = plain(text)
    return " ".join(tokens(_END.sub("", simple) or simple))


@lru_cache(maxsize=4096)  # each choice of a source is compared with all others
def bare(text: str) -> str:
    """As ``key``, and equal for two that differ in punctuation, a leading article or the form of a number."""
    simple = plain(text)
    ended = _END.sub("", simple)
    if number := _NUMBER.fullmatch(ended):
        sign, whole, part = number[1].strip("+"), number[2].replace(",", "").lstrip("0"), number[3] or ""
        return f"{sign}{whole or 0}.{part.rstrip('0')}"
    joined = " ".join(tokens(_PUNCTUATION.sub(" ", ended)))
    return _ARTICLE.sub("", joined) or key(text)


def units(text: str) -> list[str]:
    """What of the text is compared, in its order."""
    result = []
    for token in tokens(text):
        result += [token] if len(token) <= LONG else _pieces(token)
    return result


def words(text: str) -> list[str]:
    """The units without signs."""
    return [unit for unit in units(text) if weight(unit)]


def weight(unit: str) -> float:
    """How much of a word a unit is: 1 of a word, 0.5 of a character, 0.2 of a letter, 0 of a sign."""
    if len(unit) > 1 and unit[0] == "-":
        return LETTER
    if _ALONE.match(unit):
        return CHARACTER
    return WORD if unit[0].isalnum() or unit[0] == "_" else NONE


def _pieces(word: str) -> list[str]:
    """From each letter of a long word some letters on, behind a hyphen that no word has.

    Two, but more of few kinds of letters: else any two texts in them would have most pieces in common.
    """
    kinds, size = len(set(word)), 2
    if kinds <= 7:  # DNA
        size = 3 if len(word) <= 256 else 4
    if kinds <= 3:
        size = 10
    return [f"-{word[i : i + size]}" for i in range(len(word) - size + 1)]
