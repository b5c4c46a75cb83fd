"""Whitespace-separated words, for corpora that are tokenised already, as the papers' are (PTB)."""

from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Self

from textvae.codecs.base import UNK
from textvae.codecs.tokens import TokenCodec, reread, valid
from textvae.errors import CorruptFolder, RequestError
from textvae.ngrams import NGrams

FILE = "vocabulary.txt"
SPECIAL = 4  # PAD, UNK, BOS, EOS are ids without a spelling, so no word of a corpus can clash with them
CORPUS_UNKNOWN = "<unk>"
MAX_DISTINCT = 5_000_000


class WordCodec(TokenCodec):
    """The most frequent words of the corpus.

    A corpus that spells its rare words ``<unk>`` (PTB) has that as a word like any other, scored as one;
    words that are not in the vocabulary are then read as it, otherwise as the model's own UNK.
    """

    def __init__(self, words: Sequence[str], max_length: int = 200):
        self._words = list(words)
        self._ids = {word: SPECIAL + i for i, word in enumerate(self._words)}
        self._unknown = self._ids.get(CORPUS_UNKNOWN, UNK)
        super().__init__(SPECIAL + len(self._words), "\n".join(self._words).encode(), max_length)

    @classmethod
    def fit(cls, raw: Iterable[str], vocab_size: int = 20_000, max_length: int = 200, ngrams: int = 0) -> Self:
        """Keep the ``vocab_size`` most frequent words (the special tokens come on top), and count ``ngrams``.

        Counts of at most five million distinct words are held; past that, those seen once are forgotten.
        """
        if vocab_size < 1:
            raise RequestError(f"A vocabulary has 1 word or more; {vocab_size} is too few.")
        counts: Counter[str] = Counter()
        raw = reread(raw) if ngrams else raw
        for text in raw:
            counts.update(valid(text).split())
            if len(counts) > MAX_DISTINCT:
                counts = Counter({word: n for word, n in counts.items() if n > 1})
        if not counts:
            raise RequestError("The corpus has no words: it holds only white space.")
        # Ties are broken by spelling, so that the vocabulary does not depend on the order of the corpus.
        ranked = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
        codec = cls([word for word, _ in ranked[:vocab_size]], max_length)
        codec.ngrams = codec.count(raw, ngrams) if ngrams else None
        return codec

    def ids(self, texts: Sequence[str]) -> list[list[int]]:
        """The ids of each text's words."""
        return [[self._ids.get(word, self._unknown) for word in valid(text).split()] for text in texts]

    def text(self, ids: list[int]) -> str:
        """The words, with a space between; UNK reads ⁇."""
        return " ".join(self._words[i - SPECIAL] if i >= SPECIAL else "⁇" for i in ids)

    def save(self, folder: Path) -> None:
        """Write ``vocabulary.txt``, a word a line, in the order of their ids, and the n-grams."""
        super().save(folder)
        (folder / FILE).write_text("\n".join(self._words), encoding="utf-8")

    @classmethod
    def load(cls, folder: Path, max_length: int = 200, ngrams: int = 0) -> Self:
        """Read ``vocabulary.txt``, and the n-grams where there are some."""
        try:
            words = (folder / FILE).read_text(encoding="utf-8").split("\n")
        except (OSError, UnicodeDecodeError) as error:
            raise CorruptFolder(f"{folder / FILE} is missing or is not a vocabulary.") from error
        codec = cls(words, max_length)
        codec.ngrams = NGrams.load(folder, codec.vocab_size, ngrams) if ngrams else None
        return codec
