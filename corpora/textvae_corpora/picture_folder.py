"""A folder of pictures, all of one size."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from textvae.errors import RequestError
from textvae_corpora.arrays import pictures, refuse_large
from textvae_corpora.base import Options, Split
from textvae_corpora.decode import file_errors

SUFFIXES = (".png", ".jpg", ".jpeg")
_GREY = ("1", "L")


def read(folder: Path, files: list[Path], options: Options) -> Split:
    """Grey pictures [N, 1, H, W] if all are grey, else colour [N, 3, H, W]; subfolders are classes.

    Raises RequestError for pictures of several sizes, for one that is damaged, and for one of a size that
    only a decompression bomb has.
    """
    from textvae_corpora.folders import folder_labels

    names = folder_labels(folder, files)
    files = files[: options.limit]
    sizes, modes = Counter[tuple[int, int]](), set[str]()
    for path in files:
        with _picture(path) as image:
            sizes[image.size] += 1
            modes.add(image.mode if "transparency" not in image.info else "RGBA")
    if len(sizes) > 1:
        most = ", ".join(f"{count:,} of {w} x {h}" for (w, h), count in sizes.most_common(4))
        more = f" and {len(sizes) - 4} more sizes" if len(sizes) > 4 else ""
        raise RequestError(
            f"The pictures in {folder} have to be of one size: there are {most}{more}. Scale them first."
        )
    grey, (width, height) = modes <= set(_GREY), next(iter(sizes))
    channels = 1 if grey else 3
    refuse_large(folder, len(files) * channels * width * height)
    array = np.empty((len(files), height, width, channels), np.uint8)
    for i, path in enumerate(files):
        with _picture(path) as image:
            array[i] = _pixels(image, grey).reshape(height, width, channels)
    labels = None if names is None else np.array(names[: len(files)])
    return pictures(array, folder, options, labels)


@contextmanager
def _picture(path: Path) -> Iterator[Any]:
    try:
        from PIL import Image, UnidentifiedImageError
    except ImportError:
        raise RequestError("Pictures are read by pillow: pip install 'textvae[images]'.") from None
    try:
        with file_errors(path), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(path) as image:
                yield image
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise RequestError(f"{path} is refused: {error}") from error
    except RequestError as error:
        if isinstance(error.__cause__, UnidentifiedImageError):
            raise RequestError(f"{path} is not a picture, or it is damaged.") from error
        raise
    except (SyntaxError, ValueError) as error:
        raise RequestError(f"{path} is damaged: {error}.") from error


def _pixels(image: Any, grey: bool) -> np.ndarray:
    """uint8 [H, W] or [H, W, 3]; what is transparent becomes white."""
    from PIL import Image

    if image.mode.startswith("I;16"):
        shallow = Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
        return np.asarray(shallow.convert("RGB"))
    if grey:
        return np.asarray(image.convert("L"))
    if image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info:
        clear = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", clear.size, "white"), clear)
    return np.asarray(image.convert("RGB"))
