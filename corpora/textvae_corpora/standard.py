"""The sets that papers report on, from the folder that the environment variable TEXTVAE_DATA names."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from textvae.errors import RequestError
from textvae_corpora import arrays, bags, idx
from textvae_corpora.base import Options, Split, Splits
from textvae_corpora.folders import split_files
from textvae_corpora.labels import renumber, sorted_classes

_WHERE = {
    "newsgroups20": ("newsgroups20", "bydate_allterms."),
    "newsgroups20-nvdm": ("newsgroups20/nvdm_bow", ""),
    "reuters-r8": ("reuters", "r8."),
    "reuters-r52": ("reuters", "r52."),
}
"""Folder and beginning of the file names, where they are not just the name of the corpus and nothing."""


def splits(name: str, argument: str, options: Options) -> Splits:
    """The splits of a standard corpus. RequestError if TEXTVAE_DATA is not set or has no such folder."""
    if argument:
        raise RequestError(f"The corpus {name} takes no argument: say {name}, not {name}:{argument}.")
    root = os.environ.get("TEXTVAE_DATA")
    if not root:
        raise RequestError(
            f"The corpus {name!r} is read from the folder that the environment variable TEXTVAE_DATA names, "
            "and it is not set."
        )
    folder, prefix = _WHERE.get(name, (name, ""))
    path = Path(root).expanduser() / folder
    if not path.is_dir():
        raise RequestError(f"The corpus {name!r} is not there: TEXTVAE_DATA has no folder {str(path)!r}.")
    if name == "pokemon":
        file = next(path.glob("*.npz"), path / "pokemon.npz")
        return {"all": lambda: arrays.read(file, options)}
    if name == "newsgroups20-nvdm":
        return bags.splits(path, options)
    found = idx.splits(path, options) if name == "mnist" else split_files(path, options, prefix)
    if not found:
        raise RequestError(f"The corpus {name!r} is not there: {str(path)!r} has no training file.")
    return {key: _coarse(read) for key, read in found.items()} if name == "trec" else found


def _coarse(read: Callable[[], Split]) -> Callable[[], Split]:
    """TREC's labels are ``COARSE:fine``: papers classify the six coarse ones."""

    def coarse() -> Split:
        split = read()
        fine = [label.partition(":")[0] for label in split.classes]
        classes = sorted_classes(fine)
        return replace(split, labels=renumber(split.labels, fine, classes), classes=classes)

    return coarse
