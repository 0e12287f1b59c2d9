from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from thinkact.envs.answers import Answer, read_date, read_number

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
]


@pytest.mark.parametrize(("gold", "given"), RIGHT)
def test_accepts(gold: Answer, given: str) -> None:
    assert gold.accepts(given)


@pytest.mark.parametrize(("gold", "given"), WRONG)
def test_refuses(gold: Answer, given: str) -> None:
    assert not gold.accepts(given)


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


@given(st.text(max_size=120))
def test_never_raises(text: str) -> None:
    for gold in (NAME, COUNT, YEARS, PERCENT, DAY, CODE):
        gold.accepts(text)
