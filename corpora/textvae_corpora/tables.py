"""CSV and TSV files, row by row; a TSV file may have no header: then it is ``label<TAB>text``."""

from __future__ import annotations

import csv
import itertools
from collections.abc import Iterable, Iterator
from pathlib import Path

from textvae.errors import RequestError
from textvae_corpora import columns
from textvae_corpora.base import Options, Split, counted
from textvae_corpora.decode import line_batches
from textvae_corpora.store import Rows, store_file

_BATCH = 1000
_LONGEST_CELL = 1 << 24


def read_csv(path: Path, options: Options) -> Split:
    """Comma-separated, quoted by double quotes, with a header."""

    def rows(notes: list[str]) -> Iterator[Rows]:
        yield from _table(path, _csv_cells(path, options), options, notes)

    return store_file(path, options, rows)


def read_tsv(path: Path, options: Options) -> Split:
    """Tab-separated, one row per line, quotes are text; without a header ``label<TAB>text`` or just text."""

    def rows(notes: list[str]) -> Iterator[Rows]:
        lines = itertools.chain.from_iterable(line_batches(path, options.encoding))
        first = next(lines, None)
        if first is None:
            return
        header, rest = first.split("\t"), itertools.chain([first], lines)
        asked = options.text_column or options.label_column
        if len(header) < 3 and not columns.known(header, options) and not asked:
            yield from _headless(rest, len(header), notes)
        else:
            yield from _table(path, (line.split("\t") if line else [] for line in rest), options, notes)

    return store_file(path, options, rows)


def _headless(lines: Iterator[str], width: int, notes: list[str]) -> Iterator[Rows]:
    if width == 2:
        notes.append("no header: read as label, text")
    while chunk := list(itertools.islice(lines, _BATCH)):
        if width == 1:
            yield chunk, None
            continue
        pairs = [line.partition("\t") for line in chunk]
        yield [text for _, _, text in pairs], [columns.label_of(label) for label, _, _ in pairs]


def _csv_cells(path: Path, options: Options) -> Iterator[list[str]]:
    lines = (line + "\n" for batch in line_batches(path, options.encoding) for line in batch)
    reader = csv.reader(lines, strict=True)
    before = csv.field_size_limit(_LONGEST_CELL)
    try:
        yield from reader
    except csv.Error as error:
        where = f"{path}: line {reader.line_num:,}"
        raise RequestError(f"{where} is not CSV: {error}. Is a quote not closed?") from error
    finally:
        csv.field_size_limit(before)


def _table(path: Path, cells: Iterable[list[str]], options: Options, notes: list[str]) -> Iterator[Rows]:
    cells = iter(cells)
    names = next(cells, None)
    if names is None:
        return
    head = list(itertools.islice(cells, _BATCH))
    textual = [name for i, name in enumerate(names) if not all(_number(row[i : i + 1]) for row in head)]
    text, label = columns.choose(path, names, textual, options)
    if not columns.known(names, options):
        notes.append(f"the first row was taken as the names of columns: {', '.join(names)}")
    at, label_at = names.index(text), None if label is None else names.index(label)
    count = 1
    rest = itertools.chain(head, cells)
    while chunk := list(itertools.islice(rest, _BATCH)):
        wide = next((i for i, row in enumerate(chunk) if len(row) > len(names)), None)
        if wide is not None:
            raise RequestError(
                f"{path}: row {count + wide + 1:,} has {counted(len(chunk[wide]), 'cell')}, the header "
                f"{len(names)}. Text that holds the separator has to be quoted."
            )
        count += len(chunk)
        texts = [row[at] if at < len(row) else "" for row in chunk]
        if label_at is None:
            yield texts, None
        else:
            yield texts, [columns.label_of(row[label_at]) if label_at < len(row) else None for row in chunk]


def _number(cell: list[str]) -> bool:
    """Whether a cell (a list of one, or of none in a short row) is blank or a number."""
    try:
        return not cell or not cell[0].strip() or float(cell[0]) is not None
    except ValueError:
        return False
