"""Texts that lie in a memory-mapped Arrow file: a sequence of str that takes no memory of its own."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, overload

import numpy as np

if TYPE_CHECKING:
    from datasets import Dataset

_BATCH = 10_000
_READS = 100_000  # texts, between two mappings of the file: what is mapped counts as memory of this process


class Stored:
    """The dataset of a corpus, which all views of it share: one mapping of one file."""

    def __init__(self, dataset: Dataset):
        self.dataset = dataset
        self.chunks: list[Any] = dataset.data.column("text").chunks
        self.reads = 0

    def reopen(self) -> None:
        """Map the file anew: the pages that were read leave the memory of this process."""
        from datasets import Dataset

        self.reads = 0
        if len(files := self.dataset.cache_files) == 1:
            self.dataset = Dataset.from_file(files[0]["filename"])
            self.chunks = self.dataset.data.column("text").chunks


class Texts(Sequence[str]):
    """The rows ``rows`` [N] (all, by default) of the column ``text`` of a dataset.

    ``fingerprint`` is a hash of these texts, ``source`` one of all texts of the dataset.
    """

    def __init__(self, stored: Stored, fingerprint: str, rows: np.ndarray | None = None, source: str | None = None):
        self.stored, self.fingerprint, self.rows = stored, fingerprint, rows
        self.source = fingerprint if source is None else source
        self._starts = np.cumsum([0] + [len(chunk) for chunk in stored.chunks])

    @property
    def dataset(self) -> Dataset:
        """All texts, and those beside them."""
        return self.stored.dataset

    def select(self, rows: np.ndarray, fingerprint: str) -> Texts:
        """A view of some rows, in the order given."""
        return Texts(self.stored, fingerprint, rows if self.rows is None else self.rows[rows], self.source)

    def __len__(self) -> int:
        return int(self._starts[-1]) if self.rows is None else len(self.rows)

    @overload
    def __getitem__(self, index: int) -> str: ...
    @overload
    def __getitem__(self, index: slice) -> list[str]: ...
    def __getitem__(self, index: int | slice) -> str | list[str]:
        if isinstance(index, slice):
            return self._gather(np.arange(len(self))[index])
        place = int(index) + len(self) if index < 0 else int(index)
        if not 0 <= place < len(self):
            raise IndexError(f"there are {len(self)} texts, none has the number {index}")
        return self._gather(np.array([place]))[0]

    def __iter__(self) -> Iterator[str]:
        for start in range(0, len(self), _BATCH):
            yield from self._gather(np.arange(start, min(start + _BATCH, len(self))))

    def __repr__(self) -> str:
        return f"Texts({len(self):,} in {self.fingerprint})"

    def _gather(self, places: np.ndarray) -> list[str]:
        """Take from each chunk apart: Arrow's own take on a chunked column copies all of it first."""
        self.stored.reads += len(places)
        if self.stored.reads > _READS:
            self.stored.reopen()
        rows = places if self.rows is None else self.rows[places]
        which = np.searchsorted(self._starts, rows, side="right") - 1
        texts: list[str] = []
        for run in np.split(np.arange(len(rows)), np.flatnonzero(np.diff(which)) + 1):
            if len(run):
                chunk = which[run[0]]
                texts += self.stored.chunks[chunk].take(rows[run] - self._starts[chunk]).to_pylist()
        return texts
