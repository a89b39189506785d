"""Numbers in every form that people write, and what is none."""

import random
from decimal import Decimal
from fractions import Fraction

import pytest

from implicit_sparsity.passes import number_forms, scoring

STRICT = [  # what follows ####, the right answer
    *(("18", "18"), ("18.", "18"), ("$18.00", "18"), ("1,234", "1234"), ("-3", "-3"), ("72, in total", "72")),
    *(("18%", "18"), (".5", "0.5"), ("**18**", "18"), ("\u22123", "-3"), ("\n18", "18"), ("**$18**", "18")),
    *(
        ("-$3", "-3"),
        ("$-3", "-3"),
        ("\u2212$1,000.00", "-1000"),
        ("1e3", "1000"),
        ("+18", "18"),
        ("-0", "0"),
    ),
    *(
        ("1 234", "1234"),
        ("1\u202f234.5", "1234.5"),
        ("1'234", "1234"),
        ("\uff11\uff0c\uff12\uff13\uff14", "1234"),
    ),
    *(
        ("\u0663", "3"),
        ("1\u200b8", "18"),
        ("\u20ac5", "5"),
        ("\\$5", "5"),
        ("5\\%", "5"),
        ("$1{,}234$", "1234"),
    ),
    *(("\\boxed{18}", "18"), ("$\\boxed{18}$", "18"), ("\\(18\\)", "18"), ("= 18", "18"), ("`18`", "18")),
    *(("1/2", "0.5"), ("1 1/2", "1.5"), ("-\\frac{1}{2}", "-0.5"), ("0.1", "1/10"), ("18 apples", "18")),
    *(
        ("9007199254740993", "9,007,199,254,740,993"),
        ("18kg", "18"),
        ("018", "18"),
        ("- 5", "-5"),
        ("-(5)", "-5"),
        ("-\\boxed{5}", "-5"),
        ("-**5**", "-5"),
        ("- $5", "-5"),
        ("5\u20ac", "5"),
        ("9 * 2 = 18", "18"),
        ("9*2=18", "18"),
        ("$9 * 2 = $18", "18"),
        ("9 \\times 2 = \\boxed{18}", "18"),
        ("20 - 2 = -18", "-18"),
        ("18 people (9 * 2 = 18, as x = 2)", "18"),
        ("18, as x = 5", "18"),
        ("18 (eighteen)", "18"),
        ("18 km/h", "18"),
        ("18 in", "18"),
        ("18 in total", "18"),
        ("18/hour", "18"),
        ("18 m\u00b2", "18"),
        ("18 - as said", "18"),
        ("18\n- 5", "18"),
        ("18\\text{ cm}", "18"),
        ("18^\\circ", "18"),
        ("18</s>", "18"),
        ("18e", "18"),
    ),
    *(("1.5 \u00d7 10^3", "1500"), ("2 \\times 10^{-3}", "0.002"), ("$$18$$", "18")),
    *(("\\boxed{\\text{$18}}", "18"), ("\u2248 18", "18")),
]
WRONG = [
    *(("180", "18"), ("-3", "3"), ("9007199254740993", "9007199254740992"), ("18,5", "18"), ("18,5", "185")),
    *(("0,123", "123"), ("1,2,3", "123"), ("1/2", "1"), ("3/0", "3"), ("18:30", "18"), ("18-20", "18")),
    *(("2^5", "2"), ("1.2.3", "1.2"), ("nan", "nan"), ("inf", "inf"), ("", ""), ("1e99999999", "1")),
    *(("9" * 5000, "9" * 5000), ("\u2013 3", "3"), ("twelve 12", "12"), ("1.234,5", "1.234")),
    *(("3\u00d76", "3"), ("2 x 10^3", "2")),
    *(
        ("1\u00bd", "1"),
        ("2\u03c0", "2"),
        ("2 \u03c0", "2"),
        ("10\u2076", "10"),
        ("2\u00b2", "2"),
        ("2**3", "2"),
    ),
    *(
        ("2 ** 3", "2"),
        ("18 / 2", "18"),
        ("5 \\times 2", "5"),
        ("5 \\cdot 2", "5"),
        ("1_000", "1"),
        ("2x", "2"),
    ),
    *(
        ("2xy", "2"),
        ("2 x", "2"),
        ("2n", "2"),
        ("3\u221a2", "3"),
        ("3\\sqrt{2}", "3"),
        ("2 + 3", "2"),
        ("5!", "5"),
    ),
    *(("5 - 3", "5"), ("5 - x", "5"), ("2(3)", "2"), ("2*x", "2"), ("9 * 2 = 18", "9"), ("18 = 9*2", "9")),
    *(("18k", "18"), ("5 mod 3", "5"), ("5 times 2", "5"), ("5 % 3", "5"), ("10 0000", "10"), ("5 10", "5")),
    *(("- 5", "5"), ("-(5)", "5"), ("1/2 x", "1/2"), ("5 \u00b1 1", "5"), ("0x10", "0"), ("5 \u00f7 2", "5")),
]


@pytest.mark.parametrize(("text", "gold"), STRICT)
def test_the_same_number_in_another_form(text, gold):
    for blank in (" ", ""):
        number = scoring.extract_number(f"so ####{blank}{text}")
        assert scoring.same_number(number, gold) and scoring.is_number(number) and scoring.is_number(gold)


@pytest.mark.parametrize(("text", "gold"), WRONG)
def test_another_number_or_none(text, gold):
    number = scoring.extract_number(f"so #### {text}")
    assert not scoring.same_number(number, gold) and (number is None or scoring.is_number(number))


@pytest.mark.parametrize(
    ("text", "number"),
    [
        *(("it is .5", "1/2"), ("it is \u22123", "-3"), ("it is -3", "-3"), ("is (-3)", "-3"), ("=-3", "-3")),
        *(
            ("10 - 3", None),
            ("3\u221a2", None),
            ("18 / 2", None),
            ("2\u03c0", None),
            ("1_000", None),
            ("10 0000", None),
            ("The answer is - 5", "-5"),
            ("It is -(5).", "-5"),
            ("- 5", "-5"),
            ("x - 5", "5"),
            ("a) **18**", "18"),
            ("2) **$18**", "18"),
            ("2 ** 18", None),
            ("so 10 000", "10000"),
            ("so 1\u2009234\u2009567 in all", "1234567"),
            ("in 2019 300 people", "300"),
            ("n-3", "3"),
            ("No.5", "5"),
            ("3...20", "20"),
            ("x = 18.", "18"),
            ("**18**.", "18"),
        ),
        *(
            ("\\boxed{-7}", "-7"),
            ("-$7", "-7"),
            ("in 1 1/2 h", "3/2"),
            ("room 12 300", "12300"),
            ("2 or 3", "3"),
        ),
        *(("10-3", None), ("18,5", None), ("2 + 3 = 1.234,5", None), ("v1.2.3", None), ("none", None)),
    ],
)
def test_the_last_number_of_a_text(text, number):
    last = scoring.extract_number(text, strict=False)
    assert last is None if number is None else scoring.same_number(last, number)


def test_every_form_of_a_random_number_has_its_value():
    draw = random.Random(0)
    for _ in range(500):
        digits = draw.randint(1, 30)
        number = Decimal(draw.randint(-(10**digits), 10**digits)).scaleb(-draw.randint(0, 6))
        plain = format(number, "f")
        forms = [plain, format(number, ",f"), f"{number:e}", plain.replace("-", "\u2212"), f"**{plain}**"]
        forms += [format(number, ",f").replace(",", "\u202f"), f"${plain}", plain.replace("-", "-$")]
        for form in forms:
            for strict in (True, False):
                written = scoring.extract_number(f"so #### {form}.", strict)
                assert number_forms.value(written) == Fraction(number), form
        assert not scoring.same_number(plain, str(number + Decimal("0.0000001"))) or digits > 20


@pytest.mark.parametrize(
    "text",
    [
        "1,",
        "1 222 ",
        "#",
        "#### ",
        "#### ((",
        "\\frac{1}",
        "1",
        ".1",
        "1e",
        "1-",
        "-(",
        "- ",
        "5 000 ",
        "9 * 2 = ",
        "**",
        "(-",
    ],
)
def test_long_texts_take_no_time(text):
    for strict in (True, False):
        scoring.extract_number(text * 20_000, strict)


@pytest.mark.parametrize(
    ("gold", "number"),
    [
        *(
            ("10 000", "10000"),
            ("5\u20ac", "5"),
            ("5 \u20ac", "5"),
            ("(5)", "5"),
            ("**18**", "18"),
            ("- 5", "-5"),
        ),
        *(("\\boxed{18}", "18"), ("$\\boxed{18}$", "18"), ("-(5)", "-5"), ("((5))", "5"), ("\\(5\\).", "5")),
    ],
)
def test_an_answer_alone_may_have_marks_around_it(gold, number):
    assert scoring.is_number(gold) and scoring.same_number(scoring.extract_number(f"#### {number}"), gold)
    assert scoring.match(f"#### {gold}", False, gold)["exact_match"] == 1


@pytest.mark.parametrize(
    "text", ["(5", "5)", "**5", "()", "-(-5)", "5 - 3", "5x", "18 apples", "1\u00bd", "("]
)
def test_what_is_more_than_a_number_is_no_right_answer(text):
    assert not scoring.is_number(text) and not scoring.is_number("(" * 900 + text + ")" * 900)
