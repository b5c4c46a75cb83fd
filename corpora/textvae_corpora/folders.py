"""Folders: a corpus with its splits (train.txt, valid.txt …), one document per file, pictures, or MNIST."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

from textvae.errors import RequestError
from textvae_corpora import captions, idx, picture_file, picture_folder
from textvae_corpora.base import Options, Split, Splits, counted, digest
from textvae_corpora.clean import DOCUMENT_LIMIT
from textvae_corpora.decode import file_errors, file_hash, line_batches
from textvae_corpora.store import Rows, store

_SPLITS = {
    "train": "train",
    "valid": "valid",
    "validation": "valid",
    "dev": "valid",
    "val": "valid",
    "test": "test",
}
_READ = ".txt files, .png or .jpg pictures, or splits (train.csv, test.csv)"


def splits(folder: Path, options: Options) -> Splits:
    """The splits of a folder; RequestError if nothing in it can be read."""
    with file_errors(folder):
        divided = split_files(folder, options)
        if "train" in divided:
            return divided
        parts = _split_folders(folder, options)
        if "train" in parts:
            return parts
        digits = idx.splits(folder, options)
        if digits is not None:
            return digits
        files = sorted(p for p in folder.rglob("*") if p.is_file() and not _hidden(p.relative_to(folder)))
    images = [p for p in files if p.suffix.lower() in picture_file.SUFFIXES]
    texts = [p for p in files if p.name.lower().removesuffix(".gz").endswith(".txt")]
    if images and len(images) >= len(texts):  # a README among photos does not make them documents
        return {"all": lambda: _pictures(folder, images, len(files) - len(images), options)}
    if texts:
        return {"all": lambda: read_documents(folder, texts, options)}
    if files:
        kinds = ", ".join(sorted({p.suffix.lower() for p in files if p.suffix})[:5]) or "files without a suffix"
        raise RequestError(f"no documents found in {folder}, but {kinds}: a folder holds {_READ}.")
    raise RequestError(f"no documents found in {folder}: a folder holds {_READ}.")


def split_files(folder: Path, options: Options, prefix: str = "") -> Splits:
    """Files called {prefix}train.*, {prefix}valid.*, {prefix}test.*, each by the reader of its suffix."""
    from textvae_corpora.sources import READERS, reader_of

    found: dict[str, Callable[[], Split]] = {}
    for path in sorted(folder.iterdir()):
        picture = path.suffix.lower() in picture_file.SUFFIXES  # train.png is a picture of a train
        if path.is_file() and path.name.startswith(prefix) and not picture:
            stem, _, suffix = path.name[len(prefix) :].partition(".")
            if stem in _SPLITS and f".{suffix.removesuffix('.gz')}" in READERS:
                found.setdefault(_SPLITS[stem], functools.partial(reader_of(path), path, options))
    return found


def _split_folders(folder: Path, options: Options) -> Splits:
    """Subfolders called train, valid, test, if there are no others."""
    inside = [path for path in sorted(folder.iterdir()) if path.is_dir() and not _hidden(path.relative_to(folder))]
    if any(path.name.lower() not in _SPLITS for path in inside):
        return {}

    def reader(path: Path) -> Callable[[], Split]:
        return lambda: next(iter(splits(path, options).values()))()

    return {_SPLITS[path.name.lower()]: reader(path) for path in inside}


def folder_labels(folder: Path, files: list[Path]) -> list[str | None] | None:
    """The name of each file's subfolder, if every file lies in a subfolder: then those are classes."""
    depths = {len(path.relative_to(folder).parts) for path in files}
    return [_named(path.parent.name) for path in files] if depths == {2} else None


def _named(name: str) -> str:
    """A folder's name as text: bytes that are not UTF-8 are shown as such."""
    return os.fsencode(name).decode("utf-8", "backslashreplace")


def _pictures(folder: Path, images: list[Path], others: int, options: Options) -> Split:
    told = captions.find(folder)
    said = None
    if told is not None:  # before the pictures: what is wrong with it is told at once
        said = captions.read(told, [path.relative_to(folder).as_posix() for path in images], options)
        others -= 1
    split = picture_folder.read(folder, images, options)
    note = (f"{counted(others, 'other file')} skipped",) if others else ()
    split = replace(split, notes=(*note, *split.notes))
    return split if said is None else captions.captioned(split, said[: len(split.examples)])


def read_documents(folder: Path, files: list[Path], options: Options) -> Split:
    """One document per file, its lines joined by spaces; subfolders are classes."""
    labels = folder_labels(folder, files)

    def rows(notes: list[str]) -> Iterator[Rows]:
        for i, path in enumerate(files):
            yield [_document(path, options.encoding)], None if labels is None else [labels[i]]

    content = digest([(str(p.relative_to(folder)), file_hash(p)) for p in files], labels, options.encoding)
    split = store(content, options, rows, "document", f"no documents found in {folder}: its files are blank")
    if len(split.examples) < len(files):  # blank ones were left out, and which is not known
        return split
    return replace(split, names=[str(path.relative_to(folder)) for path in files])


def _document(path: Path, encoding: str) -> str:
    parts, left = [], DOCUMENT_LIMIT + 1
    for lines in line_batches(path, encoding, longest=DOCUMENT_LIMIT + 1):
        parts.append(" ".join(lines)[:left])
        left -= len(parts[-1]) + 1
        if left <= 0:
            break
    return " ".join(parts)


def _hidden(path: Path) -> bool:
    return any(part.startswith((".", "__")) for part in path.parts)
