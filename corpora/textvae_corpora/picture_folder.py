"""A folder of pictures, brought to one size."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from textvae.errors import RequestError
from textvae_corpora.arrays import refuse_large, split_of
from textvae_corpora.base import Options, Split
from textvae_corpora.fit import shown
from textvae_corpora.picture_file import is_grey, opened_picture, pixels, upright_size

LARGE, SIDE = 128, 64
"""Pictures of one size are left as they are up to ``LARGE`` pixels a side; others become ``SIDE`` x ``SIDE``."""


Open = Callable[[int], AbstractContextManager[Any]]
"""The number of a picture -> a pillow image of it, not decoded yet."""


def read(folder: Path, files: list[Path], options: Options) -> Split:
    """Grey pictures [N, 1, H, W] if all are grey, else colour [N, 3, H, W]; subfolders are classes."""
    from textvae_corpora.folders import folder_labels

    names = folder_labels(folder, files)
    files = files[: options.limit]
    array, notes = gather(folder, len(files), lambda i: opened_picture(files[i]), options)
    labels = None if names is None else [str(name) for name in names[: len(files)]]
    paths = [path.relative_to(folder).as_posix() for path in files]
    return replace(split_of(array, labels, notes), names=paths)


def read_file(path: Path, options: Options) -> Split:
    """The picture of one file."""
    array, notes = gather(path, 1, lambda _: opened_picture(path), options)
    return split_of(array, None, notes)


def gather(where: Path | str, count: int, open_: Open, options: Options) -> tuple[np.ndarray, list[str]]:
    """Pictures uint8 [N, C, H, W], grey if all are grey, and notes of what was done to them.

    Only one is held at its own size. RequestError names those that are damaged, or of a size that only a
    decompression bomb has.
    """
    sizes, coloured = Counter[tuple[int, int]](), bool(options.colour)

    def look(image: Any, place: int) -> None:
        nonlocal coloured
        sizes[upright_size(image)] += 1
        coloured = coloured or (options.colour is None and not is_grey(image))

    _each(where, count, open_, look)
    (height, width), notes = _size(sizes, options.size)
    channels = 3 if coloured else 1
    refuse_large(where, count * channels * height * width)
    array = np.empty((count, channels, height, width), np.uint8)

    def take(image: Any, place: int) -> None:
        array[place] = pixels(image, (height, width), coloured)

    _each(where, count, open_, take)
    return array, notes


def _each(where: Path | str, count: int, open_: Open, use: Callable[[Any, int], None]) -> None:
    """Open the pictures in turn; RequestError names the damaged ones after all have been tried."""
    damaged: list[str] = []
    for place in range(count):
        try:
            with open_(place) as image:
                use(image, place)
        except RequestError as error:
            damaged.append(str(error))
    if len(damaged) > 3:
        more = f"{len(damaged):,} of the {count:,} pictures in {where} cannot be read. "
        raise RequestError(f"{more}{' '.join(damaged[:3])} Remove them, and run again.")
    if damaged:
        raise RequestError(" ".join(damaged))


def _size(sizes: Counter[tuple[int, int]], asked: tuple[int, int] | None) -> tuple[tuple[int, int], list[str]]:
    """The height and width that the pictures shall have, and a note where some have another."""
    only = next(iter(sizes)) if len(sizes) == 1 else None
    if asked is None and only is not None and max(only) <= LARGE:
        return only, []
    side = round(min(SIDE, median(min(size) for size in sizes.elements())))
    wanted = asked or (side, side)
    if only == wanted:
        return wanted, []
    low, high = min(sizes, key=lambda size: size[0] * size[1]), max(sizes, key=lambda size: size[0] * size[1])
    were = f"are {shown(low)} each" if only else f"have {len(sizes):,} sizes, from {shown(low)} to {shown(high)}"
    another = "" if asked else "; --size N takes another size"
    return wanted, [f"the pictures {were}: scaled and cropped to {shown(wanted)}{another}"]
