"""Single pictures: a file, or ``mnist/test:7``, the one of that number in a corpus."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from textvae.errors import RequestError
from textvae_corpora.base import Split
from textvae_corpora.decode import readable
from textvae_corpora.load import load_split
from textvae_corpora.picture_file import SUFFIXES, is_grey, opened_picture, pixels, upright_size

_NUMBERED = re.compile(r"(.+):(\d{1,9})(?:-(\d{1,9}))?")


class Picture(NamedTuple):
    """What it is called, its pixels uint8 [C, H, W], and what was done to it."""

    name: str
    pixels: np.ndarray
    note: str = ""


def read_pictures(sources: Sequence[str], shape: tuple[int, int, int]) -> list[Picture]:
    """The pictures of some sources, brought to a ``shape`` (channels, height, width).

    A source is a file, ``CORPUS:7`` or ``CORPUS:0-9``, where a corpus is all that ``load_split`` reads.
    RequestError for what is not a picture.
    """
    corpora: dict[str, Split] = {}
    found: list[Picture] = []
    for source in sources:
        path = Path(source).expanduser()
        if readable(path) and path.is_file() and not _holds_many(path):
            found.append(_file(path, shape))
        elif numbered := _NUMBERED.fullmatch(source):
            corpus, first, last = numbered[1], int(numbered[2]), int(numbered[3] or numbered[2])
            split = _corpus(corpus, shape, last, corpora)
            if not first <= last < len(split.examples):
                raise RequestError(f"{source}: {corpus} has the pictures 0 to {len(split.examples) - 1:,}.")
            note = "; ".join(split.notes)
            found += [Picture(f"{corpus}:{i}", split.examples[i], note) for i in range(first, last + 1)]
        elif source.strip() and readable(path) and (path.is_dir() or path.is_file()):
            raise RequestError(f"{source} holds more than one picture: say which, as in {source}:0.")
        else:
            raise RequestError(
                f"There is no picture {source!r}: name a file ({', '.join(SUFFIXES)}), or one of a corpus by its "
                "number, as in digits:7 or mnist/test:7."
            )
    return found


def _holds_many(path: Path) -> bool:
    name = path.name.lower().removesuffix(".gz")
    return name.endswith((".npy", ".npz", "-ubyte"))


def _file(path: Path, shape: tuple[int, int, int]) -> Picture:
    channels, *size = shape
    with opened_picture(path) as image:
        had, grey, alpha = upright_size(image), is_grey(image), image.has_transparency_data
        moving = getattr(image, "n_frames", 1) > 1
        array = pixels(image, (size[0], size[1]), channels == 3)
    done = [
        *(["took the first frame"] if moving else []),
        *(["made white what is transparent"] if alpha else []),
        *(["made it grey"] if channels == 1 and not grey else []),
        *([f"scaled and cropped {had[1]:,} x {had[0]:,} to {size[1]} x {size[0]}"] if had != tuple(size) else []),
    ]
    return Picture(str(path), array, ", ".join(done))


def _corpus(name: str, shape: tuple[int, int, int], last: int, known: dict[str, Split]) -> Split:
    if name not in known or len(known[name].examples) <= last:
        split = load_split(name, limit=last + 1, size=shape[1:], colour=shape[0] == 3)
        if split.kind != "image":
            raise RequestError(f"{name} holds text, and a picture is needed.")
        known[name] = split
    return known[name]
