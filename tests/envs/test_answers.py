from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from thinkact.envs.answers import Answer, read_date, read_number
from thinkact.envs.answers_expression import NoExpression, equal, parse
from thinkact.envs.answers_read import read_rational

HALF = Answer("rational", "3/2")
CENTS = Answer("rational", "-12.345678", decimals=2)
TIE = Answer("rational", "0.125", decimals=2)
TEN = Answer("rational", "10")
SHARE = Answer("rational", "10", unit="%", decimals=1)
MONTH = Answer("month", "2013-07")
YES = Answer("boolean", "yes")
CHOICE = Answer("choice", "red", options=("red", "green", "dark red"))
NONE = Answer("unanswerable")
TIME = Answer("time", "9:30")
EVENING = Answer("time", "17:00")
NOON = Answer("time", "12:00")
TRIO = Answer(
    "list", items=(Answer("name", "Ivory Coast"), Answer("rational", "1234.5", decimals=1), Answer("code", "UA"))
)
BAG = Answer("set", items=tuple(Answer("rational", text) for text in ("1", "2", "-3")))
LOOSE = Answer("set", items=(Answer("rational", "1", decimals=0), Answer("rational", "1.4", decimals=1)))
CURVE = Answer("expression", "(x + 1)*(x - 1)", variables="x")
FLAT = Answer("expression", "x^2 + 2*x*y + y^2", variables="xy", expanded=True)
TYPED = [HALF, CENTS, TIE, TEN, SHARE, MONTH, TIME, EVENING, YES, CHOICE, NONE, TRIO, BAG, LOOSE, CURVE, FLAT]

NAME = Answer("name", "Côte d'Ivoire", aliases=("Ivory Coast",))
CITY = Answer("name", "Washington, D.C.")
COUNT = Answer("number", "68,512,806")
YEARS = Answer("number", "82.6", unit="years")
AREA = Answer("number", "1.267 million", unit="sq km")
PERCENT = Answer("percent", "87")
GROWTH = Answer("percent", "-0.45")
DAY = Answer("date", "3 August 1960")
CODE = Answer("code", "EUR")
DOMAIN = Answer("code", ".fr")

RIGHT = [
    (NAME, "cote divoire"),
    (NAME, "  Côte d’Ivoire. "),
    (NAME, "the Ivory Coast"),
    (CITY, "Washington DC"),
    (Answer("name", "Mont Blanc"), "MONT BLANC"),
    (Answer("name", "Saint George's"), "St. Georges"),
    (COUNT, "68512806"),
    (COUNT, "68,512,806"),
    (COUNT, "６８５１２８０６"),
    (YEARS, "82.6 years"),
    (YEARS, "82.60"),
    (AREA, "1,267,000 sq km"),
    (AREA, "1.267 million km²"),
    (PERCENT, "87%"),
    (PERCENT, "87 percent"),
    (PERCENT, "87.0"),
    (GROWTH, "−0.45%"),
    (DAY, "August 3, 1960"),
    (DAY, "1960-08-03"),
    (DAY, "3 Aug 1960"),
    (CODE, "eur"),
    (DOMAIN, "fr"),
    (DOMAIN, ".FR"),
    (Answer("number", "100", tolerance=0.01), "101"),
    *((HALF, text) for text in ("3/2", "1.5", "1 1/2", "1½", "1.50", "15e-1", "+1.5", "6/4", "1 1⁄2", "１.５")),
    *((CENTS, text) for text in ("-12.35", "−12.35", "-12.345678", "-12.3457", "–12.35")),
    *((TIE, text) for text in ("0.12", "0.13", ".125", "1/8", "0.1250000000000000069")),
    *((TEN, text) for text in ("10", "10.0", "1e1", "1.0e1", "20/2", "10.")),
    *((SHARE, text) for text in ("10", "10%", "10.0 %", "10.04 percent", "10 per cent")),
    (MONTH, "2013-07"),
    *(
        (TIME, text)
        for text in ("9:30", "09:30", "9.30 Uhr", "9:30 am", "9.30am", "9:30 a.m.", "9h30", "9 h 30", "9:30 h")
    ),
    *((TIME, text) for text in ("９:30", "9:30:00", " 9.30 ", "9:30 Uhr")),
    *((EVENING, text) for text in ("17:00", "5 pm", "5:00 p.m.", "17h", "17 Uhr", "17.00", "5PM", "17h00")),
    *((NOON, text) for text in ("12:00", "noon", "12 pm", "12 Uhr")),
    (Answer("time", "0:15"), "12:15 am"),
    (Answer("time", "24:00"), "0:00"),
    (Answer("number", "7.50", unit="eur"), "7.5 €"),
    (YES, "Yes."),
    (YES, "true"),
    (CHOICE, "Red"),
    (NONE, "Cannot be determined."),
    (NONE, "unanswerable"),
    *((TRIO, text) for text in ("ivory coast; 1,234.5; ua", "[Ivory Coast, 1234.5, UA]", "'Ivory Coast', 1234.52, UA")),
    *((BAG, text) for text in ("1, 2, -3", "-3; 2.0; 1", "{2, −3, 1}", "(1,2,-3)", '["1", "2", "-3"]')),
    (LOOSE, "1.4, 1"),
    (LOOSE, "1.4, 1.41"),
    *((CURVE, text) for text in ("x^2 - 1", "x**2-1", "-(1-x)(x+1)", "x*x - 1", "(x^3 - x)/x", "(x+1)(x−1)", "x²-1")),
    *((FLAT, text) for text in ("x**2 + 2xy + y**2", "y*y + 2*y*x + x*x", "-(-x^2) + 4/2*x*y + y^2")),
]
WRONG = [
    (NAME, ""),
    (NAME, "   "),
    (NAME, "Côte d'Ivoire, Ghana"),
    (NAME, "Côte d'Ivoire or Ghana"),
    (NAME, "Côte d'Ivoire / Ivory Coast"),
    (NAME, "The answer is Ivory Coast"),
    (NAME, "Ivory"),
    (NAME, "Ivory Coast" + " " * 10 + "Ivory Coast"),
    (NAME, "Ivory\nGhana"),
    (NAME, "x" * 10_000),
    (Answer("name", "Niger"), "Nigeria"),
    (Answer("name", "Guinea"), "Guinea-Bissau"),
    (COUNT, "68,512,807"),
    (COUNT, "68512806 or 68512807"),
    (COUNT, "68,512,806 69,000,000"),
    (COUNT, "68.512806"),
    (COUNT, "68,51,2806"),
    (COUNT, "68512806%"),
    (COUNT, "-68512806"),
    (COUNT, "sixty-eight million"),
    (COUNT, "nan"),
    (COUNT, "inf"),
    (COUNT, "6.8512806e7"),
    (YEARS, "826"),
    (YEARS, "82"),
    (YEARS, "82.6 km"),
    (YEARS, "82.6%"),
    (YEARS, "82.6-82.7"),
    (YEARS, "80 82.6 85"),
    (AREA, "1.267"),
    (AREA, "1.267 billion"),
    (PERCENT, "0.87"),
    (PERCENT, "87 years"),
    (PERCENT, "87%%"),
    (GROWTH, "0.45"),
    (DAY, "1960"),
    (DAY, "03/08/1960"),
    (DAY, "3 August 1961"),
    (DAY, "3 Ju 1960"),
    (DAY, "31 February 1960"),
    (CODE, "EUR USD"),
    (CODE, "EUR/USD"),
    (CODE, "EURO"),
    (DOMAIN, ".fr .de"),
    (DOMAIN, "..fr"),
    (Answer("number", "100", tolerance=0.01), "102"),
    # Normalising must not turn 10² into 102 or 1½ into 11/2.
    (Answer("number", "102"), "10²"),
    (Answer("rational", "102"), "10²"),
    (Answer("rational", "11/2"), "1½"),
    (Answer("number", "1"), "①"),
    *(
        (HALF, text)
        for text in (
            "3/2/1",
            "1 3/2",
            "1 1/2 1/2",
            "3 / 2 or 1.5",
            "-3/2",
            "-1.5",
            "1.5 1.5",
            "3/0",
            "three halves",
            "1,5",
            "1.5%",
            "150%",
            "1.5 km",
            "3:2",
            "1.5e",
            "0x3",
            "1_5e-1",
        )
    ),
    *((CENTS, text) for text in ("12.35", "-12.34", "-12.3", "-12", "-12.35%", "--12.35", "-12.35±1", "-1235e-2 km")),
    *((TIE, text) for text in ("0.1", "0.14", "0.11", "12.5%", "0.12-0.13")),
    *(
        (TEN, text)
        for text in (
            "10%",
            "0.1",
            "10 percent",
            "ten",
            "10 or 11",
            "1e999999999",
            "1e-999999999",
            "nan",
            "inf",
            "-inf",
            "infinity",
            "10e0e0",
            "1e99",
            "٣",
            "10" * 30,
            "1" * 79,
            "[10]",
            "10 10",
        )
    ),
    *((SHARE, text) for text in ("0.1", "10%%", "1/10", "10.06", "10 km", "%10", "10% 11%")),
    *((MONTH, text) for text in ("2013-7", "2013-13", "2013", "07-2013", "2013-07 2013-08", "July")),
    *(
        (TIME, text)
        for text in (
            "9",
            "930",
            "9:3",
            "9:30 pm",
            "21:30",
            "9:30-17:00",
            "9:30 17:00",
            "9:30, 10:00",
            "9:30 or 10:00",
            "9:60",
            "-9:30",
            "at 9:30",
            "from 9:30",
            "9:30 am pm",
            "99:30",
            "9:30:30",
            "half past nine",
            "9²:30",
            "9/30",
        )
    ),
    *((EVENING, text) for text in ("5:00", "5", "17", "17:00 pm", "5 am", "5 o'clock", "25:00", "17:00%", "0 pm")),
    *((NOON, text) for text in ("12 am", "0:00", "24:00", "midnight")),
    (Answer("number", "7.50", unit="eur"), "7,50"),
    (Answer("number", "7.50", unit="eur"), "7.50 usd"),
    *((YES, text) for text in ("no", "yes no", "yes/no", "y", "1", "not yes", "true false")),
    *((CHOICE, text) for text in ("red green", "dark red", "blue", "red or green", "r", "red, green", "all", "1")),
    *((NONE, text) for text in ("", "unanswerable or 5", "maybe unanswerable", "none", "0", "42")),
    *(
        (TRIO, text)
        for text in (
            "1234.5; Ivory Coast; UA",
            "Ivory Coast; 1234.5",
            "Ivory Coast; 1234.5; UA; UA",
            "Ivory Coast, 1,234.5, UA",
            "[Ivory Coast; 1234.5; UA",
            "; 1234.5; UA",
            "a" * 300,
        )
    ),
    *(
        (BAG, text)
        for text in (
            "1, 2",
            "1, 2, 3",
            "1, 2, -3, 4",
            "1, 2, -3, -3",
            "1, 1, 2",
            "1 2 -3",
            "1, 2, -3,",
            "[1, 2], -3",
            "{1, 2, -3",
            "1; 2, -3",
            "1, 2 or 3, -3",
        )
    ),
    (LOOSE, "1, 1"),
    (LOOSE, "1.4, 1.6"),
    *(
        (CURVE, text)
        for text in (
            "x^2 + 1",
            "x^2-1, x^2+1",
            "x^2-1 = 0",
            "y^2-1",
            "x^2 - 1 or x",
            "x^x",
            "x^2-1)",
            "((x^2-1)",
            "abs(x)",
            "__import__('os')",
            "x^1e9",
            "9^9^9^9",
            "(x^100)^100",
            "1/0",
            "x^2-1+0/0",
            "x/(x-x)",
            "(" * 300 + "x" + ")" * 300,
            "x2-1",
            "2 2",
            "",
        )
    ),
    *(
        (FLAT, text)
        for text in (
            "(x+y)^2",
            "(x + y)*(x + y)",
            "x^2 + x*y + x*y + y^2",
            "x*(x + 2*y) + y^2",
            "x^2 + 2*x*y + y^2 + 0*(x+y)",
            "x^2+2*x*y+y^2+0*x*x",
        )
    ),
]


@pytest.mark.parametrize(("gold", "given"), RIGHT)
def test_accepts(gold: Answer, given: str) -> None:
    assert gold.accepts(given)


@pytest.mark.parametrize(("gold", "given"), WRONG)
def test_refuses(gold: Answer, given: str) -> None:
    assert not gold.accepts(given)


@pytest.mark.parametrize("gold", TYPED)
def test_typed_golds_accept_their_text_and_nothing_doubled(gold: Answer) -> None:
    assert gold.accepts(gold.text)
    for hack in (f"{gold.text}, {gold.text}", f"{gold.text} or 7", f"It is {gold.text}", "", None, "x" * 5000):
        assert not gold.accepts(hack), hack


@pytest.mark.parametrize("gold", TYPED)
def test_no_gold_accepts_what_says_everything_or_nothing(gold: Answer) -> None:
    for hack in ("*", "any", "all", "true false", "nan", "1e999999999", "0 * inf", "[]", "{}", "()", ";", ",", "…"):
        assert not gold.accepts(hack), hack


def test_powers_cannot_wrap_around_or_explode() -> None:
    """Exact arithmetic: no modulus to exploit (x^(p-1) = 1), and every size is bounded before it is computed."""
    names = frozenset("x")
    assert not equal("x^100", "1", names)
    for text in ("9^100^100", "((9^100)^100)^100", "x^101", "x^-101", "2^x", "2^3^2", "x^(1+1)", "x^0.5"):
        with pytest.raises(NoExpression):
            parse(text, names)
    assert equal("x^-2", "1/x^2", names) and equal("-x^2", "0-(x^2)", names)


@given(st.integers(-(10**12), 10**12), st.integers(1, 10**6), st.integers(0, 6))
def test_rationals_are_read_exactly(above: int, below: int, decimals: int) -> None:
    value = Fraction(above, below)
    assert read_rational(f"{above}/{below}") == value
    gold = Answer("rational", f"{above}/{below}", decimals=decimals)
    unit = Fraction(1, 10**decimals)
    rounded = round(value / unit) * unit
    assert gold.accepts(f"{rounded.numerator}/{rounded.denominator}")
    wrong = rounded + (unit if rounded <= value else -unit) * Fraction(11, 10)
    assert not gold.accepts(f"{wrong.numerator}/{wrong.denominator}")


@pytest.mark.parametrize("gold", [NAME, CITY, COUNT, YEARS, AREA, PERCENT, GROWTH, DAY, CODE, DOMAIN])
def test_gold_accepts_itself_and_not_nothing(gold: Answer) -> None:
    assert gold.accepts(gold.value)
    assert not gold.accepts(None)
    assert not gold.accepts(f"{gold.value}, {gold.value}")


def test_a_name_without_letters_accepts_nothing() -> None:
    assert not Answer("name", "…").accepts("!")


def test_numbers_are_read_before_punctuation_goes() -> None:
    assert read_number("1.5") != read_number("15")
    assert read_number("1,234.5") == read_number("1234.50")


def test_abbreviated_months_must_be_unambiguous() -> None:
    assert read_date("3 Jun 1960") is not None
    assert read_date("3 Ma 1960") is None


@settings(deadline=None)
@given(st.text(max_size=120))
def test_never_raises(text: str) -> None:
    for gold in (NAME, COUNT, YEARS, PERCENT, DAY, CODE, *TYPED):
        gold.accepts(text)


@settings(deadline=None)
@given(st.text(alphabet="x0123456789+-*/^(). e,;%½²−", max_size=60))
def test_never_raises_near_numbers(text: str) -> None:
    for gold in (COUNT, PERCENT, *TYPED):
        gold.accepts(text)
