"""Key-value tables, and the part of one that a forward pass reads and writes.

A table row belongs to one slot of the engine. Rows are padded on the right, each has its own length, and
the engine keeps the rows of the running batch at the front, so that a decode step works on plain views.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


def few_lengths(length: int) -> int:
    """Round a number of tokens up to one of few: multiples of 64 up to 512, of 128 up to 1024, and so on."""
    return _few(length, 64)


def few_rows(rows: int) -> int:
    """Round a number of rows up to one of few: 1, multiples of 2 up to 16, of 4 up to 32, and so on."""
    return _few(rows, 2) if rows > 1 else rows


def _few(number: int, step: int) -> int:
    while number > 8 * step:
        step *= 2
    return -(-number // step) * step


class KVTable:
    """Keys and values of all layers: per layer two tensors of shape (rows, heads, capacity, head_dim).

    A head's keys lie side by side, because that is how attention reads them: with the heads of a token side by
    side instead, the attention of a decoding step took 2 to 7 times as long on a CPU.

    Layers are allocated on first use, with the shapes the model writes; rows and capacity grow on demand.
    """

    def __init__(self, layers: int, *, dtype: torch.dtype, device: torch.device) -> None:
        """Create an empty table for `layers` layers."""
        self.dtype, self.device = dtype, device
        self.rows, self.capacity = 0, 0
        self.keys: list[Tensor | None] = [None] * layers
        self.values: list[Tensor | None] = [None] * layers

    def _tensors(self) -> list[Tensor]:
        return [t for t in (*self.keys, *self.values) if t is not None]

    @property
    def nbytes(self) -> int:
        """What keys and values take."""
        return sum(t.nbytes for t in self._tensors())

    def resize(self, rows: int, capacity: int) -> None:
        """Change to `rows` rows of `capacity` tokens, keeping what is stored in both; the capacity never shrinks."""
        if (rows, capacity) == (self.rows, self.capacity):
            return
        kept = min(rows, self.rows)
        for side in (self.keys, self.values):
            for i, old in enumerate(side):
                if old is not None:
                    side[i] = new = old.new_zeros(rows, old.shape[1], capacity, old.shape[3])
                    new[:kept, :, : self.capacity] = old[:kept]
        self.rows, self.capacity = rows, capacity

    def clear(self) -> None:
        """Free the memory."""
        self.keys, self.values = [None] * len(self.keys), [None] * len(self.values)
        self.rows, self.capacity = 0, 0

    def layer(self, index: int, key: Tensor, value: Tensor) -> tuple[Tensor, Tensor]:
        """Return layer `index`, allocating it for keys and values shaped (..., heads, head_dim)."""
        k, v = self.keys[index], self.values[index]
        if k is None or v is None:
            # Zeros, not empty: a masked key still meets a weight of 0, and 0 * NaN is NaN.
            k, v = (
                torch.zeros(
                    self.rows, new.shape[-2], self.capacity, new.shape[-1], dtype=self.dtype, device=self.device
                )
                for new in (key, value)
            )
            self.keys[index], self.values[index] = k, v
        return k, v

    def copy_row(self, source: int, targets: Sequence[int], length: int) -> None:
        """Copy the first `length` tokens of one row to others."""
        for tensor in self._tensors():
            for target in targets:
                tensor[target, :, :length] = tensor[source, :, :length]

    def swap_rows(self, a: int, b: int, length: int) -> None:
        """Exchange the first `length` tokens of two rows."""
        for tensor in self._tensors():
            kept = tensor[a, :, :length].clone()
            tensor[a, :, :length] = tensor[b, :, :length]
            tensor[b, :, :length] = kept


class Chunk:
    """New tokens of some rows, packed without padding: row `b` appends `counts[b]` tokens at `starts[b]`.

    Attributes:
        tokens: int64 (N,), the packed token ids, N = sum(counts).
        positions: int64 (N,), the position of each token in its row.
        owners: int64 (N,), the table row of each token.
        last: int64 (B,), the packed index of every row's last token.
        reach: T, how many keys the longest row has after this chunk; some more where that makes for few shapes.
        width: S, the largest count.
        attended: Rows, from the first on, that a pass may attend to in place of B, where that makes for few shapes;
            what comes of the others is of no use.
        mask: (B, 1, S, T) in the table's dtype, 0 or -inf; None where a single step masks nothing.
    """

    def __init__(
        self, table: KVTable, rows: Sequence[int], starts: Sequence[int], tokens: Sequence[Sequence[int]]
    ) -> None:
        """Pack `tokens[b]`, to be appended to row `rows[b]` at `starts[b]`."""
        device = table.device
        counts = [len(t) for t in tokens]
        self.batch, self.width = len(rows), max(counts)
        self.uniform = min(counts) == self.width
        self.reach = max(s + c for s, c in zip(starts, counts, strict=True))
        self.tokens = torch.tensor([t for row in tokens for t in row], device=device)
        start = torch.tensor(starts, device=device)
        row = torch.tensor(rows, device=device)
        if self.width == 1:
            self.positions, self.owners = start, row
            self.padded = self.last = torch.arange(self.batch, device=device)
        else:
            count = torch.tensor(counts, device=device)
            owner = torch.repeat_interleave(torch.arange(self.batch, device=device), count)
            first = count.cumsum(0) - count
            step = torch.arange(len(self.tokens), device=device) - first[owner]
            self.positions = start[owner] + step
            self.owners = row[owner]
            self.padded = owner * self.width + step  # index of each token in a (B * S) grid
            self.last = first + count - 1
        self.starts = start
        self.dtype = table.dtype
        contiguous = list(rows) == list(range(rows[0], rows[0] + len(rows)))
        self.select: slice | Tensor = slice(rows[0], rows[0] + len(rows)) if contiguous else row
        even = self.width == 1 and min(starts) == max(starts)
        self.attended = self.batch
        # oneDNN compiles a product of bf16 for every shape, and keeps up to 1024 of them of 0.6 MB: few shapes.
        if self.width == 1 and table.dtype == torch.bfloat16 and device.type == "cpu":
            # It copies operands that are not contiguous: attending some masked keys at the table's end costs less.
            whole = self.reach * 5 >= table.capacity * 3
            reach = table.capacity if whole else min(table.capacity, few_lengths(self.reach))
            even, self.reach = even and self.reach == reach, reach
            if contiguous:
                self.attended = min(few_rows(self.batch), table.rows - rows[0])
        self.mask = None if even else self.causal_mask()

    def causal_mask(self, window: int | None = None) -> Tensor:
        """Additive mask (B, 1, S, T): query i of row b sees keys j <= starts[b] + i, within `window`."""
        device = self.starts.device
        query = self.starts[:, None] + torch.arange(self.width, device=device)  # (B, S)
        key = torch.arange(self.reach, device=device)
        hidden = key > query[..., None]
        if window is not None:
            hidden |= key <= query[..., None] - window
        mask = torch.zeros(hidden.shape, dtype=self.dtype, device=device)
        return mask.masked_fill_(hidden, float("-inf")).unsqueeze(1)

    def spread(self, packed: Tensor) -> Tensor:
        """(N, ...) to (B, S, ...), zeros where a row has no token."""
        if self.uniform:
            return packed.view(self.batch, self.width, *packed.shape[1:])
        grid = packed.new_zeros(self.batch * self.width, *packed.shape[1:])
        return grid.index_copy_(0, self.padded, packed).view(self.batch, self.width, *packed.shape[1:])

    def gather(self, grid: Tensor) -> Tensor:
        """(B, S, ...) to (N, ...): the inverse of `spread`."""
        flat = grid.reshape(self.batch * self.width, *grid.shape[2:])
        return flat if self.uniform else flat.index_select(0, self.padded)

    def store(self, table: KVTable, layer: int, key: Tensor, value: Tensor) -> tuple[Tensor, Tensor]:
        """Write packed (N, heads, head_dim) keys and values; return both as (B, heads, T, head_dim)."""
        k, v = table.layer(layer, key, value)
        k.transpose(1, 2).index_put_((self.owners, self.positions), key)
        v.transpose(1, 2).index_put_((self.owners, self.positions), value)
        return k[self.select, :, : self.reach], v[self.select, :, : self.reach]

    def attend(self, table: KVTable, layer: int) -> tuple[Tensor, Tensor]:
        """Return the stored keys and values of all rows that may be attended to, (attended, heads, T, head_dim)."""
        assert isinstance(self.select, slice)
        rows = slice(self.select.start, self.select.start + self.attended)
        k, v = table.keys[layer], table.values[layer]
        assert k is not None and v is not None
        return k[rows, :, : self.reach], v[rows, :, : self.reach]
