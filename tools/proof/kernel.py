"""A Metamath proof checker: the part of the proof family that everything else rests on.

A proof is a list of labels in reverse Polish order. The checker knows one rule: replace the variables of an
earlier assertion by strings of the right kind, so that its hypotheses become what stands on the stack, and
respect its distinct-variable pairs.
"""

from __future__ import annotations

import itertools
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import NamedTuple

from thinkact.tools.proof.database import PROVABLE, Assertion, Database, MetamathError, Symbols, pair

#: No expression in a proof may have more symbols: substitution can double a string at every step.
MAX_SYMBOLS = 20_000
#: No proof may have more steps, recalled ones included.
MAX_STEPS = 200_000

#: What :func:`decompress` yields to say: keep the last step.
SAVE = -1


class Step(NamedTuple):
    """One proven expression: by which label, from which earlier ones (all mandatory hypotheses, in order)."""

    label: str
    symbols: Symbols
    premises: tuple[Step, ...]


def substitute(symbols: Symbols, replace: Mapping[str, Symbols]) -> Symbols:
    """Replace variables by strings of symbols, all at once.

    Raises:
        MetamathError: When the result is longer than :data:`MAX_SYMBOLS`.
    """
    out: list[str] = []
    for symbol in symbols:
        new = replace.get(symbol)
        if new is None:
            out.append(symbol)
        else:
            out.extend(new)
            if len(out) > MAX_SYMBOLS:
                raise MetamathError(f"an expression has more than {MAX_SYMBOLS} symbols.")
    return tuple(out)


def check_proof(
    database: Database,
    target: Assertion,
    proof: Sequence[str],
    *,
    refused: Collection[str] = (),
    free_dummies: bool = False,
) -> Step:
    """Check a proof of exactly ``target``, in plain or compressed form.

    Args:
        database: Where the cited assertions come from.
        target: The statement with its hypotheses and distinct pairs. Only assertions before ``target.index``
            may be cited, never the target itself.
        proof: The proof's tokens.
        refused: Labels that may not be cited although they stand earlier.
        free_dummies: Whether variables that the target does not mention count as distinct from all others.
            They may: a ``$d`` on such a variable does not change what is asserted.

    Returns:
        The last step, from which the whole derivation can be walked.

    Raises:
        MetamathError: When the proof does not prove the target.
    """
    checker = _Checker(database, target, refused, free_dummies)
    if proof and proof[0] == "(":
        checker.compressed(proof)
    else:
        for label in proof:
            checker.cite(label)
    if len(checker.stack) != 1:
        raise MetamathError(f"the proof leaves {len(checker.stack)} expressions, not one.")
    last = checker.stack[0]
    if last.symbols != target.symbols:
        raise MetamathError(f"the proof shows {' '.join(last.symbols[:40])}, not the statement.")
    return last


class _Checker:
    def __init__(self, database: Database, target: Assertion, refused: Collection[str], free_dummies: bool) -> None:
        self.database = database
        self.target = target
        self.refused = refused
        self.own = {each.label: each.symbols for each in target.hypotheses}
        self.apart = target.distinct | target.dummies
        self.mentioned = {each.symbols[1] for each in target.floats}
        self.free_dummies = free_dummies
        self.stack: list[Step] = []
        self.steps = 0

    def _push(self, step: Step) -> None:
        self.steps += 1
        if self.steps > MAX_STEPS:
            raise MetamathError(f"the proof has more than {MAX_STEPS} steps.")
        self.stack.append(step)

    def cite(self, label: str) -> None:
        symbols = self.own.get(label)
        if symbols is None:
            symbols = self.database.floats.get(label)
        if symbols is not None:
            self._push(Step(label, symbols, ()))
            return
        known = self.database.assertions.get(label)
        if known is None or known.index >= self.target.index or label == self.target.label or label in self.refused:
            raise MetamathError(f"{label[:60]!r} may not be cited here.")
        self._apply(known)

    def _apply(self, known: Assertion) -> None:
        count = len(known.hypotheses)
        if count > len(self.stack):
            raise MetamathError(f"{known.label} needs {count} expressions on the stack.")
        given = tuple(self.stack[len(self.stack) - count :])
        replace: dict[str, Symbols] = {}
        for want, have in zip(known.hypotheses, given, strict=True):
            if want.floating:
                if have.symbols[0] != want.symbols[0]:
                    raise MetamathError(f"{known.label}: {want.symbols[1]} stands for a {want.symbols[0]}.")
                replace[want.symbols[1]] = have.symbols[1:]
        for want, have in zip(known.hypotheses, given, strict=True):
            if not want.floating and substitute(want.symbols, replace) != have.symbols:
                raise MetamathError(f"{known.label}: hypothesis {want.label} is not what stands on the stack.")
        for one, other in sorted(known.distinct):
            self._check_apart(known.label, replace[one], replace[other])
        del self.stack[len(self.stack) - count :]
        self._push(Step(known.label, substitute(known.symbols, replace), given))

    def _check_apart(self, label: str, one: Symbols, other: Symbols) -> None:
        variables = self.database.variables
        # In order, and shared variables first: what a refused proof is told may not depend on hashing.
        firsts, seconds = (sorted(variables.keys() & set(symbols)) for symbols in (one, other))
        for a in firsts:
            if a in seconds:
                raise MetamathError(f"{label}: {a} stands in two places that must not share a variable.")
        for a, b in itertools.product(firsts, seconds):
            dummy = self.free_dummies and (a not in self.mentioned or b not in self.mentioned)
            if not dummy and pair(a, b) not in self.apart:
                raise MetamathError(f"{label}: {a} and {b} are not declared distinct.")

    def compressed(self, proof: Sequence[str]) -> None:
        saved: list[Step] = []
        for order in decompress(self.database, self.target, proof):
            if isinstance(order, str):
                self.cite(order)
            elif order == SAVE:
                saved.append(self.stack[-1])
            else:
                self._push(saved[order])


def decompress(database: Database, target: Assertion, proof: Sequence[str]) -> Iterator[str | int]:
    """Read a compressed proof: labels to cite, :data:`SAVE`, and numbers of saved steps to recall.

    Raises:
        MetamathError: When it is not well formed.
    """
    if ")" not in proof:
        raise MetamathError("a compressed proof has no ')'.")
    end = list(proof).index(")")
    mandatory = [each.label for each in target.hypotheses]
    labels = [*mandatory, *proof[1:end]]
    if set(mandatory) & set(proof[1:end]):
        raise MetamathError("a compressed proof lists a mandatory hypothesis.")
    number = saved = 0
    keepable = False  # a step that cites an assertion may be kept; a hypothesis or a recalled step may not
    for char in "".join(proof[end + 1 :]):
        if "A" <= char <= "T":
            number = 20 * number + ord(char) - 65
            if number >= len(labels) + saved:
                raise MetamathError("a compressed proof refers to a step that is not there.")
            keepable = len(mandatory) <= number < len(labels) and labels[number] in database.assertions
            yield labels[number] if number < len(labels) else number - len(labels)
            number = 0
        elif "U" <= char <= "Y":
            number = 5 * number + ord(char) - 84
            keepable = False
            if number > MAX_STEPS:
                raise MetamathError("a compressed proof refers to a step that is not there.")
        elif char == "Z" and keepable:
            yield SAVE
            saved += 1
            keepable = False
        else:
            raise MetamathError(f"{char!r} is out of place in a compressed proof.")
    if number:
        raise MetamathError("a compressed proof ends inside a number.")


def cited(database: Database, assertion: Assertion, *, most: int) -> tuple[str, ...] | None:
    """Return the labels of a theorem's proof in reverse Polish order, without syntax and with repeats written out.

    The proof is not checked here. None where there is no proof, or it cites more than ``most`` labels.
    """
    proof = assertion.proof
    if not proof:
        return None
    own = {each.label: each.floating for each in assertion.hypotheses}
    stack: list[tuple[str, ...]] = []
    saved: list[tuple[str, ...]] = []
    for order in decompress(database, assertion, proof) if proof[0] == "(" else proof:
        if isinstance(order, int):
            if order == SAVE:
                saved.append(stack[-1])
            else:
                stack.append(saved[order])
            continue
        known = database.assertions.get(order)
        if known is None:
            if not own.get(order, True):
                stack.append((order,))
            elif order in database.floats:
                stack.append(())
            else:
                return None
            continue
        count = len(known.hypotheses)
        if count > len(stack):
            return None
        parts = stack[len(stack) - count :]
        del stack[len(stack) - count :]
        labels = (order,) if known.symbols[0] == PROVABLE else ()
        stack.append((*(label for part in parts for label in part), *labels) if labels else ())
        if len(stack[-1]) > most:
            return None
    return stack[0] if len(stack) == 1 else None
