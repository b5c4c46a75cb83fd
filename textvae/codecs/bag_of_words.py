"""Documents as counts of their words, sparse until they stand in a batch."""

import hashlib
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor

from textvae.codecs.base import Codec
from textvae.codecs.words import FILE, MAX_DISTINCT
from textvae.errors import CorruptFolder, RequestError

WORD = re.compile(r"[^\W\d_]{2,}")


class BagOfWordsCodec(Codec):
    """Lower-case words of two letters or more; an encoded document is [2, n]: ids and their counts."""

    def __init__(self, words: Sequence[str], shown: int = 10):
        self.words, self.shown = list(words), shown
        self._ids = {word: i for i, word in enumerate(self.words)}

    @classmethod
    def fit(cls, raw: Iterable[str], vocab_size: int = 2000, max_share: float = 0.5, shown: int = 10) -> Self:
        """Keep the ``vocab_size`` words of the most documents, but none that is in over ``max_share`` of them.

        ``shown`` is the number of words that ``decode`` writes.
        """
        if vocab_size < 1 or shown < 1:
            raise RequestError("A vocabulary has 1 word or more, and at least 1 of them is shown.")
        documents, n = Counter[str](), 0
        for text in raw:
            n += 1
            documents.update(set(WORD.findall(text.lower())))
            if len(documents) > MAX_DISTINCT:
                documents = Counter({word: k for word, k in documents.items() if k > 1})
        ranked = sorted(documents.items(), key=lambda item: (-item[1], item[0]))
        words = [word for word, k in ranked if k <= max(1, max_share * n)][:vocab_size]
        if not words:
            raise RequestError(
                f"No word stands in at most {max_share:.0%} of the {n} documents: "
                "give more documents, or set --set codec.max_share=1.0."
            )
        return cls(words, shown)

    def encode(self, raw: Sequence[str]) -> list[np.ndarray]:
        """Documents to arrays [2, n] uint32: the ids of their known words, ascending, and the counts."""
        encoded = []
        for text in raw:
            counts = Counter(self._ids[w] for w in WORD.findall(text.lower()) if w in self._ids)
            encoded.append(np.array(sorted(counts.items()), np.uint32).reshape(-1, 2).T)
        return encoded

    def collate(self, examples: Sequence[np.ndarray]) -> Tensor:
        """Sparse documents to counts x [B, V]: only a batch is ever dense."""
        x = torch.zeros(len(examples), len(self.words))
        for row, (ids, counts) in zip(x, examples):
            row[torch.from_numpy(ids.astype(np.int64))] = torch.from_numpy(counts.astype(np.float32))
        return x

    def decode(self, x: Tensor) -> list[str]:
        """Counts x [B, V] to the most frequent words of each row."""
        top = x.topk(min(self.shown, x.shape[-1]), dim=-1)
        return [
            " ".join(self.words[i] for i, count in zip(ids, counts) if count > 0)
            for ids, counts in zip(top.indices.tolist(), top.values.tolist())
        ]

    @property
    def dims(self) -> dict[str, Any]:
        """The ``input_shape`` (V,) of a document."""
        return {"input_shape": (len(self.words),)}

    @property
    def fingerprint(self) -> str:
        """A hash of the vocabulary."""
        return hashlib.sha256("\n".join(self.words).encode()).hexdigest()

    def save(self, folder: Path) -> None:
        """Write ``vocabulary.txt``, a word a line."""
        (folder / FILE).write_text("\n".join(self.words), encoding="utf-8")

    @classmethod
    def load(cls, folder: Path, shown: int = 10) -> Self:
        """Read ``vocabulary.txt``."""
        try:
            return cls((folder / FILE).read_text(encoding="utf-8").split("\n"), shown)
        except (OSError, UnicodeDecodeError) as error:
            raise CorruptFolder(f"{folder / FILE} is missing or is not a vocabulary.") from error
