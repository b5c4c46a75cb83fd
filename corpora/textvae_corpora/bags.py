"""Documents that are published as counts: ``label id:count …`` a line, ids from 1 into a vocabulary file."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from textvae.errors import RequestError
from textvae_corpora.base import Options, Split, Splits, digest
from textvae_corpora.clean import DOCUMENT_LIMIT
from textvae_corpora.decode import line_batches
from textvae_corpora.store import Rows, store_file

VOCABULARY = "vocab.new.gz"


def splits(folder: Path, options: Options) -> Splits:
    """``train.feat`` and ``test.feat`` over ``vocab.new``, as Miao et al. (2016) publish their 20 Newsgroups."""
    files = {name: folder / f"{name}.feat.gz" for name in ("train", "test")}
    return {name: functools.partial(read, path, folder / VOCABULARY, options) for name, path in files.items()}


def read(path: Path, vocabulary: Path, options: Options) -> Split:
    """Each document as its words in the vocabulary's order, every one as often as it is counted.

    Raises RequestError for a line that is not ``label id:count …`` or counts more than a document may hold.
    """
    words = _words(vocabulary)

    def rows(notes: list[str]) -> Iterator[Rows]:
        number = 0
        for lines in line_batches(path):
            pairs = [_document(path, number + i, line, words) for i, line in enumerate(lines, 1)]
            number += len(lines)
            yield [text for text, _ in pairs], [label for _, label in pairs]

    split = store_file(path, options, rows, unit="document", depends=digest(words))
    note = f"bags of words, with a vocabulary of their own: {len(words):,} words"
    return replace(split, vocabulary=words, notes=(*split.notes, note))


def _words(path: Path) -> tuple[str, ...]:
    """The first field of each line, which may go on with a count."""
    return tuple(line.split()[0] for lines in line_batches(path) for line in lines if line.strip())


def _document(path: Path, number: int, line: str, words: tuple[str, ...]) -> tuple[str, str]:
    label, *pairs = line.split() or [""]
    text, length = [], 0
    for pair in pairs:
        place, _, count = pair.partition(":")
        if not (_number(place) and _number(count)):
            raise RequestError(f"{path}: line {number:,} holds {pair[:40]!r}, where id:count is expected.")
        if not 1 <= int(place) <= len(words):
            raise RequestError(f"{path}: line {number:,} has the id {place}, and there are {len(words):,} words.")
        word, times = words[int(place) - 1], int(count)
        length += times * (len(word) + 1)
        if length > DOCUMENT_LIMIT:
            raise RequestError(f"{path}: line {number:,} counts more words than fit into {DOCUMENT_LIMIT:,} letters.")
        text.append(" ".join([word] * times))
    return " ".join(text), label


def _number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= 12
