"""The two doors: a corpus to train on, and the examples of one source."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from textvae.errors import RequestError
from textvae_corpora.base import Corpus, Options, Split, digest
from textvae_corpora.sources import splits_of

if TYPE_CHECKING:
    import numpy as np


def load_corpus(
    source: str,
    *,
    valid: str | None = None,
    text_column: str | None = None,
    label_column: str | None = None,
    encoding: str = "utf-8",
    valid_fraction: float = 0.05,
    seed: int = 0,
    limit: int | None = None,
    size: tuple[int, int] | None = None,
    processes: int | None = None,
) -> Corpus:
    """Read a file, a folder, a registered name or a Hugging Face dataset to train on.

    ``valid`` is another source to validate on, else the corpus's own validation split, else
    ``valid_fraction`` of the examples (at most 5,000) held out by ``seed``. ``limit`` takes the first so many
    of each source. Pictures are brought to a ``size`` (height, width), and those to validate on to that of the others.
    ``processes`` is accepted for symmetry with ``encode_examples``: reading is one process.
    Raises RequestError for whatever the user can put right, TextvaeError if the disk is full.
    """
    from textvae_corpora.labels import renumber, sorted_classes
    from textvae_corpora.split import hold_out

    options = Options(text_column, label_column, encoding, limit, seed, size)
    name, table = splits_of(source, options)
    train = (table.get("train") or table.get("all") or next(iter(table.values())))()
    if train.kind == "image":  # those to validate on are brought to the same shape
        channels, *shape = train.examples[0].shape
        options = replace(options, size=tuple(shape), colour=channels == 3)
        _, table = splits_of(source, options)
    held = _validation(valid, options) if valid is not None else table["valid"]() if "valid" in table else None
    if held is None:
        train, held, note = hold_out(train, valid_fraction, seed)
        notes = [*train.notes, note]
    else:
        notes = [*train.notes, *(f"validation: {note}" for note in held.notes)]
    if held.kind != train.kind:
        raise RequestError(f"{source} holds {train.kind}s and {valid} holds {held.kind}s: they have to be alike.")
    classes = train.classes
    if held.classes != classes:
        classes = sorted_classes(train.classes + held.classes)
    return Corpus(
        name=name,
        train=train.examples,
        valid=held.examples,
        kind=train.kind,
        labels=classes,
        train_labels=renumber(train.labels, train.classes, classes),
        valid_labels=renumber(held.labels, held.classes, classes),
        fingerprint=digest(train.fingerprint, held.fingerprint),
        notes=tuple(notes),
        vocabulary=train.vocabulary,
        train_captions=train.captions,
        valid_captions=held.captions,
    )


def load_examples(
    source: str,
    *,
    text_column: str | None = None,
    label_column: str | None = None,
    encoding: str = "utf-8",
    seed: int = 0,
    limit: int | None = None,
    size: tuple[int, int] | None = None,
    classes: Sequence[str] | None = None,
) -> tuple[Sequence[Any], np.ndarray | None, tuple[str, ...]]:
    """All examples of one source in order, their labels [N] or None, and notes; ``-`` is standard input.

    Of a source with splits it is the test split, else the validation split; ``name/train`` selects another.
    Labels are ids into ``classes`` (those of a model, say; -1 for a class that is not there), or, without
    ``classes``, into the sorted names of the source's own.
    """
    from textvae_corpora.labels import renumber

    split = load_split(
        source, text_column=text_column, label_column=label_column, encoding=encoding, seed=seed, limit=limit, size=size
    )
    labels = split.labels if classes is None else renumber(split.labels, split.classes, classes)
    return split.examples, labels, split.notes


def load_split(
    source: str,
    *,
    text_column: str | None = None,
    label_column: str | None = None,
    encoding: str = "utf-8",
    seed: int = 0,
    limit: int | None = None,
    size: tuple[int, int] | None = None,
    colour: bool | None = None,
) -> Split:
    """What ``load_examples`` reads, with the names of its classes and its fingerprint.

    Pictures are brought to a ``size`` (height, width), and to ``colour`` or grey, where those are given.
    """
    options = Options(text_column, label_column, encoding, limit, seed, size, colour)
    name, table = splits_of(source, options)
    which = next((key for key in ("all", "test", "valid", "train") if key in table), next(iter(table)))
    split = table[which]()
    return split if which == "all" else replace(split, notes=(f"the {which} split of {name}", *split.notes))


def load_training(
    source: str,
    *,
    text_column: str | None = None,
    label_column: str | None = None,
    encoding: str = "utf-8",
    limit: int | None = None,
) -> Split:
    """All of what ``load_corpus`` trains on, with the examples that it would hold out to validate on."""
    _, table = splits_of(source, Options(text_column, label_column, encoding, limit))
    return (table.get("train") or table.get("all") or next(iter(table.values())))()


def _validation(source: str, options: Options) -> Split:
    _, table = splits_of(source, options)
    return next(table[key] for key in ("all", "valid", "test", "train") if key in table)()
