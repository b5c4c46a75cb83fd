"""JSON: one object or string per line, or one list of them."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from textvae.errors import RequestError
from textvae_corpora import columns
from textvae_corpora.base import Options, Split
from textvae_corpora.decode import line_batches
from textvae_corpora.store import Rows, store_file

_BATCH = 1000


def read(path: Path, options: Options) -> Split:
    """One example per object. Values that are not strings are skipped and counted.

    Raises RequestError naming the line that is not JSON.
    """

    def rows(notes: list[str]) -> Iterator[Rows]:
        values = _values(path, options)
        head = list(itertools.islice(values, _BATCH))
        text, label = _columns(path, head, options)
        values = itertools.chain(head, values)
        while chunk := list(itertools.islice(values, _BATCH)):
            texts = [row.get(text) if isinstance(row, dict) else row for row in chunk]
            labels = [columns.label_of(row.get(label)) if isinstance(row, dict) else None for row in chunk]
            yield texts, labels if label is not None else None

    return store_file(path, options, rows)


def _columns(path: Path, head: list[Any], options: Options) -> tuple[str | None, str | None]:
    """The columns of the first rows; none if every row is a string of its own."""
    objects = [row for row in head if isinstance(row, dict)]
    if not objects and not options.text_column and not options.label_column:
        return None, None
    names = list(dict.fromkeys(str(key) for row in objects for key in row))
    textual = [name for name in names if any(isinstance(row.get(name), str) for row in objects)]
    return columns.choose(path, names, textual, options)


def _values(path: Path, options: Options) -> Iterator[Any]:
    number = 0
    for lines in line_batches(path, options.encoding):
        for line in lines:
            number += 1
            if number == 1 and line.lstrip().startswith("["):
                yield from _list(path, options)
                return
            yield "" if not line.strip() else _parsed(path, number, line)


def _list(path: Path, options: Options) -> list[Any]:
    """A file that is one list has to be in memory as a whole: JSON has no other way to read it."""
    whole = "\n".join(line for lines in line_batches(path, options.encoding) for line in lines)
    value = _parsed(path, 1, whole)
    return value if isinstance(value, list) else [value]


def _parsed(path: Path, number: int, text: str) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        line = number + error.lineno - 1
        raise RequestError(
            f"{path}: line {line:,} is not JSON: {error.msg} (column {error.colno}). "
            "One object per line, or one list of objects, is expected."
        ) from error
    except (ValueError, RecursionError) as error:
        raise RequestError(f"{path}: line {number:,} cannot be read: {error}.") from error
