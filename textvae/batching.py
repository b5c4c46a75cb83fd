"""Batches in an order computed from (seed, epoch), so that a run resumes from two numbers."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple, Protocol

import numpy as np
import torch
from torch import Tensor

WINDOW = 64  # batches whose examples are sorted by length together: little padding, and still a random order


class Batch(NamedTuple):
    """x [B, …] and, where the corpus has labels, y [B] with −1 for "unlabelled"."""

    x: Tensor
    y: Tensor | None = None

    def to(self, device: torch.device) -> "Batch":
        """The batch on ``device``."""
        y = None if self.y is None else self.y.to(device, non_blocking=True)
        return Batch(self.x.to(device, non_blocking=True), y)


class Examples(Protocol):
    """Encoded examples, in memory or mapped from disk."""

    @property
    def lengths(self) -> np.ndarray:
        """int32 [N]: tokens, or other units of cost."""

    @property
    def labels(self) -> np.ndarray | None:
        """int64 [N] or None."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> np.ndarray: ...


class Collate(Protocol):
    """Encoded examples to a batch x [B, …], with the random generator of a training step or without."""

    def __call__(self, examples: Sequence[np.ndarray], rng: np.random.Generator | None = None, /) -> Tensor: ...


class ListExamples:
    """Encoded examples in memory: the last dimension of an array is its length."""

    def __init__(self, arrays: Sequence[np.ndarray], labels: np.ndarray | None = None):
        self._arrays, self.labels = arrays, labels
        self.lengths: np.ndarray = np.fromiter((a.shape[-1] for a in arrays), np.int32, len(arrays))

    def __len__(self) -> int:
        return len(self._arrays)

    def __getitem__(self, index: int) -> np.ndarray:
        return self._arrays[index]


class Batches:
    """Cuts examples into batches of ``batch_size``, neighbours in length together.

    Shuffled, every epoch has its own order, which depends on (seed, epoch) alone, and each batch a random generator
    of its own for ``collate(examples, rng)``; otherwise the order is that of length, and it is ``collate(examples)``.
    No example is left out and none comes twice.
    """

    def __init__(
        self,
        examples: Examples,
        collate: Collate,
        batch_size: int,
        seed: int = 0,
        shuffle: bool = True,
        max_tokens: int | None = None,
    ):
        self.examples, self.collate, self.batch_size = examples, collate, batch_size
        self.seed, self.shuffle, self.max_tokens = seed, shuffle, max_tokens

    def plan(self, epoch: int) -> list[np.ndarray]:
        """The row numbers of each batch of an epoch."""
        lengths, n = self.examples.lengths, len(self.examples)
        if not self.shuffle:
            return self._cut(np.argsort(lengths, kind="stable"))
        rng = np.random.default_rng([self.seed, epoch])
        order = rng.permutation(n)
        batches: list[np.ndarray] = []
        window = WINDOW * self.batch_size
        for start in range(0, n, window):
            rows = order[start : start + window]
            cut = self._cut(rows[np.argsort(lengths[rows], kind="stable")])
            batches += [cut[i] for i in rng.permutation(len(cut))]
        return batches

    def _cut(self, rows: np.ndarray) -> list[np.ndarray]:
        """Rows in order of length to batches of at most batch_size rows and max_tokens padded tokens."""
        if self.max_tokens is None:
            return [rows[i : i + self.batch_size] for i in range(0, len(rows), self.batch_size)]
        batches, start, lengths = [], 0, self.examples.lengths[rows]
        for end in range(1, len(rows) + 1):
            full = end - start == self.batch_size
            if end == len(rows) or full or (end + 1 - start) * lengths[end] > self.max_tokens:
                batches.append(rows[start:end])
                start = end
        return batches

    def take(self, rows: np.ndarray, rng: np.random.Generator | None = None) -> Batch:
        """The batch of the given rows."""
        labels = self.examples.labels
        examples = [self.examples[int(i)] for i in rows]
        x = self.collate(examples) if rng is None else self.collate(examples, rng)
        return Batch(x, None if labels is None else torch.from_numpy(labels[rows]))

    def epoch(self, epoch: int = 0, start: int = 0) -> Iterator[Batch]:
        """The batches of an epoch, from batch ``start`` on."""
        for i, rows in enumerate(self.plan(epoch)[start:], start):
            yield self.take(rows, np.random.default_rng([self.seed, epoch, i]) if self.shuffle else None)
