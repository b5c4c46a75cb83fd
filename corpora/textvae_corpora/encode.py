"""Raw examples to encoded ones; those of a stored text are encoded once and cached beside it."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from textvae_corpora.base import digest
from textvae_corpora.cache import cache_errors, cache_folder, quiet

if TYPE_CHECKING:
    import numpy as np

    from textvae.batching import ListExamples
    from textvae.codecs.base import Codec
    from textvae_corpora.examples import ArrowExamples
    from textvae_corpora.texts import Texts

_BATCH = 1000
_MOST, _BYTES = 20_000, 1 << 24
"""Texts, and bytes of text, that are encoded together: each time makes a record batch, and opening the file looks at
all of them, which maps the pages around each."""

_MANY = 200_000


def encode_examples(
    raw: Sequence[Any], codec: Codec, *, labels: np.ndarray | None = None, processes: int | None = None
) -> ArrowExamples | ListExamples:
    """Encode all of ``raw``. Texts that lie in an Arrow file are encoded into one, found at the next start.

    ``processes`` encode side by side; by default one per core for more than 200,000 texts, else none.
    """
    from textvae.batching import ListExamples
    from textvae_corpora.texts import Texts

    if isinstance(raw, Texts):
        return _stored(raw, codec, labels, processes)
    batches = (raw[start : start + _BATCH] for start in range(0, len(raw), _BATCH))
    return ListExamples([array for batch in batches for array in codec.encode(list(batch))], labels)


def _stored(raw: Texts, codec: Codec, labels: np.ndarray | None, processes: int | None) -> ArrowExamples:
    """All rows of the file are encoded, not just those of ``raw``: train and valid parts share one cache."""
    import datasets
    from filelock import FileLock

    from textvae_corpora.examples import ArrowExamples

    first = codec.encode([raw[0]])[0]
    lead, folder = tuple(first.shape[:-1]), cache_folder()
    many = os.cpu_count() if len(raw.dataset) > _MANY else None
    batch = min(_MOST, max(1, _BYTES * len(raw.dataset) // max(1, raw.dataset.data.nbytes)))
    workers = processes if processes is not None else many
    for dtype in dict.fromkeys((first.dtype.name, "uint32", "int64")):
        listed = getattr(datasets, "List", datasets.Sequence)
        kind = datasets.Features({"ids": listed(datasets.Value(dtype))})
        # the path of a tokenizer says nothing of its content: only hashes of content may name a cache
        key = digest("ids", raw.source, codec.fingerprint, lead, dtype)
        try:
            with cache_errors(folder), quiet(), FileLock(folder / f"{key}.lock"), _swept(folder / key):
                ids = raw.dataset.with_format("arrow").map(
                    _Encoding(codec, dtype),
                    batched=True,
                    batch_size=batch,
                    writer_batch_size=batch,
                    remove_columns=raw.dataset.column_names,
                    features=kind,
                    num_proc=workers if workers and workers > 1 else None,
                    new_fingerprint=key,
                    cache_file_name=str(folder / key / "ids.arrow"),
                    load_from_cache_file=True,
                )
        except _TooNarrow:
            continue
        raw.stored.reopen()  # fitting a codec and encoding have read all of it; training does not
        return ArrowExamples([file["filename"] for file in ids.cache_files], lead, raw.rows, labels)
    raise TypeError(f"{type(codec).__name__}.encode gives {first.dtype}, then something wider than int64")


@contextmanager
def _swept(folder: Path) -> Iterator[None]:
    """A folder for one result: `datasets` leaves its half-written files behind when it fails or is killed."""
    folder.mkdir(exist_ok=True)
    _sweep(folder)
    try:
        yield
    finally:
        _sweep(folder)


def _sweep(folder: Path) -> None:
    for part in folder.glob("tmp*"):
        part.unlink(missing_ok=True)


class _TooNarrow(Exception):
    """A later array does not fit the type of the first one."""


class _Encoding:
    """A table of texts to a table of flattened arrays; a class, so that worker processes can be sent it."""

    def __init__(self, codec: Codec, dtype: str):
        self.codec, self.dtype = codec, dtype

    def __call__(self, table: Any) -> Any:
        import numpy as np
        import pyarrow as pa

        arrays = self.codec.encode(table.column("text").to_pylist())
        offsets = np.zeros(len(arrays) + 1, dtype=np.int32)
        np.cumsum([array.size for array in arrays], out=offsets[1:])
        flat = np.concatenate([array.ravel() for array in arrays]) if arrays else np.zeros(0, self.dtype)
        values = flat.astype(self.dtype, copy=False)
        if values.dtype != flat.dtype and not np.array_equal(values, flat):
            raise _TooNarrow
        return pa.table({"ids": pa.ListArray.from_arrays(offsets, values)})
