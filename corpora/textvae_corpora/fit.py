"""Pictures in arrays, brought to the size and the colours that are asked for."""

from __future__ import annotations

import numpy as np


def fitted(array: np.ndarray, size: tuple[int, int] | None, colour: bool | None) -> tuple[np.ndarray, list[str]]:
    """Pictures uint8 [N, C, H, W] at ``size`` (height, width), in colour or grey, and notes of what was done.

    They are scaled until they cover the size and cropped around their centre, as those of files are; ``None``
    leaves them as they are.
    """
    notes = []
    if colour is not None and colour != (array.shape[1] == 3):
        array = array.repeat(3, 1) if colour else _grey(array)
        notes.append("grey pictures were given three channels" if colour else "colours were made grey")
    if size is not None and size != array.shape[2:]:
        notes.append(f"scaled and cropped from {shown(array.shape[2:])} to {shown(size)}")
        array = _scaled(array, size)
    return array, notes


def flattened(array: np.ndarray) -> np.ndarray:
    """[N, 4, H, W] with a channel of opacity to [N, 3, H, W] on white."""
    colours, opacity = array[:, :3].astype(np.uint16), array[:, 3:].astype(np.uint16)
    return ((colours * opacity + 255 * (255 - opacity) + 127) // 255).astype(np.uint8)


def _grey(array: np.ndarray) -> np.ndarray:
    """Luma of ITU-R 601, as pillow computes it."""
    weights = np.array([19595, 38470, 7471], np.uint32)
    return ((np.einsum("nchw,c->nhw", array.astype(np.uint32), weights) + (1 << 15)) >> 16).astype(np.uint8)[:, None]


def _scaled(array: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    from textvae.pictures import pillow

    pillow()
    from PIL import Image, ImageOps

    height, width = size
    result = np.empty((*array.shape[:2], height, width), np.uint8)
    for i, picture in enumerate(array):
        image = Image.fromarray(picture[0] if len(picture) == 1 else picture.transpose(1, 2, 0))
        fit = np.asarray(ImageOps.fit(image, (width, height), Image.Resampling.LANCZOS))
        result[i] = fit if fit.ndim == 2 else fit.transpose(2, 0, 1)
    return result


def shown(size: tuple[int, ...]) -> str:
    """Height and width as people write them: width x height."""
    return f"{size[1]:,} x {size[0]:,}"
