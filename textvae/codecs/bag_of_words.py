"""Documents as counts of their words, sparse until they stand in a batch."""

import hashlib
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Literal, Self

import numpy as np
import torch
from torch import Tensor

from textvae.codecs.base import Codec
from textvae.codecs.stop_words import ENGLISH
from textvae.codecs.words import FILE, MAX_DISTINCT
from textvae.errors import CorruptFolder, RequestError

WORD = re.compile(r"[^\W\d_]{2,}")
MAX_WORDS = 5_000_000
MAX_BYTES = 500_000_000  # of a saved vocabulary; more are a mistake, or a file made to exhaust the memory


class BagOfWordsCodec(Codec):
    """Lower-case words of two letters or more; an encoded document is [2, n]: ids and their counts.

    ``found_in`` says in how many of the ``documents`` that it was fitted to each word stands.
    """

    def __init__(self, words: Sequence[str], found_in: Sequence[int], documents: int, shown: int = 10):
        self.words, self.found_in = list(words), list(found_in)
        self.documents, self.shown = documents, shown
        self._ids = {word: i for i, word in enumerate(self.words)}

    @classmethod
    def fit(
        cls,
        raw: Iterable[str],
        vocab_size: int = 2000,
        max_share: float = 0.5,
        stop_words: Literal["english", "none"] | list[str] = "english",
        vocabulary: list[str] | None = None,
        shown: int = 10,
    ) -> Self:
        """Keep the ``vocab_size`` words of the most documents, but none that is in over ``max_share`` of them.

        ``stop_words`` are left out beforehand: English function words, none, or a list for another language.
        A ``vocabulary`` is taken as it is, whatever the other options say. ``shown`` is the number of words that
        ``decode`` writes. Raises RequestError where no word is left.
        """
        if vocab_size < 1 or shown < 1:
            raise RequestError("A vocabulary has 1 word or more, and at least 1 of them is shown.")
        found, n = Counter[str](), 0
        for text in raw:
            n += 1
            found.update(set(WORD.findall(text.lower())))
            if len(found) > MAX_DISTINCT:
                found = Counter({word: k for word, k in found.items() if k > 1})
        if vocabulary is not None:
            return cls(_checked(vocabulary), [found[word] for word in vocabulary], n, shown)
        stopped = stop_words if isinstance(stop_words, list) else ENGLISH if stop_words == "english" else ()
        for word in stopped:
            del found[word.lower()]
        ranked = sorted(found.items(), key=lambda item: (-item[1], item[0]))
        words = [word for word, k in ranked if k <= max(1, max_share * n)][:vocab_size]
        if not words:
            raise RequestError(
                f"No word stands in at most {max_share:.0%} of the {n} documents, stop words apart: give more "
                "documents, or set --set codec.max_share=1.0 and --set codec.stop_words=none."
            )
        return cls(words, [found[word] for word in words], n, shown)

    def encode(self, raw: Sequence[str]) -> list[np.ndarray]:
        """Documents to arrays [2, n] uint32: the ids of their known words, ascending, and the counts."""
        encoded, known = [], self._ids
        for text in raw:
            counts = Counter(known[w] for w in WORD.findall(text.lower()) if w in known)
            encoded.append(np.array(sorted(counts.items()), np.uint32).reshape(-1, 2).T)
        return encoded

    def collate(self, examples: Sequence[np.ndarray], rng: np.random.Generator | None = None) -> Tensor:
        """Sparse documents to counts x [B, V]: only a batch is ever dense."""
        x = torch.zeros(len(examples), len(self.words))
        ids, counts = np.concatenate(examples, 1).astype(np.int64) if len(examples) else np.zeros((2, 0), np.int64)
        rows = np.repeat(np.arange(len(examples)), [example.shape[1] for example in examples])
        x.numpy()[rows, ids] = counts
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
        """The ``input_shape`` (V,) of a document, and the share of the documents that hold each word, [V] floats."""
        shares = tuple(k / max(1, self.documents) for k in self.found_in)
        return {"input_shape": (len(self.words),), "document_frequency": shares}

    @property
    def fingerprint(self) -> str:
        """A hash of the words, and of how many documents hold each."""
        return hashlib.sha256(self._state().encode()).hexdigest()

    def _state(self) -> str:
        lines = [f"{k}\t{word}" for word, k in zip(self.words, self.found_in)]
        return "\n".join([f"{self.documents}\tdocuments", *lines])

    def save(self, folder: Path) -> None:
        """Write ``vocabulary.txt``: the number of documents, then in how many of them each word stands."""
        (folder / FILE).write_text(self._state(), encoding="utf-8")

    @classmethod
    def load(cls, folder: Path, shown: int = 10) -> Self:
        """Read ``vocabulary.txt``; CorruptFolder if it is not what ``save`` writes."""
        try:
            if (folder / FILE).stat().st_size > MAX_BYTES:
                raise ValueError("too large")
            first, *lines = (folder / FILE).read_text(encoding="utf-8").split("\n")
            documents = int(first.removesuffix("\tdocuments"))
            pairs = [line.split("\t") for line in lines]
            words, found_in = [word for _, word in pairs], [int(k) for k, _ in pairs]
            if not all(0 <= k <= documents for k in found_in):
                raise ValueError("a word is in more documents than there are")
            return cls(_checked(words), found_in, documents, shown)
        except (OSError, ValueError, RequestError) as error:  # ValueError: also what is not UTF-8
            raise CorruptFolder(f"{folder / FILE} is missing or is not a vocabulary.") from error


def _checked(words: Sequence[str]) -> Sequence[str]:
    """The words; RequestError if there are none, one comes twice, or a document could never hold one."""
    if not 1 <= len(words) <= MAX_WORDS or len(set(words)) < len(words):
        raise RequestError(f"A vocabulary has from 1 to {MAX_WORDS:,} words, each of them once.")
    for word in words:
        if not WORD.fullmatch(word) or word != word.lower():
            raise RequestError(f"{word[:40]!r} cannot be in a vocabulary: words are lower-case, two letters or more.")
    return words
