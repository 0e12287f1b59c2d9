"""Slots, and the rows of a key-value table that hold their keys: who is where, and who gives way.

A slot is an episode's tokens, a row is memory. Where memory is limited, slots outnumber rows: those beyond hold tokens
only, and their keys are computed anew when they are asked for next (preemption by recomputation, as in vLLM, arXiv
2309.06180, section 4.5).
"""

from __future__ import annotations

from collections.abc import Container, Sequence
from dataclasses import dataclass, field

from thinkact.policies.generation import EngineFull
from thinkact.policies.kv import KVTable, few_lengths, few_rows

_MIN_PREFIX = 16  # shorter shared openings are not worth a pass of their own


@dataclass
class Slot:
    """One episode.

    Attributes:
        row: Of the table; from `KVTable.rows` on there is no such row, and nothing is stored.
        tokens: All tokens so far, given and sampled.
        stored: How many of `tokens` have keys in the row.
        stale: Tokens of an earlier owner whose keys are still in the row, while nothing is stored.
        open: Whether an episode has it.
    """

    row: int
    tokens: list[int] = field(default_factory=list)
    stored: int = 0
    stale: list[int] = field(default_factory=list)
    open: bool = False

    def known(self, tokens: Sequence[int]) -> int:
        """Return how many of its tokens, short of the last one, others open with too; 0 where that is not worth it."""
        return _worthwhile(self, _common(self.tokens, tokens))


def opening(slots: Sequence[Slot]) -> int:
    """Return the length of the opening that all slots share, short of any one's last token; 0 for a single slot."""
    if len(slots) < 2:
        return 0
    return min(_worthwhile(s, _common(slots[0].tokens, s.tokens)) for s in slots)


def _worthwhile(slot: Slot, length: int) -> int:
    length = min(length, len(slot.tokens) - 1)  # the last one has to be computed: its logits are wanted
    return length if length >= _MIN_PREFIX else 0


def _common(a: Sequence[int], b: Sequence[int]) -> int:
    """Length of the common prefix, by bisection on slices (compared in C)."""
    low, high = 0, min(len(a), len(b))
    while low < high:
        middle = (low + high + 1) // 2
        if a[low:middle] == b[low:middle]:
            low = middle
        else:
            high = middle - 1
    return low


class Slots:
    """All slots of an engine over its table.

    Args:
        table: Where keys are.
        max_slots: Slots that can be open at once.
        max_len: Tokens per slot.
        max_bytes: Of the table; None for as many as the slots need.
        token_bytes: What one token takes.

    Raises:
        ValueError: `max_bytes` do not hold one slot of `max_len` tokens.

    Attributes:
        evicted_tokens: Tokens of open slots whose keys gave way to others.
    """

    def __init__(
        self, table: KVTable, *, max_slots: int, max_len: int, max_bytes: int | None, token_bytes: int
    ) -> None:
        self.table, self.max_slots, self.max_len = table, max_slots, max_len
        self._max_bytes, self._token_bytes = max_bytes, token_bytes
        self.all = [Slot(row=i) for i in range(max_slots)]
        self._at = list(range(max_slots))  # row to slot
        self.evicted_tokens = 0
        if max_bytes is not None and max_bytes < max_len * token_bytes:
            raise ValueError(
                f"one episode of max_len={max_len} tokens takes {max_len * token_bytes} bytes of keys and values, more "
                f"than max_kv_bytes={max_bytes}: raise that, or lower max_len to {max_bytes // token_bytes}."
            )

    def open(self) -> int:
        """Take a free slot.

        Raises:
            EngineFull: All `max_slots` are open.
        """
        for index in self._at:  # by row, so that live rows stay dense
            slot = self.all[index]
            if not slot.open:
                slot.open = True
                return index
        raise EngineFull(f"all {self.max_slots} slots are open: close one or raise max_slots")

    def get(self, index: int) -> Slot:
        """Return an open slot.

        Raises:
            ValueError: It is unknown or closed.
        """
        if not 0 <= index < self.max_slots or not self.all[index].open:
            raise ValueError(f"slot {index} is not open")
        return self.all[index]

    def close(self, index: int) -> None:
        """Free a slot. Its keys stay as a source of shared openings until the row is reused."""
        slot = self.get(index)
        if slot.stored:
            slot.stale = slot.tokens[: slot.stored]
        slot.tokens, slot.stored, slot.open = [], 0, False

    def fork(self, index: int) -> int:
        """Open a slot with the tokens of another, and with its keys where a row is left.

        Raises:
            EngineFull: All `max_slots` are open.
            ValueError: The other is unknown or closed.
        """
        source = self.get(index)
        copy = self.open()
        target = self.all[copy]
        target.tokens = list(source.tokens)
        if source.stored and target.row < self.room(source.stored):
            self._reserve(target.row + 1, source.stored)
            self.table.copy_row(source.row, [target.row], source.stored)
            target.stored, target.stale = source.stored, []
        return copy

    def forget(self) -> None:
        """Drop all keys; tokens stay."""
        for slot in self.all:
            slot.stored, slot.stale = 0, []
        if self._max_bytes is not None:  # a long row of the past shall not keep the table narrow
            self.table.clear()

    def room(self, length: int) -> int:
        """Return how many rows of `length` tokens there may be."""
        if self._max_bytes is None:
            return self.max_slots
        return min(self.max_slots, self._max_bytes // (self._token_bytes * self._capacity(length)))

    def bring(self, indices: Sequence[int], length: int) -> None:
        """Bring slots to the first rows, in this order, with room for `length` tokens; others may lose their keys.

        Args:
            indices: Of the slots, at most `room(length)`.
            length: Tokens.
        """
        room = self.room(length)
        rows = min(room, max(len(indices), 1 + max(self.all[i].row for i in indices)))
        # Longer rows may have to be fewer: then the slots move first.
        self._reserve(rows, length if room >= self.table.rows else 0)
        self._settle(indices)
        for row, index in enumerate(indices):
            self.place(index, row)
        self._reserve(rows, length)

    def place(self, index: int, row: int) -> None:
        """Bring slot `index` to `row`; the slot there takes its place. Both rows are in the table."""
        slot, other = self.all[index], self.all[self._at[row]]
        if slot is other:
            return
        old = slot.row
        if not other.stored:
            if slot.stored:
                self.table.copy_row(old, [row], slot.stored)
                other.stale = slot.tokens[: slot.stored]  # a move leaves its source behind as a copy
            else:
                slot.stale, other.stale = other.stale, slot.stale
        else:
            self.table.swap_rows(old, row, max(slot.stored, other.stored))
            slot.stale = other.stale = []
        self._exchange(slot, other)

    def donors(self, busy: Container[int]) -> list[tuple[int, list[int]]]:
        """Return the rows of all slots but those that are busy, each with the tokens whose keys it holds."""
        return [
            (s.row, s.tokens[: s.stored] or s.stale)
            for index, s in enumerate(self.all)
            if index not in busy and (s.stored or s.stale)
        ]

    def borrow(self, slot: Slot, donors: Sequence[tuple[int, Sequence[int]]]) -> None:
        """Copy the longest known opening of a fresh slot from the rows that have it."""
        best, source = slot.stored, -1
        for row, tokens in donors:
            if row != slot.row and len(tokens) > best and (match := slot.known(tokens)) > best:
                best, source = match, row
        if source >= 0:
            self.table.copy_row(source, [slot.row], best)
            slot.stored = best

    def _exchange(self, slot: Slot, other: Slot) -> None:
        self._at[slot.row], self._at[other.row] = self._at[other.row], self._at[slot.row]
        slot.row, other.row = other.row, slot.row

    def _settle(self, indices: Sequence[int]) -> None:
        """Give each of the slots a row of the table; of the others, those go first that lose least."""
        mine = set(indices)
        for index in indices:
            slot = self.all[index]
            if slot.row >= self.table.rows:
                others = (self.all[i] for i in self._at[: self.table.rows] if i not in mine)
                other = min(others, key=lambda s: (s.stored, len(s.stale), s.row))
                slot.stale = other.tokens[: other.stored] or other.stale
                self._evict(other)
                self._exchange(slot, other)

    def _evict(self, slot: Slot) -> None:
        self.evicted_tokens += slot.stored
        slot.stored, slot.stale = 0, []

    def _capacity(self, length: int) -> int:
        """Return the table's length once it holds rows of `length` tokens."""
        return max(1, self.table.capacity, min(few_lengths(length), self.max_len))

    def _reserve(self, rows: int, length: int) -> None:
        """Make room for `rows` rows of `length` tokens, as far as memory allows."""
        if rows > self.table.rows:
            rows = few_rows(max(rows, self.table.rows * 3 // 2))
        rows = min(max(rows, self.table.rows), self.room(length))
        for index in self._at[rows:]:
            self._evict(self.all[index])
        self.table.resize(rows, self._capacity(length) if length else self.table.capacity)
