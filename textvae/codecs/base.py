"""What every codec does: raw data (a sentence, a document, a picture) to arrays and back."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np
from torch import Tensor

PAD, UNK, BOS, EOS = 0, 1, 2, 3
"""Ids of the special tokens, the same in every token codec; words begin at 4."""


class Codec(ABC):
    """Raw examples to arrays (``encode``), arrays to a batch (``collate``), a batch to raw examples (``decode``)."""

    pads: bool = False
    """Whether a batch is as wide as its longest example. Where it is not, batches of one length would save nothing,
    and their gradients and batch norms would speak of long examples at one step and of short ones at the next."""

    @classmethod
    @abstractmethod
    def fit(cls, raw: Iterable[Any], *args: Any, **options: Any) -> Self:
        """Learn a vocabulary (or a shape) from raw examples, read once, in memory that does not grow with them."""

    @abstractmethod
    def encode(self, raw: Sequence[Any]) -> list[np.ndarray]:
        """One array per example, in the smallest dtype that holds it; never empty-handed: one out for one in."""

    @abstractmethod
    def collate(self, examples: Sequence[np.ndarray], rng: np.random.Generator | None = None) -> Tensor:
        """Encoded examples to a batch x [B, …]; one that draws draws anew with ``rng``, that of a training step."""

    def targets(self, examples: Sequence[np.ndarray], rng: np.random.Generator | None = None) -> Tensor | None:
        """What is to be written of encoded examples [B, …], where that is not x itself; drawn as x is."""
        return None

    @abstractmethod
    def decode(self, x: Tensor) -> list[Any]:
        """A batch x [B, …], as it is written, to B raw examples."""

    @property
    @abstractmethod
    def dims(self) -> dict[str, Any]:
        """The sizes that the parts of a model are built from, by the names of their arguments."""

    @property
    def picture_shape(self) -> tuple[int, ...] | None:
        """The shape (C, H, W) of the pictures that it reads; None for one that reads something else."""
        return None

    @property
    def written(self) -> "Codec":
        """The codec of what is written, from whose ``dims`` the parts that write are built: itself, or of targets."""
        return self

    @property
    @abstractmethod
    def fingerprint(self) -> str:
        """A hash of all that ``encode`` depends on: the key of any cache of encoded examples."""

    @abstractmethod
    def save(self, folder: Path) -> None:
        """Write the state into a model folder."""

    @classmethod
    @abstractmethod
    def load(cls, folder: Path, *args: Any, **options: Any) -> Self:
        """Read what ``save`` wrote; CorruptFolder if it is missing or damaged."""
