"""What characters are to a comparison of texts: invisible, one sign in many forms, marks, or without blanks.

Classes are insides of ``[...]`` for regular expressions.
"""

import unicodedata
from itertools import groupby


def _class(ranges: str) -> str:
    """First and last character of each range, between blanks; one character alone stands for itself."""
    return "".join(f"{pair[0]}-{pair[-1]}" for pair in ranges.split())


# Scripts in which no blank parts words: Thai, Lao, Burmese, Khmer, Chinese, Japanese, Yi and others.
# Korean has blanks, but particles grow onto its words, so that it compares better by syllables.
WITHOUT_BLANKS = _class(
    "\u0e00\u0e4f \u0e5a\u0ecf \u0eda\u0eff \u1000\u103f \u104a\u108f \u109a\u109f \u1100\u11ff \u1780\u17df"
    " \u1950\u19cf \u19da\u19df \u1a20\u1a7f \u1aa0\u1aaf \u1b00\u1b4f \u3005\u3007 \u3021\u303b \u3040\u31ff"
    " \u3400\u4dbf \u4e00\u9fff \ua000\ua4cf \ua960\ua97f \ua980\ua9cf \ua9e0\ua9ef \ua9fa\ua9ff \uaa60\uaadf"
    " \uac00\ud7ff \uf900\ufaff \U0001b000\U0001b16f \U00020000\U0003ffff"
)
# Unicode's Default_Ignorable_Code_Point: soft hyphen, joiners, directions, BOM, selectors, fillers
IGNORABLE = _class(
    "\u00ad \u034f \u061c \u115f\u1160 \u17b4\u17b5 \u180b\u180f \u200b\u200f \u202a\u202e \u2060\u206f"
    " \u3164 \ufe00\ufe0f \ufeff \uffa0 \ufff0\ufff8 \U0001bca0\U0001bca3 \U0001d173\U0001d17a"
    " \U000e0000\U000e0fff"
)
# what Arabic and Hebrew are written with or without: short vowels and the stretching of letters, points and
# the signs of chanting
POINTS = _class(
    "\u0591\u05bd \u05bf \u05c1\u05c2 \u05c4\u05c5 \u05c7 \u0610\u061a \u0640 \u064b\u0652 \u0670"
    " \u06d6\u06dc \u06df\u06e4 \u06e7\u06e8 \u06ea\u06ed"
)
_FORMS = {  # signs that Unicode tells apart and writers do not
    "'": "‘’‚‛′ʹʼˈ´‹›＇",
    '"': "“”„‟″«»〝〞〟「」『』＂",
    "-": "‐‑‒–—―−﹘﹣－",
    ".": "。｡．।۔",
    ",": "、､，،",
    ";": "؛；",
    ":": "：",
    "?": "？؟",
    "!": "！",
    "/": "⁄∕",
}
ONE_SIGN = str.maketrans({form: sign for sign, forms in _FORMS.items() for form in forms})


def _marks() -> str:
    """Accents, vowel signs and tones: category M, which stands on the character before it."""
    codes = groupby(range(0x300, 0x1F000), key=lambda code: unicodedata.category(chr(code))[0] == "M")
    runs = [list(run) for is_mark, run in codes if is_mark]
    return _class(" ".join(f"{chr(run[0])}{chr(run[-1])}" for run in runs))


def _raised() -> dict[str, str]:
    """Digits and signs above or below the line, and fractions, of which NFKC alone makes other numbers:
    10² -> 10^2 (not 102), H₂ -> H_2, 1½ -> 1 1/2 (not 11/2)."""
    result, before = {}, {"<super>": "^", "<sub>": "_", "<fraction>": " "}
    for code in (*range(0xA0, 0x100), *range(0x2070, 0x20A0), *range(0x2150, 0x2190)):
        kind = unicodedata.decomposition(chr(code)).partition(" ")[0]
        plain = unicodedata.normalize("NFKC", chr(code))
        if kind in before and not plain[0].isalpha():
            result[chr(code)] = before[kind] + plain
    return result


MARKS = _marks()
RAISED = str.maketrans(_raised())
