"""Pictures: bytes [C, H, W] on disk, floats in [0, 1] in a batch."""

import hashlib
import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor

from textvae.codecs.base import Codec
from textvae.errors import CorruptFolder, RequestError

FILE = "pixels.json"


class PixelCodec(Codec):
    """Pictures of one shape, uint8 [C, H, W]."""

    def __init__(self, shape: Sequence[int]):
        self.shape = tuple(shape)

    @classmethod
    def fit(cls, raw: Iterable[np.ndarray]) -> Self:
        """Take the shape of the first picture."""
        for picture in raw:
            return cls(np.asarray(picture).shape)
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
        return pictures

    def collate(self, examples: Sequence[np.ndarray]) -> Tensor:
        """Bytes to x [B, C, H, W] in [0, 1]."""
        return torch.from_numpy(np.stack(examples)).float() / 255

    def decode(self, x: Tensor) -> list[np.ndarray]:
        """x [B, C, H, W] in [0, 1] to uint8 pictures."""
        return list((x.clamp(0, 1) * 255).round().to(torch.uint8).cpu().numpy())

    @property
    def dims(self) -> dict[str, Any]:
        """The ``input_shape`` (C, H, W) of a picture."""
        return {"input_shape": self.shape}

    @property
    def fingerprint(self) -> str:
        """A hash of the shape."""
        return hashlib.sha256(repr(self.shape).encode()).hexdigest()

    def save(self, folder: Path) -> None:
        """Write ``pixels.json``."""
        (folder / FILE).write_text(json.dumps({"shape": self.shape}))

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read ``pixels.json``."""
        try:
            return cls([int(n) for n in json.loads((folder / FILE).read_text())["shape"]])
        except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
            raise CorruptFolder(f"{folder / FILE} is missing or does not give a shape.") from error
