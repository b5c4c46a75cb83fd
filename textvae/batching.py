"""Batches in an order computed from (seed, epoch), so that a run resumes from two numbers."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple, Protocol

import numpy as np
import torch
from torch import Tensor

WINDOW = 64  # batches whose examples are sorted by length together: little padding, and still a random order
SAMPLE = 256  # windows that are cut to learn how many batches an epoch has, where lengths decide it
ROUNDS = 6  # of the Feistel network; 4 are a pseudorandom permutation (Luby & Rackoff 1988)


class Batch(NamedTuple):
    """x [B, …] and, where the corpus has labels, y [B] with −1 for "unlabelled".

    An autoencoder writes what it reads. Where the two differ (a picture and its caption), x is what is read, and
    ``target`` [B, …] what is written.

    Where several processes divide a batch, ``share`` is the part of its examples that this process has. One for
    which there are none computes another's example for nothing: its share is 0.
    """

    x: Tensor
    y: Tensor | None = None
    share: float = 1.0
    target: Tensor | None = None

    @property
    def scored(self) -> Tensor:
        """What log p(·|z) is of: the target, or x itself."""
        return self.x if self.target is None else self.target

    def to(self, device: torch.device) -> "Batch":
        """The batch on ``device``."""
        y, target = (None if t is None else t.to(device, non_blocking=True) for t in (self.y, self.target))
        return Batch(self.x.to(device, non_blocking=True), y, self.share, target)


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


class Targets(Protocol):
    """Encoded examples to what is written of them [B, …], as ``Collate``; None where that is x itself."""

    def __call__(self, examples: Sequence[np.ndarray], rng: np.random.Generator | None = None, /) -> Tensor | None: ...


class ListExamples:
    """Encoded examples in memory: the last dimension of an array is its length."""

    def __init__(self, arrays: Sequence[np.ndarray], labels: np.ndarray | None = None):
        self._arrays, self.labels = arrays, labels
        self.lengths: np.ndarray = np.fromiter((a.shape[-1] for a in arrays), np.int32, len(arrays))

    def __len__(self) -> int:
        return len(self._arrays)

    def __getitem__(self, index: int) -> np.ndarray:
        return self._arrays[index]


class Repeated:
    """Some rows of ``examples`` more than once: row i is the example ``rows``[i]."""

    def __init__(self, examples: Examples, rows: np.ndarray):
        self._examples, self._rows = examples, rows
        self.lengths: np.ndarray = examples.lengths[rows]
        self.labels: np.ndarray | None = None if examples.labels is None else examples.labels[rows]

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, index: int) -> np.ndarray:
        return self._examples[int(self._rows[index])]


class Batches:
    """Cuts examples into batches of ``batch_size``, neighbours in length together unless ``by_length`` is off.

    Shuffled, every epoch has its own order, which depends on (seed, epoch) alone, and each batch a random generator
    of its own for ``collate(examples, rng)``; otherwise the order is that of length, and it is ``collate(examples)``.
    No example is left out and none comes twice. A shuffled epoch is planned window by window, each from its number
    alone: neither the order nor the plan of a large corpus is ever in memory.
    """

    def __init__(
        self,
        examples: Examples,
        collate: Collate,
        batch_size: int,
        seed: int = 0,
        shuffle: bool = True,
        max_tokens: int | None = None,
        by_length: bool = True,
        targets: Targets | None = None,
    ):
        self.examples, self.collate, self.batch_size, self.by_length = examples, collate, batch_size, by_length
        self.targets = targets
        self.seed, self.shuffle, self.max_tokens = seed, shuffle, max_tokens

    def plan(self, epoch: int = 0, start: int = 0) -> Iterator[np.ndarray]:
        """The row numbers of each batch of an epoch, from batch ``start`` on."""
        if not self.shuffle:
            yield from self._cut(np.argsort(self.examples.lengths, kind="stable"))[start:]
            return
        skipped = 0 if self.max_tokens else start // WINDOW  # without a budget every window but the last is full
        start -= skipped * WINDOW
        for number in range(skipped, self._windows):
            cut = self._window(epoch, number)
            yield from cut[start:]
            start = max(0, start - len(cut))

    def planned(self) -> int:
        """The number of batches of an epoch; under a token budget that of the first one, estimated if it is long."""
        if not self.max_tokens:
            return -(-len(self.examples) // self.batch_size)
        if not self.shuffle:
            return sum(1 for _ in self.plan())
        numbers = np.unique(np.linspace(0, self._windows - 1, min(SAMPLE, self._windows)).astype(int))
        return round(sum(len(self._window(0, i)) for i in numbers.tolist()) * self._windows / max(1, len(numbers)))

    @property
    def _windows(self) -> int:
        return -(-len(self.examples) // (WINDOW * self.batch_size))

    def _window(self, epoch: int, number: int) -> list[np.ndarray]:
        """The batches of a window of an epoch, in random order."""
        n, size = len(self.examples), WINDOW * self.batch_size
        rows = shuffled(np.arange(number * size, min(n, (number + 1) * size)), n, (self.seed, epoch))
        if self.by_length:
            rows = rows[np.argsort(self.examples.lengths[rows], kind="stable")]
        cut = self._cut(rows)
        return [cut[i] for i in np.random.default_rng((self.seed, epoch, number)).permutation(len(cut))]

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

    def take(self, rows: np.ndarray, rng: np.random.Generator | None = None, rank: int = 0, size: int = 1) -> Batch:
        """The batch of the given rows, or what process ``rank`` of ``size`` has of it: every ``size``-th row."""
        own = rows[rank::size]
        share = len(own) / len(rows)
        own = own if len(own) else rows[:1]
        labels = self.examples.labels
        examples = [self.examples[int(i)] for i in own]
        given = () if rng is None else (rng,)
        x = self.collate(examples, *given)
        target = None if self.targets is None else self.targets(examples, *given)
        return Batch(x, None if labels is None else torch.from_numpy(labels[own]), share, target)

    def epoch(self, epoch: int = 0, start: int = 0, rank: int = 0, size: int = 1) -> Iterator[Batch]:
        """The batches of an epoch, from batch ``start`` on, or what process ``rank`` of ``size`` has of each."""
        for i, rows in enumerate(self.plan(epoch, start), start):
            rng = np.random.default_rng([self.seed, epoch, i, rank]) if self.shuffle else None
            yield self.take(rows, rng, rank, size)


def shuffled(places: np.ndarray, n: int, seeds: Sequence[int]) -> np.ndarray:
    """What stands at ``places`` [M] of a random order of 0 … n − 1, int64 [M]; the order itself is not made.

    A Feistel network permutes the numbers of as many bits as n − 1 has (rounded up to an even number); where it
    leads out of the range it is applied again, which stays a permutation (Black & Rogaway 2002, §3).
    """
    half = np.uint64(max(1, (int(n - 1).bit_length() + 1) // 2))
    mask = np.uint64((1 << int(half)) - 1)
    keys = np.random.default_rng(seeds).integers(0, 2**63, ROUNDS, dtype=np.uint64)
    found = places.astype(np.uint64)
    outside = np.ones(len(found), dtype=bool)
    while outside.any():
        left, right = found[outside] >> half, found[outside] & mask
        for key in keys:
            mixed = (right + key) * np.uint64(0xBF58476D1CE4E5B9)  # the multipliers are SplitMix64's
            mixed = (mixed ^ (mixed >> np.uint64(29))) * np.uint64(0x94D049BB133111EB)
            left, right = right, left ^ ((mixed >> np.uint64(32)) & mask)
        found[outside] = left << half | right
        outside = found >= n
    return found.astype(np.int64)
