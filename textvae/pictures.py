"""Pictures side by side on one canvas, and PNG files of them."""

import io
import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from textvae.errors import RequestError
from textvae.files import write_whole

if TYPE_CHECKING:
    from types import ModuleType

MARGIN = 2
"""Pixels between the pictures."""
PAPER = 255
"""What shows between the pictures: white, as the page that they will stand on."""
LARGEST = 1 << 27
"""Pixels of a canvas."""
SEEN, WIDEST = 64, 1600
"""A picture is enlarged to about so many pixels a side, as long as the canvas is not wider than that."""


def pillow() -> "ModuleType":
    """``PIL.Image``; RequestError where pillow is not installed."""
    try:
        from PIL import Image
    except ImportError:
        raise RequestError("Pictures are read and written by pillow: pip install 'textvae[images]'.") from None
    return Image


def canvas(rows: Sequence[Sequence[np.ndarray]], margin: int = MARGIN, times: int = 1) -> np.ndarray:
    """Rows of pictures uint8 [C, H, W], all of one shape, as one uint8 [H', W', C].

    A row without pictures leaves some room, as between two groups. Each pixel is repeated ``times`` times.
    """
    first = next((picture for row in rows for picture in row), None)
    if first is None:
        raise RequestError("There is no picture to show.")
    channels, height, width = first.shape[0], first.shape[1] * times, first.shape[2] * times
    tops = np.cumsum([margin] + [height + margin if row else 2 * margin for row in rows])
    right = max(map(len, rows)) * (width + margin) + margin
    if right * tops[-1] > LARGEST:
        raise RequestError(f"A canvas of {right:,} x {tops[-1]:,} pixels is too large: show fewer pictures.")
    paper = np.full((tops[-1], right, channels), PAPER, np.uint8)
    for y, row in zip(tops, rows):
        for j, picture in enumerate(row):
            x = margin + j * (width + margin)
            tile = picture.transpose(1, 2, 0).repeat(times, 0).repeat(times, 1)
            paper[y : y + height, x : x + width] = tile
    return paper


def square(pictures: Sequence[np.ndarray]) -> list[Sequence[np.ndarray]]:
    """The pictures in rows that make the canvas about as wide as it is high."""
    height, width = pictures[0].shape[1:] if len(pictures) else (1, 1)
    columns = max(1, min(len(pictures), math.ceil(math.sqrt(len(pictures) * height / width))))
    return [pictures[start : start + columns] for start in range(0, len(pictures), columns)]


def enlargement(rows: Sequence[Sequence[np.ndarray]]) -> int:
    """How many times each pixel is repeated, so that small pictures can be seen."""
    height, width = next(picture for row in rows for picture in row).shape[1:]
    return int(max(1, min(round(SEEN / min(height, width)), WIDEST // (width * max(map(len, rows))))))


def narrowed(pixels: np.ndarray, width: int) -> np.ndarray:
    """A canvas [H, W, C] that is at most so wide; pixels that fall together are averaged."""
    if pixels.shape[1] <= width:
        return pixels
    height = max(1, round(len(pixels) * width / pixels.shape[1]))
    return np.asarray(_image(pixels).resize((width, height), pillow().Resampling.BOX)).reshape(height, width, -1)


def png(pixels: np.ndarray) -> bytes:
    """The PNG file of uint8 [H, W, 1] or [H, W, 3]."""
    stream = io.BytesIO()
    _image(pixels).save(stream, "PNG", optimize=True)
    return stream.getvalue()


def save(path: Path, rows: Sequence[Sequence[np.ndarray]]) -> None:
    """Write rows of pictures uint8 [C, H, W] as one PNG, large enough to be seen, whole or not at all."""
    write_whole(path, png(canvas(rows, MARGIN, enlargement(rows) if any(rows) else 1)))


def _image(pixels: np.ndarray) -> Any:
    return pillow().fromarray(pixels[..., 0] if pixels.shape[-1] == 1 else np.ascontiguousarray(pixels))
