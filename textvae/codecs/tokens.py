"""What codecs of sentences share: BOS and EOS around the ids, a length limit, padding, n-grams, and the way back."""

import hashlib
from abc import abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from textvae.batching import shuffled
from textvae.codecs.base import BOS, EOS, PAD, Codec
from textvae.errors import RequestError
from textvae.ngrams import NGrams

COUNTED = 500_000  # sentences of which n-grams are counted, at most


class TokenCodec(Codec):
    """Sentences to ids BOS w₁ … wₙ EOS; sentences of more than ``max_length`` tokens keep their beginning."""

    pads = True
    ngrams: NGrams | None = None

    def __init__(self, vocab_size: int, state: bytes, max_length: int):
        if max_length < 1:
            raise RequestError(f"The max_length of a sentence is 1 token or more; {max_length} is too little.")
        self.vocab_size, self.max_length = vocab_size, max_length
        self._dtype = np.uint16 if vocab_size <= 2**16 else np.uint32
        self._fingerprint = hashlib.sha256(state + f"|{max_length}".encode()).hexdigest()

    def count(self, raw: Iterable[str], order: int) -> NGrams:
        """The n-grams of the sentences ``raw``, or of ``COUNTED`` of them, drawn at random, where they are more."""
        ids = (self.encode([text])[0] for text in sampled(raw, COUNTED))
        return NGrams.fit(ids, self.vocab_size, order)

    def save(self, folder: Path) -> None:
        """Write the n-grams, if there are any; a vocabulary comes beside them."""
        if self.ngrams is not None:
            self.ngrams.save(folder)

    @abstractmethod
    def ids(self, texts: Sequence[str]) -> list[list[int]]:
        """The ids of each text, without BOS, EOS and length limit."""

    @abstractmethod
    def text(self, ids: list[int]) -> str:
        """The text of ids that hold no PAD, BOS or EOS."""

    def encode(self, raw: Sequence[str]) -> list[np.ndarray]:
        """Sentences to id arrays [T], T ≤ max_length + 2."""
        return [np.array([BOS, *ids[: self.max_length], EOS], self._dtype) for ids in self.ids(raw)]

    def truncated(self, text: str) -> bool:
        """Whether ``encode`` would drop the end of this sentence."""
        return len(self.ids([text])[0]) > self.max_length

    def collate(self, examples: Sequence[np.ndarray], rng: np.random.Generator | None = None) -> Tensor:
        """Id arrays to x [B, T], padded at the right with PAD."""
        x = np.full((len(examples), max(map(len, examples))), PAD, np.int64)
        for row, ids in zip(x, examples):
            row[: len(ids)] = ids
        return torch.from_numpy(x)

    def decode(self, x: Tensor) -> list[str]:
        """Ids x [B, T] to sentences: what stands between BOS and the first EOS."""
        texts = []
        for row in x.tolist():
            end = row.index(EOS) if EOS in row else len(row)
            texts.append(self.text([i for i in row[:end] if i not in (BOS, PAD)]))
        return texts

    @property
    def dims(self) -> dict[str, Any]:
        """``vocab_size``, the special tokens included, the ``max_length`` of a sentence, and the n-grams, if any."""
        return {"vocab_size": self.vocab_size, "max_length": self.max_length, "ngrams": self.ngrams}

    @property
    def fingerprint(self) -> str:
        """A hash of the vocabulary and the length limit."""
        return self._fingerprint


def reread(raw: Iterable[str]) -> Sequence[str]:
    """The texts, held in memory where they could be read but once."""
    return raw if isinstance(raw, Sequence) else list(raw)


def sampled(raw: Iterable[str], sample: int) -> Iterator[str]:
    """``sample`` of the sentences, in their order; all of them if they are not more, or cannot be counted."""
    if not isinstance(raw, Sequence) or len(raw) <= sample:
        yield from raw
        return
    for row in np.sort(shuffled(np.arange(sample), len(raw), (0, 0))).tolist():
        yield raw[row]


def valid(text: str) -> str:
    """The text with lone surrogates, which UTF-8 cannot hold, replaced."""
    return text.encode("utf-8", "replace").decode("utf-8")
