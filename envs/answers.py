"""Typed answer verification: one submitted string against one gold value.

The whole string must be one answer. A list of candidates, an answer inside a sentence, or a value with the
wrong unit is wrong. Numbers are read before any punctuation is dropped, so ``1.5`` and ``15`` differ.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Literal

Kind = Literal["name", "number", "percent", "date", "code"]

#: Longer submissions are no answer to any question here.
MAX_ANSWER_CHARS = 80

_UNITS: dict[str, tuple[str, ...]] = {
    "sq km": ("sq km", "sq. km", "km2", "km^2", "square kilometers", "square kilometres"),
    "km": ("km", "kilometers", "kilometres"),
    "m": ("m", "meters", "metres"),
    "years": ("years", "year", "yrs"),
}
_SCALES = {"thousand": 3, "million": 6, "billion": 9, "trillion": 12}
_NUMBER = re.compile(
    r"(?P<sign>[+-]?)(?P<whole>\d{1,3}(?:,\d{3})+|\d{1,18})(?:\.(?P<part>\d{1,9}))?"
    r"(?: ?(?P<scale>thousand|million|billion|trillion))?(?: ?(?P<unit>\D.*))?",
    re.ASCII,
)
_MONTHS = ("january february march april may june july august september october november december").split()
_DATES = (
    re.compile(r"(?P<day>\d{1,2}) (?P<month>[a-z]+)\.?,? (?P<year>\d{3,4})", re.ASCII),
    re.compile(r"(?P<month>[a-z]+)\.? (?P<day>\d{1,2}),? (?P<year>\d{3,4})", re.ASCII),
    re.compile(r"(?P<year>\d{4})-(?P<month>\d{2})-(?P<day>\d{2})", re.ASCII),
)
_CODE = re.compile(r"\.?([A-Z0-9][A-Z0-9-]{0,7})", re.ASCII)
_ARTICLE = re.compile(r"^the ")
_SHORT = {"mt": "mount", "st": "saint"}


@dataclass(frozen=True)
class Answer:
    """The gold answer and how it is compared.

    Attributes:
        kind: What the answer is.
        value: The answer as the corpus prints it (number, date and code: without unit or dot).
        aliases: Other spellings of a name.
        unit: The unit that a number may carry; any other unit is wrong.
        tolerance: Allowed relative error of a number; 0 means equal.
    """

    kind: Kind
    value: str
    aliases: tuple[str, ...] = ()
    unit: str = ""
    tolerance: float = 0.0

    def accepts(self, submitted: str | None) -> bool:
        """Tell whether a submission is this answer, and nothing else. Never raises."""
        if submitted is None or len(submitted) > MAX_ANSWER_CHARS:
            return False
        text = " ".join(unicodedata.normalize("NFKC", submitted).split())
        if not text:
            return False
        if self.kind == "name":
            return normal_name(text) in {normal_name(name) for name in (self.value, *self.aliases)} - {""}
        if self.kind == "code":
            return (code := read_code(text)) is not None and code == read_code(self.value)
        if self.kind == "date":
            return (day := read_date(text)) is not None and day == read_date(self.value)
        units = ("%", "percent", "per cent") if self.kind == "percent" else _UNITS.get(self.unit, ())
        number, gold = read_number(text, units), read_number(self.value, units)
        if number is None or gold is None:
            return False
        return abs(number - gold) <= abs(gold) * Decimal(repr(self.tolerance))


def normal_name(text: str) -> str:
    """Fold case, diacritics, punctuation, a leading article and common abbreviations."""
    folded = unicodedata.normalize("NFKD", text.casefold())
    plain = "".join(char for char in folded if not unicodedata.combining(char))
    plain = re.sub(r"['’‘`ʻʼ]", "", plain).replace("&", " and ")
    plain = re.sub(r"(?<=\b\w)\.", "", plain)  # "D.C." is "DC"
    # Separators between candidates survive as words of their own, so "A/B" is not "A B".
    plain = re.sub(r"([/|;+])", r" \1 ", plain)
    words = re.sub(r"[^\w/|;+]+|_", " ", plain).split()
    return _ARTICLE.sub("", " ".join(_SHORT.get(word, word) for word in words))


def read_number(text: str, units: tuple[str, ...] = ()) -> Decimal | None:
    """Read one number with thousands separators, scale word and one of ``units``; None if it is not one."""
    match = _NUMBER.fullmatch(text.strip().replace("−", "-").lower())
    if match is None or (match["unit"] is not None and match["unit"] not in units):
        return None
    value = Decimal(match["whole"].replace(",", "") + "." + (match["part"] or "0"))
    value = value.scaleb(_SCALES.get(match["scale"] or "", 0))
    return -value if match["sign"] == "-" else value


def read_date(text: str) -> date | None:
    """Read one full date in words or ISO form; ``03/08/1960`` is ambiguous and no date."""
    for pattern in _DATES:
        match = pattern.fullmatch(text.strip().lower())
        if match is None:
            continue
        month = match["month"]
        if month.isdigit():
            number = int(month)
        else:
            found = [i for i, name in enumerate(_MONTHS, 1) if len(month) >= 3 and name.startswith(month)]
            number = found[0] if len(found) == 1 else 0
        try:
            return date(int(match["year"]), number, int(match["day"]))
        except ValueError:
            return None
    return None


def read_code(text: str) -> str | None:
    """Read one short code, such as ``EUR`` or ``.fr``, without regard to case."""
    match = _CODE.fullmatch(text.strip().upper())
    return match[1] if match else None
