"""Pictures that are read, and captions that are written: an example holds both (Pu et al. 2016)."""

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Literal, Self

import numpy as np
from torch import Tensor

from textvae.captioned import Captioned
from textvae.codecs.base import EOS, Codec
from textvae.codecs.pixels import PixelCodec
from textvae.codecs.sentencepiece import SentencePieceCodec
from textvae.codecs.tokens import TokenCodec
from textvae.codecs.words import WordCodec
from textvae.errors import RequestError

WORDS = np.dtype(np.uint32)  # of ids behind the bytes of a picture
Words = Literal["sentencepiece", "words"]
CODECS: dict[Words, type[SentencePieceCodec] | type[WordCodec]] = {
    "sentencepiece": SentencePieceCodec,
    "words": WordCodec,
}


class CaptionCodec(Codec):
    """x is the picture, the target one of its captions: another in each step of the training, else the first.

    What is encoded is one array of bytes: the picture, then the ids of each caption, BOS … EOS. A picture alone is
    read too, as ``PixelCodec`` does; it has no target.
    """

    pads = True

    def __init__(self, pixels: PixelCodec, text: TokenCodec):
        self.pixels, self.text = pixels, text
        self._bytes = int(np.prod(pixels.shape))

    @classmethod
    def fit(
        cls,
        raw: Iterable[Captioned],
        text: Words = "sentencepiece",
        vocab_size: int = 8000,
        max_length: int = 50,
        ngrams: int = 0,
    ) -> Self:
        """The shape of the first picture, and a vocabulary (and n-grams) of all captions by the codec ``text``."""
        first: list[np.ndarray] = []

        def captions() -> Iterator[str]:
            for picture, said in raw:
                if not first:
                    first.append(picture)
                yield from said

        words = CODECS[text].fit(captions(), vocab_size=vocab_size, max_length=max_length, ngrams=ngrams)
        return cls(PixelCodec.fit(first), words)

    def encode(self, raw: Sequence[Captioned | np.ndarray]) -> list[np.ndarray]:
        """Captioned pictures to uint8 [n], pictures alone to uint8 [C, H, W]."""
        encoded = []
        for one in raw:
            if not isinstance(one, Captioned):
                encoded += self.pixels.encode([one])
                continue
            [picture] = self.pixels.encode([one.picture])
            ids = [array.astype(WORDS).view(np.uint8) for array in self.text.encode(one.captions)]
            encoded.append(np.concatenate([picture.ravel(), *ids]))
        return encoded

    def collate(self, examples: Sequence[np.ndarray], rng: np.random.Generator | None = None) -> Tensor:
        """The pictures x [B, C, H, W] in [0, 1]."""
        return self.pixels.collate([one.ravel()[: self._bytes].reshape(self.pixels.shape) for one in examples], rng)

    def targets(self, examples: Sequence[np.ndarray], rng: np.random.Generator | None = None) -> Tensor:
        """A caption of each [B, T], drawn where there is an ``rng``; RequestError for a picture without one."""
        chosen = []
        for one in examples:
            ids = one.ravel()[self._bytes :].view(WORDS)
            captions = np.split(ids, np.flatnonzero(ids == EOS)[:-1] + 1)
            if not len(ids):
                raise RequestError("A picture has no caption, and its caption is what is to be learned.")
            chosen.append(captions[0 if rng is None else rng.integers(len(captions))])
        return self.text.collate(chosen)

    def decode(self, x: Tensor) -> list[str]:
        """Ids x [B, T] to captions."""
        return self.text.decode(x)

    @property
    def dims(self) -> dict[str, Any]:
        """The ``input_shape`` (C, H, W) of a picture."""
        return self.pixels.dims

    @property
    def picture_shape(self) -> tuple[int, ...]:
        """The shape (C, H, W) of a picture."""
        return self.pixels.shape

    @property
    def written(self) -> TokenCodec:
        """The codec of captions."""
        return self.text

    @property
    def fingerprint(self) -> str:
        """A hash of the shape and of the vocabulary."""
        return hashlib.sha256(f"{self.pixels.fingerprint}|{self.text.fingerprint}".encode()).hexdigest()

    def save(self, folder: Path) -> None:
        """Write ``pixels.json`` and the file of the vocabulary."""
        self.pixels.save(folder)
        self.text.save(folder)

    @classmethod
    def load(cls, folder: Path, text: Words = "sentencepiece", max_length: int = 50, ngrams: int = 0) -> Self:
        """Read what ``save`` wrote."""
        return cls(PixelCodec.load(folder), CODECS[text].load(folder, max_length, ngrams))
