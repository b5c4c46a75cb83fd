"""What is said of pictures: a file ``captions.tsv`` (or .csv, .jsonl) in their folder, with a caption a row."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from textvae.errors import RequestError
from textvae_corpora.base import Options, Split, counted, digest
from textvae_corpora.decode import line_batches

if TYPE_CHECKING:
    import numpy as np

    from textvae.captioned import Captioned

NAMES = ("captions.tsv", "captions.csv", "captions.jsonl")
FILE = ("file", "file_name", "filename", "image", "picture")
"""Names of the column that says which picture a row speaks of."""


def find(folder: Path) -> Path | None:
    """The file of captions in a folder, if there is one."""
    return next((folder / name for name in NAMES if (folder / name).is_file()), None)


def read(path: Path, pictures: Sequence[str], options: Options) -> list[list[str]]:
    """The captions of each of ``pictures`` [N], which are called by their paths from the folder of the file.

    A table of texts is read as all are, with the picture's name for a label; of a picture with several rows all
    count. RequestError for a file without a column that names pictures, and where it names one that is not there.
    """
    from textvae_corpora.sources import reader_of

    column = options.label_column or _file_column(path)
    said = reader_of(path)(path, replace(options, label_column=column, limit=None))
    captions: dict[str, list[str]] = {name: [] for name in pictures}
    if said.labels is None:
        raise RequestError(f"{path} does not say whose captions they are: a row is the picture's file, and a caption.")
    unknown = [name for name in said.classes if name not in captions]
    if unknown:
        more = f", and {len(unknown) - 1:,} others," if len(unknown) > 1 else ""
        raise RequestError(
            f"{path} speaks of {unknown[0]}{more} and there is no such picture in {path.parent}: names are paths "
            "from that folder. Add the pictures, or take the rows out."
        )
    for place, text in zip(said.labels.tolist(), said.examples):
        if place >= 0:
            captions[said.classes[place]].append(text)
    return list(captions.values())


def captioned(split: Split, captions: Sequence[Sequence[str]]) -> Split:
    """The split of pictures, with what is said of each."""
    without = sum(not said for said in captions)
    notes = [f"{counted(without, 'picture')} without a caption"] if without else []
    key = digest(split.fingerprint, [tuple(said) for said in captions])
    return replace(split, captions=captions, fingerprint=key, notes=(*split.notes, *notes))


def pairs(
    name: str,
    pictures: Sequence[np.ndarray],
    captions: Sequence[Sequence[str]] | None,
    labels: np.ndarray | None = None,
) -> tuple[list[Captioned], np.ndarray | None]:
    """The pictures that have a caption, with all of theirs, and their labels [N]; RequestError if none has."""
    from textvae.captioned import Captioned

    said = captions or ()
    rows = [i for i, each in enumerate(said) if each]
    if not rows:
        raise RequestError(
            f"{name} has no captions, which are what is to be written. Put them beside the pictures of a folder, in "
            "captions.tsv: a row is a picture's file, a tab, and a caption (.csv and .jsonl are read too). "
            "captioned-shapes is a corpus that has some."
        )
    return [Captioned(pictures[i], said[i]) for i in rows], None if labels is None else labels[rows]


def _file_column(path: Path) -> str | None:
    """The column that names the picture; None for a table without a header, of which it is the first."""
    first = next((line for lines in line_batches(path) for line in lines if line.strip()), "")
    names = list(_names(path, first))
    column = next((name for name in names if name.strip().lower() in FILE), None)
    if column is None and path.suffix != ".tsv":
        raise RequestError(
            f"{path}: which column names the picture's file? It has {', '.join(names) or 'none'}. Call it "
            f"{FILE[0]}, or say --label-column NAME."
        )
    return column


def _names(path: Path, first: str) -> Iterator[str]:
    if path.suffix == ".jsonl":
        try:
            row = json.loads(first)
        except (ValueError, RecursionError):
            row = None
        yield from row if isinstance(row, dict) else ()
    else:
        yield from (name.strip().strip('"') for name in first.split("\t" if path.suffix == ".tsv" else ","))
