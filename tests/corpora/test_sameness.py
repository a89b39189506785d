"""What counts as the same text: pairs that are, pairs that are not, and what texts are compared by."""

import unicodedata

import pytest

from implicit_sparsity.corpora.sameness import bare, key, plain, tokens, units, weight, words

SAME = [  # in spacing, case, form of characters, or a full stop at the end
    ("positive", " Positive "),
    ("a\u00a0b", "a b"),
    ("a  b\r\n", "a\tb"),
    ("po\u00adsi\u200btive\ufeff", "positive"),  # soft hyphen, zero-width space, BOM
    ("caf\u00e9", "cafe\u0301"),  # NFC, NFD
    ("ｐｏｓｉｔｉｖｅ　１２", "positive 12"),
    ("ｶﾅ", "カナ"),
    ("한국어", unicodedata.normalize("NFD", "한국어")),
    ("ﬁnal", "final"),
    ("STRASSE", "straße"),
    ("“It’s”", '"it\'s"'),
    ("1914–1918", "1914-1918"),
    ("−5", "-5"),
    ("❤\ufe0f", "❤"),
    ("👩\u200d🚀", "👩🚀"),
    ("٣٤", "34"),
    ("Paris.", "paris"),
    ("Stop!", "stop"),
    ("正确。", "正确"),
    ("はい。", "はい"),
    ("你好 世界", "你好世界"),
    ("สวัสดี\u200bครับ", "สวัสดีครับ"),
    ("f( x )", "f(x)"),
    ("بِسْمِ اللَّهِ الرَّحْمَٰنِ", "بسم الله الرحمن"),  # tashkeel
    ("ا\u0651\u0653", "آ"),
    ("العـــربية", "العربية"),  # tatweel
    ("בְּרֵאשִׁית בָּרָא אֱלֹהִים", "בראשית ברא אלהים"),  # niqqud
    ("\ufb2a\ufb4b", "שו"),  # letters that come with their points
]
LOOSE = [  # the same only for what is drawn, and for documents
    ("1.0", "1"),
    ("1,000", "1000.00"),
    ("+.5", "0.50"),
    ("007", "7"),
    ("The heart", "heart"),
    ('"Paris"', "Paris"),
    ("yes, it is", "yes it is"),
    ("Who?", "who"),
]
OTHER = [
    ("positive", "negative"),
    ("2+3", "2-3"),
    ("x < y", "x <= y"),
    ("x != y", "x = y"),
    ("5!", "5"),
    ("n!", "n"),
    ("12", "13"),
    ("1.5", "15"),
    ("-5", "5"),
    ("10²", "102"),
    ("H₂", "H₃"),
    ("1½", "11/2"),
    ("9" * 40 + "1", "9" * 40 + "2"),
    ("b c", "bc"),
    (".", ","),
    ("...", "!"),
    ("はし", "ばし"),
    ("1:2", "12"),
    ("naïve", "naive"),
    ("رأس", "راس"),
    ("אב", "אכ"),
    ("हिन्दी", "हन्द"),
    ("A", "The"),
]


@pytest.mark.parametrize("one, other", SAME)
def test_the_same_text_in_other_writing(one, other):
    assert key(one) == key(other) and bare(one) == bare(other)


@pytest.mark.parametrize("one, other", LOOSE)
def test_the_same_but_for_punctuation_articles_or_the_form_of_a_number(one, other):
    assert bare(one) == bare(other) and key(one) != key(other)


@pytest.mark.parametrize("one, other", OTHER)
def test_other_texts(one, other):
    assert key(one) != key(other) and bare(one) != bare(other)


@pytest.mark.parametrize("text", [pair[0] for pair in SAME + LOOSE + OTHER] + ["", " ", "\u200b"])
def test_normal_text_is_its_own_normal_form(text):
    assert plain(plain(text)) == plain(text)
    assert key(plain(text)) == key(text)


@pytest.mark.parametrize(
    "text, expected",
    [
        ("Is it x_1+2?", ["is", "it", "x_1", "+", "2", "?"]),
        ("日本語のtext 12", ["日", "本", "語", "の", "text", "12"]),
        ("ก็ดี ๑๒", ["ก็", "ดี", "12"]),  # a consonant with its marks
        ("한국 ok", ["한", "국", "ok"]),
        ("हिन्दी में", ["हिन्दी", "में"]),  # vowel signs do not part a word that has blanks around it
        ("नमस्ते।", ["नमस्ते", "."]),
        ("ﷺ", tokens("صلى الله عليه وسلم")),
        ("😀😂", ["😀", "😂"]),
    ],
)
def test_what_is_a_token(text, expected):
    assert tokens(text) == expected


def test_a_long_word_is_compared_by_its_letters():
    assert units("w" + "o" * 30 + "d") == ["w" + "o" * 30 + "d"]
    url = "abcdefghijklmnopqrstuvwxyz0123456789"
    assert units(f"see {url}") == ["see", *(f"-{url[i : i + 2]}" for i in range(35))]
    dna = "acgt" * 20
    assert units(dna) == [f"-{dna[i : i + 3]}" for i in range(78)]
    assert len(units("01" * 40)) == 71


def test_how_much_of_a_word_a_unit_is():
    text = f"word 字 - 😀 {'abcdefghijklmnopq' * 2} กิ _x 7"
    weights = {unit: weight(unit) for unit in units(text)}
    assert [weights[unit] for unit in ("word", "字", "-", "😀", "-ab", "กิ", "_x", "7")] == [
        1.0, 0.5, 0.0, 0.5, 0.2, 0.5, 1.0, 1.0,
    ]  # fmt: skip
    assert words("a - b") == ["a", "b"]
