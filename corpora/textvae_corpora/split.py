"""Rows held out for validation."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from textvae.errors import RequestError
from textvae_corpora.base import Split, digest

MOST = 5_000


def hold_out(split: Split, fraction: float, seed: int) -> tuple[Split, Split, str]:
    """Train and valid parts, each in the order of the source, and a note; the seed chooses the rows.

    At least one example is held out and never all of them; a single example is in both parts.
    """
    if not 0 < fraction < 1:
        raise RequestError(f"The fraction held out to validate on is {fraction}: it has to be between 0 and 1.")
    count, noun = len(split.examples), "sentence" if split.kind == "text" else "picture"
    if count == 1:
        return split, split, f"only one {noun}: it is trained on and validated on"
    held = min(MOST, count - 1, max(1, round(count * fraction)))
    rows = np.zeros(count, dtype=bool)
    rows[np.random.default_rng(seed).permutation(count)[:held]] = True
    note = f"{held:,} {noun}{'s' if held > 1 else ''} held out for validation"
    return select(split, np.flatnonzero(~rows)), select(split, np.flatnonzero(rows)), note


def select(split: Split, rows: np.ndarray) -> Split:
    """Some rows of a split."""
    key = digest(split.fingerprint, hashlib.sha256(rows.astype(np.int64).data).hexdigest())
    rows = rows.astype(np.min_scalar_type(len(split.examples)))  # of a large corpus they are what memory holds
    labels = None if split.labels is None else split.labels[rows]
    names = None if split.names is None else [split.names[i] for i in rows]
    captions = None if split.captions is None else [split.captions[i] for i in rows]
    examples = _rows_of(split.examples, rows, key)
    return replace(split, examples=examples, fingerprint=key, labels=labels, names=names, captions=captions)


def _rows_of(examples: Sequence[Any], rows: np.ndarray, key: str) -> Sequence[Any]:
    from textvae_corpora.texts import Texts

    if isinstance(examples, Texts):
        return examples.select(rows, key)
    if isinstance(examples, np.ndarray):
        taken: Any = examples[rows]
        return taken
    return [examples[i] for i in rows]
