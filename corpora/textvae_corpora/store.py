"""Rows of text are cleaned and stored once in an Arrow file, and memory-mapped from then on."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from textvae.errors import RequestError, TextvaeError
from textvae_corpora.base import Options, Split, digest
from textvae_corpora.cache import cache_errors, cache_folder, quiet
from textvae_corpora.clean import DOCUMENT_LIMIT, LINE_LIMIT, Cleaner
from textvae_corpora.decode import file_errors, file_hash

if TYPE_CHECKING:
    from datasets import Dataset

Rows = tuple[list[Any], list[str | None] | None]
"""Some values that should be texts, and the label of each if there are labels."""

_FORMAT = 1
"""Part of every cache key: raise it when cleaning or the layout of the file changes."""


def store_file(
    path: Path, options: Options, rows: Callable[[list[str]], Iterator[Rows]], unit: str = "row", depends: str = ""
) -> Split:
    """The Split of one file, whose hash names the cache. ``rows`` is given a list to put notes of its own in.

    ``depends`` is a hash of what else the rows are made of.

    Raises RequestError if there is no text in it, TextvaeError if it changes while it is read.
    """
    with file_errors(path):
        before = path.stat()
        content = file_hash(path)

    def checked(notes: list[str]) -> Iterator[Rows]:
        yield from rows(notes)
        after = path.stat()
        if (before.st_size, before.st_mtime_ns) != (after.st_size, after.st_mtime_ns):
            raise TextvaeError(f"{path} was changed while it was read. Start again when it is whole.")

    expected = "one sentence per line is expected" if unit == "line" else f"no {unit} of it holds text"
    how = (rows.__module__, path.name, options.text_column, options.label_column, options.encoding, depends)
    return store(digest(content, how), options, checked, unit, f"no sentences found in {path}: {expected}")


def store(
    content: str,
    options: Options,
    rows: Callable[[list[str]], Iterator[Rows]],
    unit: str,
    nothing: str,
) -> Split:
    """The Split of any rows; ``content`` hashes all that they depend on, ``nothing`` is said of none."""
    from filelock import FileLock

    from textvae_corpora.labels import label_ids
    from textvae_corpora.texts import Stored, Texts

    if options.limit is not None and options.limit < 1:
        raise RequestError(f"The limit is {options.limit}: at least one example is needed.")
    key = digest(content, unit, options.limit, _FORMAT)
    folder = cache_folder()
    path, notes_path = folder / f"{key}.arrow", folder / f"{key}.json"
    with cache_errors(folder), quiet(), FileLock(folder / f"{key}.lock"):
        found = _mapped(path, notes_path)
        if found is None:
            cleaner = Cleaner(unit, LINE_LIMIT if unit == "line" else DOCUMENT_LIMIT)
            notes: list[str] = []
            part = folder / f"{key}.part"
            try:
                count = _write(part, _cleaned(rows(notes), cleaner, options.limit))
                if not count:
                    raise RequestError(f"{nothing}{_why(cleaner)}")
                said = {"rows": count, "notes": [*cleaner.notes, *notes]}
                notes_path.write_text(json.dumps(said), encoding="utf-8")
                os.replace(part, path)
            finally:
                part.unlink(missing_ok=True)
            found = _mapped(path, notes_path)
        if found is None:
            raise TextvaeError(f"What was stored in {path} cannot be read back: is the disk damaged?")
    dataset, said_notes = found
    labels, classes = label_ids(dataset.data.column("label"))
    return Split(Texts(Stored(dataset), key), "text", key, labels, classes, said_notes)


def _why(cleaner: Cleaner) -> str:
    return f" ({'; '.join(cleaner.notes)})." if cleaner.notes else "."


def _mapped(path: Path, notes_path: Path) -> tuple[Dataset, tuple[str, ...]] | None:
    """The stored rows and notes; None if there are none or they are damaged (a cut stream may still open)."""
    import datasets

    try:
        said = json.loads(notes_path.read_text(encoding="utf-8"))
        dataset = datasets.Dataset.from_file(str(path))
        return (dataset, tuple(said["notes"])) if len(dataset) == said["rows"] else None
    except (OSError, ValueError, KeyError, TypeError):  # ArrowInvalid is a ValueError
        return None


def _cleaned(batches: Iterable[Rows], cleaner: Cleaner, limit: int | None) -> Iterator[Rows]:
    left = sys.maxsize if limit is None else limit
    for values, labels in batches:
        before = cleaner.counts.copy()
        texts = cleaner.clean(values)
        if len(texts) - texts.count("") > left:
            # clean only what is wanted: the notes shall not speak of rows beyond the limit
            cleaner.counts = before
            last = [i for i, text in enumerate(texts) if text][left - 1]
            texts = cleaner.clean(values[: last + 1])
        kept = [text for text in texts if text]
        yield kept, None if labels is None else [y for y, text in zip(labels, texts) if text]
        left -= len(kept)
        if not left:
            return


def _write(path: Path, batches: Iterable[Rows]) -> int:
    """Write an Arrow stream and see it on the disk; returns the number of rows."""
    import pyarrow as pa

    schema = pa.schema({"text": pa.string(), "label": pa.string()})
    count = 0
    with path.open("wb") as file:
        with pa.ipc.new_stream(file, schema) as writer:
            for texts, labels in batches:
                labels = [None] * len(texts) if labels is None else labels
                columns = [pa.array(texts, pa.string()), pa.array(labels, pa.string())]
                writer.write_batch(pa.record_batch(columns, schema))
                count += len(texts)
        file.flush()
        os.fsync(file.fileno())
    return count
