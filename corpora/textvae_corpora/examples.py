"""Encoded examples as views into memory-mapped Arrow files."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from typing import Any

import numpy as np

READS = 768  # between two mappings of the files: each read may map 128 KB, which count as memory of this process


class ArrowExamples:
    """Rows of the column ``ids`` of Arrow files, each an array [*lead, length] that copies nothing.

    ``rows`` [N] are the rows to show (all, by default); ``lead`` are the dimensions before the last one, the
    same for all examples: () for token ids, (2,) for the ids and counts of a bag of words. The files are mapped
    anew now and then, so that what was read leaves the memory of this process and not that of the system.
    """

    def __init__(
        self,
        files: Sequence[str],
        lead: tuple[int, ...] = (),
        rows: np.ndarray | None = None,
        labels: np.ndarray | None = None,
    ):
        self._files, self._shape, self._rows, self.labels = files, (*lead, -1), rows, labels
        self._map()
        self._starts: list[int] = np.cumsum([0] + [len(offsets) - 1 for offsets in self._offsets]).tolist()
        sizes = [np.diff(offsets) // int(np.prod(lead, dtype=int)) for offsets in self._offsets]
        lengths = np.concatenate(sizes).astype(np.int32) if sizes else np.zeros(0, np.int32)
        self.lengths: np.ndarray = lengths if rows is None else lengths[rows]
        self._map()

    def _map(self) -> None:
        """Map the files; what was mapped is let go of."""
        import pyarrow as pa

        self._reads = 0
        self._values: list[np.ndarray] = []
        self._offsets: list[np.ndarray] = []
        for file in self._files:
            with pa.memory_map(file) as mapped:
                column: Any = pa.ipc.open_stream(mapped).read_all().column("ids")
            for chunk in column.chunks:
                if len(chunk):
                    self._values.append(chunk.values.to_numpy(zero_copy_only=True))
                    self._offsets.append(chunk.offsets.to_numpy(zero_copy_only=True))

    def __len__(self) -> int:
        return len(self.lengths)

    def __getitem__(self, index: int) -> np.ndarray:
        place = index + len(self) if index < 0 else index
        if not 0 <= place < len(self):
            raise IndexError(f"there are {len(self)} examples, none has the number {index}")
        row = place if self._rows is None else self._rows[place]
        self._reads += 1
        if self._reads > READS:
            self._map()
        chunk = bisect_right(self._starts, row) - 1
        offsets, at = self._offsets[chunk], row - self._starts[chunk]
        flat: np.ndarray = self._values[chunk][offsets[at] : offsets[at + 1]]
        return flat if len(self._shape) == 1 else flat.reshape(self._shape)
