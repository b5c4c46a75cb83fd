"""Datasets of the Hugging Face hub, by name: ``org/name`` or ``org/name:config``."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from textvae.errors import RequestError
from textvae_corpora import columns
from textvae_corpora.base import Options, Split, Splits, digest
from textvae_corpora.cache import cache_errors, cache_folder, quiet
from textvae_corpora.store import Rows, store

if TYPE_CHECKING:
    from datasets import Dataset

_SPLITS = {"validation": "valid", "dev": "valid"}
_BATCH = 10_000


def splits(source: str, missing: str, options: Options) -> Splits:
    """The splits of a dataset; runs none of its code. ``missing`` says where else the name was looked for."""
    import datasets

    name, _, config = source.partition(":")
    folder = cache_folder()
    try:
        with cache_errors(folder), quiet():
            found = datasets.load_dataset(name, config or None)
    except Exception as error:
        if type(error).__name__ == "TextvaeError":
            raise
        raise RequestError(_explained(source, missing, error)) from error
    return {_SPLITS.get(split, split): _reader(source, found[split], options) for split in found}


def _explained(source: str, missing: str, error: Exception) -> str:
    from textvae_corpora.sources import nearest

    text = " ".join(str(error).split())
    if isinstance(error, ConnectionError) or "ffline" in text or "Connection" in type(error).__name__:
        why = "Hugging Face could not be reached to look for it there."
    elif isinstance(error, FileNotFoundError):
        why = "Hugging Face has no dataset of that name (or it is private: huggingface-cli login)."
    else:
        why = f"Hugging Face: {text[:300]}"
        return f"{source} cannot be read. {why}"
    return f"{missing} {nearest(source, Path(source))} {why}"


def _reader(source: str, dataset: Dataset, options: Options) -> Callable[[], Split]:
    import datasets

    def read() -> Split:
        features: Any = dataset.features
        drawn = [name for name in dataset.column_names if isinstance(features[name], datasets.Image)]
        if drawn and options.text_column is None:
            return _pictures(source, dataset, drawn[0], options)
        textual = [n for n in dataset.column_names if getattr(features[n], "dtype", "") in ("string", "large_string")]
        text, label = columns.choose(source, dataset.column_names, textual, options)
        names = getattr(features[label], "names", None) if label is not None else None

        def rows(notes: list[str]) -> Iterator[Rows]:
            for batch in dataset.select_columns([text, *([label] if label else [])]).iter(_BATCH):
                yield batch[text], None if label is None else [_name(y, names) for y in batch[label]]

        content = digest("hub", source, dataset._fingerprint, text, label)
        return store(content, options, rows, "row", f"no sentences found in {source}: {text} holds no text")

    return read


def _pictures(source: str, dataset: Dataset, column: str, options: Options) -> Split:
    """The pictures of a column, with the classes of the label column or of the only one that has classes."""
    import datasets

    from textvae_corpora.arrays import split_of
    from textvae_corpora.picture_file import opened_picture
    from textvae_corpora.picture_folder import gather

    features: Any = dataset.features
    classed = [name for name in dataset.column_names if isinstance(features[name], datasets.ClassLabel)]
    label = options.label_column or (classed[0] if len(classed) == 1 else None)
    if label is not None and label not in dataset.column_names:
        raise RequestError(f"{source} has no column {label!r}. It has {', '.join(dataset.column_names)}.")
    rows = dataset.select(range(min(len(dataset), options.limit or len(dataset))))
    if not len(rows):
        raise RequestError(f"{source} holds no picture.")
    stored = rows.select_columns([column]).cast_column(column, datasets.Image(decode=False))

    def opened(place: int) -> AbstractContextManager[Any]:
        found = stored[place][column] or {}
        content, path = found.get("bytes"), found.get("path")
        return opened_picture(Path(path) if path and content is None else Path(f"{source}:{place}"), content)

    array, notes = gather(source, len(rows), opened, options)
    names = None if label is None else getattr(features[label], "names", None)
    labels = None if label is None else [_name(y, names) for y in rows[label]]
    return split_of(array, labels, notes)


def _name(value: Any, names: list[str] | None) -> str | None:
    if names is None:
        return columns.label_of(value)
    return names[value] if isinstance(value, int) and 0 <= value < len(names) else None
