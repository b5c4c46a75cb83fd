"""Encoded examples as views into a memory-mapped Arrow column."""

from __future__ import annotations

from bisect import bisect_right
from typing import Any

import numpy as np


class ArrowExamples:
    """Rows of an Arrow list column, each an array [*lead, length] that copies nothing.

    ``rows`` [N] are the rows to show (all, by default); ``lead`` are the dimensions before the last one, the
    same for all examples: () for token ids, (2,) for the ids and counts of a bag of words.
    """

    def __init__(
        self,
        column: Any,
        lead: tuple[int, ...] = (),
        rows: np.ndarray | None = None,
        labels: np.ndarray | None = None,
    ):
        chunks = [chunk for chunk in column.chunks if len(chunk)]
        self._values = [chunk.values.to_numpy(zero_copy_only=True) for chunk in chunks]
        self._offsets = [chunk.offsets.to_numpy(zero_copy_only=True) for chunk in chunks]
        self._starts: list[int] = np.cumsum([0] + [len(chunk) for chunk in chunks]).tolist()
        self._shape, self._rows, self.labels = (*lead, -1), rows, labels
        sizes = [np.diff(offsets) // int(np.prod(lead, dtype=int)) for offsets in self._offsets]
        lengths = np.concatenate(sizes).astype(np.int32) if sizes else np.zeros(0, np.int32)
        self.lengths: np.ndarray = lengths if rows is None else lengths[rows]

    def __len__(self) -> int:
        return len(self.lengths)

    def __getitem__(self, index: int) -> np.ndarray:
        place = index + len(self) if index < 0 else index
        if not 0 <= place < len(self):
            raise IndexError(f"there are {len(self)} examples, none has the number {index}")
        row = place if self._rows is None else self._rows[place]
        chunk = bisect_right(self._starts, row) - 1
        offsets, at = self._offsets[chunk], row - self._starts[chunk]
        flat: np.ndarray = self._values[chunk][offsets[at] : offsets[at + 1]]
        return flat if len(self._shape) == 1 else flat.reshape(self._shape)
