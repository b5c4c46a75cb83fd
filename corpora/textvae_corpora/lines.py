"""Text files: one sentence per line."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from textvae.errors import RequestError
from textvae_corpora.base import Options, Split
from textvae_corpora.clean import LINE_LIMIT
from textvae_corpora.decode import line_batches
from textvae_corpora.store import Rows, store_file


def read(path: Path, options: Options) -> Split:
    """One example per line that is not blank. RequestError if the file is not text or holds no sentence."""
    for column in filter(None, (options.text_column, options.label_column)):
        raise RequestError(f"{path} is read as lines: it has no column {column!r} (.csv, .tsv, .jsonl, .parquet do).")

    def rows(notes: list[str]) -> Iterator[Rows]:
        for lines in line_batches(path, options.encoding, longest=4 * LINE_LIMIT):
            yield lines, None

    return store_file(path, options, rows, unit="line")
