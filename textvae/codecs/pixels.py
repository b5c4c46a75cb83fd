"""Pictures: bytes [C, H, W] on disk, floats in [0, 1] in a batch."""

import hashlib
import json
import zlib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Literal, Self, get_args

import numpy as np
import torch
from torch import Tensor

from textvae.codecs.base import Codec
from textvae.errors import CorruptFolder, RequestError

FILE = "pixels.json"
Binarise = Literal["none", "fixed", "dynamic"]


class PixelCodec(Codec):
    """Pictures of one shape, uint8 [C, H, W], as they are or made black and white.

    With ``binarise`` each pixel is white with the probability of its grey: drawn once for good (``fixed``,
    Larochelle & Murray 2011), or anew in each step of the training (``dynamic``, Burda et al. 2016). What is
    evaluated is drawn once either way, from a seed of the picture's own. The three differ by nats: name the one used.
    """

    def __init__(self, shape: Sequence[int], binarise: Binarise = "none"):
        self.shape, self.binarise = tuple(shape), binarise

    @classmethod
    def fit(cls, raw: Iterable[np.ndarray], binarise: Binarise = "none") -> Self:
        """Take the shape of the first picture."""
        for picture in raw:
            return cls(np.asarray(picture).shape, binarise)
        raise RequestError("There are no pictures in this corpus.")

    def encode(self, raw: Sequence[np.ndarray]) -> list[np.ndarray]:
        """Check each picture's shape and type; RequestError where they differ from the model's."""
        pictures = [np.asarray(picture) for picture in raw]
        for picture in pictures:
            if picture.shape != self.shape or picture.dtype != np.uint8:
                raise RequestError(
                    f"A picture is {picture.dtype} {list(picture.shape)}; this model reads uint8 "
                    f"{list(self.shape)} (channels, height, width). Resize it first."
                )
        return list(map(drawn_once, pictures)) if self.binarise == "fixed" else pictures

    def collate(self, examples: Sequence[np.ndarray], rng: np.random.Generator | None = None) -> Tensor:
        """Bytes to x [B, C, H, W] in [0, 1]."""
        if self.binarise == "dynamic" and rng is None:
            examples = list(map(drawn_once, examples))
        pictures = np.stack(examples)
        if self.binarise == "dynamic" and rng is not None:
            pictures = drawn(pictures, rng)
        return torch.from_numpy(pictures).float() / 255

    def decode(self, x: Tensor) -> list[np.ndarray]:
        """x [B, C, H, W] in [0, 1] to uint8 pictures."""
        return list((x.clamp(0, 1) * 255).round().to(torch.uint8).cpu().numpy())

    @property
    def dims(self) -> dict[str, Any]:
        """The ``input_shape`` (C, H, W) of a picture."""
        return {"input_shape": self.shape}

    @property
    def picture_shape(self) -> tuple[int, ...]:
        """The shape (C, H, W)."""
        return self.shape

    @property
    def fingerprint(self) -> str:
        """A hash of the shape and of the binarisation."""
        what = self.shape if self.binarise == "none" else (self.shape, self.binarise)
        return hashlib.sha256(repr(what).encode()).hexdigest()

    def save(self, folder: Path) -> None:
        """Write ``pixels.json``."""
        (folder / FILE).write_text(json.dumps({"shape": self.shape, "binarise": self.binarise}))

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read ``pixels.json``."""
        try:
            tree = json.loads((folder / FILE).read_text())
            shape, binarise = [int(n) for n in tree["shape"]], tree.get("binarise", "none")
        except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise CorruptFolder(f"{folder / FILE} is missing or does not give a shape.") from error
        if binarise not in get_args(Binarise):
            raise CorruptFolder(f"{folder / FILE} asks for a binarisation that does not exist: {binarise!r}.")
        return cls(shape, binarise)


def drawn(pictures: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Bytes of any shape to 0 or 255, the latter with probability byte/255."""
    return np.where(rng.integers(0, 255, pictures.shape, np.uint8) < pictures, np.uint8(255), np.uint8(0))


def drawn_once(picture: np.ndarray) -> np.ndarray:
    """The same draw whenever it is that picture."""
    return drawn(picture, np.random.default_rng(zlib.crc32(picture.tobytes())))
