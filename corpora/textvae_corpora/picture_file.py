"""One picture of a file: opened without trust, turned upright, and brought to the size and the colours asked for."""

from __future__ import annotations

import io
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from textvae.errors import RequestError
from textvae.pictures import pillow
from textvae_corpora.decode import file_errors

FORMATS = ("PNG", "JPEG", "GIF", "BMP", "WEBP")
"""Formats of 8 or 16 bits whose decoders are bounded; pillow's others include one that runs a program (EPS)."""
SUFFIXES = (".png", ".jpg", ".jpeg", ".gif", ".bmp", ".webp")
_GREY = ("1", "L")
_ORIENTATION, _LYING = 0x0112, (5, 6, 7, 8)


@contextmanager
def opened_picture(path: Path, content: bytes | None = None) -> Iterator[Any]:
    """A pillow image whose pixels are not decoded yet; of ``content``, if given, which ``path`` is the name of then.

    RequestError where it is damaged, or so large that only a decompression bomb is: its header tells.
    """
    image_module = pillow()
    from PIL import UnidentifiedImageError

    try:
        with file_errors(path), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            warnings.simplefilter("error", image_module.DecompressionBombWarning)
            with image_module.open(path if content is None else io.BytesIO(content), formats=FORMATS) as image:
                yield image
    except (image_module.DecompressionBombError, image_module.DecompressionBombWarning) as error:
        raise RequestError(f"{path} is refused: {error}") from error
    except RequestError as error:
        if isinstance(error.__cause__, UnidentifiedImageError):
            raise RequestError(f"{path} is not a picture, or it is damaged.") from error
        raise
    except MemoryError:
        raise
    except Exception as error:  # decoders of damaged files raise whatever their parser stumbled over
        raise RequestError(f"{path} is damaged: {error or type(error).__name__}.") from error


def upright_size(image: Any) -> tuple[int, int]:
    """Height and width as the picture is meant to be seen, by its EXIF orientation; decodes nothing."""
    width, height = image.size
    lying = image.format == "JPEG" and image.getexif().get(_ORIENTATION) in _LYING
    return (width, height) if lying else (height, width)


def is_grey(image: Any) -> bool:
    """Whether the picture has no colours, and nothing of it is transparent."""
    return (image.mode in _GREY or image.mode.startswith("I")) and "transparency" not in image.info


def pixels(image: Any, size: tuple[int, int] | None = None, colour: bool = True) -> np.ndarray:
    """uint8 [C, H, W] of the first frame, upright; white where it is transparent.

    One of another ``size`` (height, width) is scaled until it covers it, and cropped around its centre.
    """
    from PIL import Image, ImageOps

    if size is not None:
        image.draft(None, (2 * size[1], 2 * size[0]))  # a large JPEG is decoded at an eighth, a quarter or half
    image = ImageOps.exif_transpose(image)
    if image.mode.startswith("I"):  # 16 bits, which pillow would clip to 8
        image = Image.fromarray((np.asarray(image).astype(np.uint32) >> 8).clip(0, 255).astype(np.uint8))
    if image.mode in ("RGBA", "LA", "PA", "La", "RGBa") or "transparency" in image.info:
        clear = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", clear.size, "white"), clear)
    image = image.convert("RGB" if colour else "L")
    if size is not None and image.size != (size[1], size[0]):
        image = ImageOps.fit(image, (size[1], size[0]), Image.Resampling.LANCZOS)
    array = np.asarray(image)
    return array[None] if array.ndim == 2 else array.transpose(2, 0, 1)
