"""Which reader reads a source: a file's suffix, a folder's content or a registered name decides."""

from __future__ import annotations

import importlib
import re
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from textvae.errors import RequestError
from textvae.registry import did_you_mean
from textvae_corpora.base import Options, Splits
from textvae_corpora.decode import readable

READERS: dict[str, str] = {
    "": "textvae_corpora.lines:read",
    ".txt": "textvae_corpora.lines:read",
    ".csv": "textvae_corpora.tables:read_csv",
    ".tsv": "textvae_corpora.tables:read_tsv",
    ".jsonl": "textvae_corpora.json_rows:read",
    ".json": "textvae_corpora.json_rows:read",
    ".parquet": "textvae_corpora.parquet:read",
    ".npy": "textvae_corpora.arrays:read",
    ".npz": "textvae_corpora.arrays:read",
    "-ubyte": "textvae_corpora.idx:read",
    ".png": "textvae_corpora.picture_folder:read_file",
    ".jpg": "textvae_corpora.picture_folder:read_file",
    ".jpeg": "textvae_corpora.picture_folder:read_file",
    ".gif": "textvae_corpora.picture_folder:read_file",
    ".bmp": "textvae_corpora.picture_folder:read_file",
    ".webp": "textvae_corpora.picture_folder:read_file",
}
"""Suffix of a file (without .gz) -> ``read(path, options) -> Split``; any other suffix is read as lines."""


class Named(NamedTuple):
    """A corpus that has a name: ``splits(name, argument, options) -> Splits``, and what it holds."""

    entry: str
    about: str


NAMES: dict[str, Named] = {
    "toy": Named("textvae_corpora.toy:splits", "sentences of a toy grammar; toy:N for N of them"),
    "digits": Named("textvae_corpora.digits:splits", "1,797 handwritten digits, grey, 8 x 8"),
    "shapes": Named("textvae_corpora.shapes:splits", "a coloured shape each, 32 x 32; shapes:N for N of them"),
    "sprites": Named("textvae_corpora.sprites:splits", "pixel characters in colour, 16 x 16; sprites:N for N of them"),
    "python-docs": Named("textvae_corpora.python_docs:splits", "documentation of the Python that runs"),
    "captioned-shapes": Named(
        "textvae_corpora.shapes:splits",
        "two shapes each, and captions: a small red square left of …",
    ),
    "ptb": Named("textvae_corpora.standard:splits", "Penn Treebank, sentences of newspapers"),
    "yelp": Named("textvae_corpora.standard:splits", "short reviews and their sentiment"),
    "captions": Named("textvae_corpora.standard:splits", "captions of photographs (Flickr30k)"),
    "tatoeba": Named("textvae_corpora.standard:splits", "everyday sentences"),
    "trec": Named("textvae_corpora.standard:splits", "questions and what they ask for"),
    "newsgroups20": Named("textvae_corpora.standard:splits", "20 Newsgroups, documents"),
    "newsgroups20-nvdm": Named("textvae_corpora.standard:splits", "20 Newsgroups as counts of 2,000 words"),
    "reuters-r8": Named("textvae_corpora.standard:splits", "Reuters news of 8 topics"),
    "reuters-r52": Named("textvae_corpora.standard:splits", "Reuters news of 52 topics"),
    "mnist": Named("textvae_corpora.standard:splits", "70,000 handwritten digits, grey, 28 x 28"),
    "pokemon": Named("textvae_corpora.standard:splits", "792 sprites in colour, 40 x 40"),
}
"""Name of a corpus -> its function; the argument is what follows a colon."""


def resolve(entry: str) -> Callable[..., Any]:
    """The function that ``"module:function"`` names."""
    module, _, attribute = entry.partition(":")
    function: Callable[..., Any] = getattr(importlib.import_module(module), attribute)
    return function


def reader_of(path: Path) -> Callable[..., Any]:
    """The reader of a file, by its suffix."""
    name = path.name.lower().removesuffix(".gz")
    suffix = "-ubyte" if name.endswith("-ubyte") else Path(name).suffix
    return resolve(READERS.get(suffix, READERS[""]))


def splits_of(source: str, options: Options) -> tuple[str, Splits]:
    """The name of a source and its splits. RequestError where there is no such thing."""
    if source == "-":
        from textvae_corpora import stream

        return "standard input", {"all": lambda: stream.read_standard_input(options)}
    if not source.strip():
        raise RequestError("The name of the corpus is empty: name a file, a folder or a corpus.")
    path = Path(source).expanduser()
    if readable(path):
        return path.name or str(path.resolve()), path_splits(path, options)
    head, _, argument = source.partition(":")
    name, _, chosen = head.partition("/")
    if name in NAMES:
        found: Splits = resolve(NAMES[name].entry)(name, argument, options)
        return source, found if not chosen else {"all": found[_split_of(name, chosen, found)]}
    return source, _elsewhere(source, path, options)


def path_splits(path: Path, options: Options) -> Splits:
    """The splits of a file, a folder or a named pipe that exists."""
    if path.is_dir():
        from textvae_corpora import folders

        return folders.splits(path, options)
    mode = path.stat().st_mode
    if stat.S_ISFIFO(mode):
        from textvae_corpora import stream

        return {"all": lambda: stream.read_pipe(path, options)}
    if not stat.S_ISREG(mode):
        raise RequestError(f"{path} is neither a file nor a folder.")
    reader = reader_of(path)
    return {"all": lambda: reader(path, options)}


def _split_of(name: str, chosen: str, found: Splits) -> str:
    if chosen not in found:
        has = ", ".join(f"{name}/{split}" for split in found if split != "all") or f"no splits: say {name}"
        raise RequestError(f"The corpus {name} has no split {chosen!r}. It has {has}.")
    return chosen


def _elsewhere(source: str, path: Path, options: Options) -> Splits:
    """A Hugging Face dataset, if the name can be one."""
    suffix = Path(path.name.lower().removesuffix(".gz")).suffix
    named = bool(re.fullmatch(r"[\w.-]+(/[\w.-]+)?(:.+)?", source)) and not source.startswith(".")
    if not named or (suffix and suffix in READERS):
        raise RequestError(f"There is no file {source!r}. {nearest(source, path)}")
    from textvae_corpora import hub

    return hub.splits(source, f"There is no file {source!r} here and no corpus of that name.", options)


def nearest(source: str, path: Path) -> str:
    """A sentence that helps after a wrong path or name: what stands nearest to it."""
    folder = path.parent
    try:
        there = {str(p) for p in folder.iterdir() if not p.name.startswith(".")} if folder.is_dir() else set()
    except OSError:
        there = set()
    if not folder.is_dir():
        return f"There is no folder {str(folder)!r} either."
    near = did_you_mean(source, there | set(NAMES))
    return near if near.startswith("Did") else f"Corpora that have a name: {', '.join(NAMES)}."
