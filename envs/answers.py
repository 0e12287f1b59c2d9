"""Typed answer verification: one submitted string against one gold value.

The whole string must be one answer. A list of candidates, an answer inside a sentence, or a value with the
wrong unit is wrong. Numbers are read before any punctuation is dropped, so ``1.5`` and ``15`` differ, and
``10`` is never ``10%``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from typing import Literal

from thinkact.envs import answers_expression, answers_process
from thinkact.envs.answers_read import (
    PERCENT,
    UNITS,
    normal_name,
    read_boolean,
    read_code,
    read_date,
    read_items,
    read_literal,
    read_month,
    read_number,
    read_rational,
    read_time,
    says_unanswerable,
    squeeze,
)

__all__ = ["MAX_ANSWER_CHARS", "Answer", "Kind", "normal_name", "read_code", "read_date", "read_number"]

Kind = Literal[
    "name", "number", "percent", "date", "time", "code", "literal",
    "rational", "month", "boolean", "choice", "set", "list", "expression", "unanswerable",
]  # fmt: skip

#: Longer submissions are no answer to any question here; a set or list may have this much per item.
MAX_ANSWER_CHARS = 80


@dataclass(frozen=True)
class Answer:
    """The gold answer and how it is compared.

    Kinds: ``name`` (folded spelling, aliases), ``number`` and ``percent`` (plain digits; the percent sign may be
    left out of a percent and may not be put to a number), ``rational`` (exact value, also as ``3/4``,
    ``1 1/2`` or ``2.5e-3``), ``date``, ``time`` (of day: ``9:30``, ``9.30 Uhr`` and ``9:30 am`` are one),
    ``month`` (``2013-07``), ``code``, ``literal`` (the very characters, as a manual prints them, but for case and a
    pair of quotes around them), ``boolean``, ``choice`` (one of ``options`` in full), ``set`` (``items`` in
    any order, none twice), ``list`` (``items`` in order), ``expression`` (the same function of ``variables``) and
    ``unanswerable``.

    Attributes:
        kind: What the answer is.
        value: The answer as the corpus prints it (number, date and code: without unit or dot). Unused by
            ``set`` and ``list``.
        aliases: Other spellings of a name.
        unit: The unit that a number may carry (``"%"`` allows a percent sign); any other unit is wrong.
        tolerance: Allowed relative error of a number; 0 means equal.
        decimals: For ``rational``: decimals that were asked for. What rounds to the gold is accepted, so more
            digits than asked are no mistake.
        items: The golds of a set or list.
        options: What a choice is between.
        variables: Letters that an expression may use.
        expanded: Whether an expression must be multiplied out, like terms collected.
    """

    kind: Kind
    value: str = ""
    aliases: tuple[str, ...] = ()
    unit: str = ""
    tolerance: float = 0.0
    decimals: int | None = None
    items: tuple[Answer, ...] = ()
    options: tuple[str, ...] = ()
    variables: str = ""
    expanded: bool = False

    def __post_init__(self) -> None:
        """Refuse golds that nothing could be compared with: :meth:`accepts` does not raise.

        Raises:
            ValueError: The tolerance is no finite number from 0 on, or the expression is none.
        """
        if not 0 <= self.tolerance < float("inf"):
            raise ValueError(f"tolerance must be a finite number from 0 on, not {self.tolerance!r}.")
        if self.kind == "expression":
            answers_expression.parse(self.value, frozenset(self.variables))

    @property
    def text(self) -> str:
        """The answer as it may be submitted."""
        if self.kind in ("set", "list"):
            return "; ".join(item.text for item in self.items)
        return self.value or ("unanswerable" if self.kind == "unanswerable" else "")

    def accepts(self, submitted: str | None) -> bool:
        """Tell whether a submission is this answer, and nothing else. Nothing that is submitted makes it raise.

        Raises:
            EnvironmentFault: The process that judges expressions does not work; other kinds need none.
        """
        if submitted is None or len(submitted) > self._limit():
            return False
        text = squeeze(submitted)
        if not text:
            return False
        match self.kind:
            case "name":
                return normal_name(text) in {normal_name(name) for name in (self.value, *self.aliases)} - {""}
            case "code":
                return (code := read_code(text)) is not None and code == read_code(self.value)
            case "literal":
                return read_literal(text) in {read_literal(squeeze(each)) for each in (self.value, *self.aliases)}
            case "date":
                return (day := read_date(text)) is not None and day == read_date(self.value)
            case "time":
                return (clock := read_time(submitted)) is not None and clock == read_time(self.value)
            case "month":
                return (month := read_month(text)) is not None and month == read_month(self.value)
            case "boolean":
                return (truth := read_boolean(text)) is not None and truth == read_boolean(self.value)
            case "choice":
                return self._accepts_choice(text)
            case "set" | "list":
                # A single item may hold the commas that separate items elsewhere.
                return self._accepts_items(read_items(submitted)) or (
                    len(self.items) == 1 and self.items[0].accepts(submitted)
                )
            case "expression":
                asked = (submitted, self.value, self.variables, self.expanded)
                return answers_process.SHARED.ask("equal", *asked).right
            case "unanswerable":
                return says_unanswerable(text)
            case "rational":
                return self._accepts_rational(submitted)
            case "number" | "percent":
                return self._accepts_number(submitted)

    def _limit(self) -> int:
        if self.kind == "expression":
            return answers_expression.MAX_CHARS
        return max(MAX_ANSWER_CHARS * max(1, len(self.items)), len(self.text))

    def _accepts_choice(self, text: str) -> bool:
        exact = {squeeze(option).casefold() for option in self.options}
        if text.casefold() in exact:
            return text.casefold() == squeeze(self.value).casefold()
        # Folding takes "C#" for "C": it may decide only where it tells the options apart.
        folded = [normal_name(option) for option in self.options]
        name = normal_name(text)
        return bool(name) and folded.count(name) == 1 and name == normal_name(self.value)

    def _units(self) -> tuple[str, ...]:
        return PERCENT if self.kind == "percent" or self.unit == "%" else UNITS.get(self.unit, ())

    def _accepts_number(self, text: str) -> bool:
        number, gold = read_number(text, self._units()), read_number(self.value, self._units())
        if number is None or gold is None:
            return False
        return abs(number - gold) <= abs(gold) * Decimal(repr(self.tolerance))

    def _accepts_rational(self, text: str) -> bool:
        number, gold = read_rational(text, self._units()), read_rational(self.value, self._units())
        if number is None or gold is None:
            return False
        slack = abs(gold) * Fraction(repr(self.tolerance))
        if self.decimals is not None:
            # Half a unit, and a hair more for what binary floating point does to a tie such as 0.125.
            slack += Fraction(500_001, 1_000_000) / Fraction(10) ** self.decimals
        return abs(number - gold) <= slack

    def _accepts_items(self, given: Sequence[str] | None) -> bool:
        if given is None or len(given) != len(self.items):
            return False
        if self.kind == "list":
            return all(gold.accepts(item) for gold, item in zip(self.items, given, strict=True))
        return _matched(given, self.items)


def _matched(given: Sequence[str], golds: Sequence[Answer]) -> bool:
    """Tell whether items and golds can be paired off (augmenting paths: aliases and tolerances may overlap)."""
    fits = [[number for number, gold in enumerate(golds) if gold.accepts(item)] for item in given]
    owner: dict[int, int] = {}

    def place(item: int, tried: set[int]) -> bool:
        for gold in fits[item]:
            if gold not in tried:
                tried.add(gold)
                if gold not in owner or place(owner[gold], tried):
                    owner[gold] = item
                    return True
        return False

    return all(place(item, set()) for item in range(len(given)))
