"""What a reader is asked for (Options), what it gives (Split), and what a training run takes (Corpus)."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np


@dataclass(frozen=True)
class Options:
    """How a source is read."""

    text_column: str | None = None
    label_column: str | None = None
    encoding: str = "utf-8"
    limit: int | None = None
    seed: int = 0
    size: tuple[int, int] | None = None
    """Height and width that pictures are brought to."""
    colour: bool | None = None
    """Whether pictures are brought to three channels, or to one."""


@dataclass(frozen=True)
class Split:
    """The examples of one source, in order. ``labels`` [N] are ids into ``classes``, -1 for none."""

    examples: Sequence[Any]
    kind: str
    fingerprint: str
    labels: np.ndarray | None = None
    classes: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    vocabulary: tuple[str, ...] = ()
    """The words of a corpus of documents that is published with them; a codec of bags takes these and no others."""
    names: Sequence[str] | None = None
    """What each example is called [N]: the name of its file, say."""
    captions: Sequence[Sequence[str]] | None = None
    """What is said of each picture [N]: none, one caption or more."""


Splits = Mapping[str, Callable[[], Split]]
"""The splits of a source ("train", "valid", "test", or "all" of an undivided one), read on demand."""


@dataclass(frozen=True)
class Corpus:
    """Raw examples to train and to validate on."""

    name: str
    """The file's name or the registered name."""
    train: Sequence[Any]
    """Raw examples: str for text (memory-mapped, not in memory), uint8 arrays [C, H, W] for pictures."""
    valid: Sequence[Any]
    kind: str
    """"text" or "image"."""
    labels: tuple[str, ...] = ()
    """Names of the label classes, in the order of their ids."""
    train_labels: np.ndarray | None = None
    """int64 [N], -1 where an example is unlabelled."""
    valid_labels: np.ndarray | None = None
    fingerprint: str = ""
    """A hash of the raw data, as read and split: resuming a run refuses a corpus that changed."""
    notes: tuple[str, ...] = ()
    """What the reader did that the user should know, one sentence each."""
    vocabulary: tuple[str, ...] = ()
    """The words of documents that are published with them; empty where the codec finds its own."""
    train_captions: Sequence[Sequence[str]] | None = None
    """Of pictures: what is said of each."""
    valid_captions: Sequence[Sequence[str]] | None = None


def digest(*parts: object) -> str:
    """A hash (32 hex digits) of the parts in order; a part's ``repr`` stands for it."""
    return hashlib.sha256(repr(parts).encode("utf-8", "backslashreplace")).hexdigest()[:32]


def counted(count: int, noun: str) -> str:
    """``3 blank lines``, ``1 blank line``."""
    plural = noun if count == 1 else noun.removesuffix("s") + "s"
    return f"{count:,} {plural}"
