"""Parquet files, one row group's batch at a time."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from textvae.errors import RequestError
from textvae_corpora import columns
from textvae_corpora.base import Options, Split
from textvae_corpora.decode import opened
from textvae_corpora.store import Rows, store_file


def read(path: Path, options: Options) -> Split:
    """One example per row. RequestError if the file is not Parquet, or no column is the text."""

    def rows(notes: list[str]) -> Iterator[Rows]:
        import pyarrow as pa
        import pyarrow.parquet as pq

        with opened(path) as stream:
            try:
                file = pq.ParquetFile(stream)
                schema = file.schema_arrow
                textual = [f.name for f in schema if is_text(f.type)]
                text, label = columns.choose(path, schema.names, textual, options)
                for batch in file.iter_batches(10_000, columns=[text] if label is None else [text, label]):
                    labels = None if label is None else [columns.label_of(y) for y in batch[label].to_pylist()]
                    yield batch[text].to_pylist(), labels
            except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
                raise RequestError(f"{path} is not a Parquet file that can be read: {error}.") from error

    return store_file(path, options, rows)


def is_text(kind: object) -> bool:
    """Whether an Arrow type is one of strings."""
    import pyarrow as pa

    kind = kind.value_type if pa.types.is_dictionary(kind) else kind  # type: ignore[attr-defined]
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))
