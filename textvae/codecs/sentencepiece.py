"""Subword tokens by SentencePiece (Kudo & Richardson 2018): any Unicode text, no unknown words."""

import io
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Self

import sentencepiece

from textvae.codecs.base import BOS, EOS, PAD, UNK
from textvae.codecs.tokens import TokenCodec, reread, sampled, valid
from textvae.errors import CorruptFolder, RequestError
from textvae.ngrams import NGrams

FILE = "tokenizer.model"
THREADS = 4  # a constant: the scores of a unigram model depend on the number of threads that fitted it


class SentencePieceCodec(TokenCodec):
    """A unigram model with byte fallback: what no piece covers is spelt in UTF-8 bytes."""

    def __init__(self, model: bytes, max_length: int = 200):
        self._model = model
        self._processor = sentencepiece.SentencePieceProcessor(model_proto=model)
        super().__init__(self._processor.get_piece_size(), model, max_length)

    @classmethod
    def fit(
        cls,
        raw: Iterable[str],
        vocab_size: int = 8000,
        sample: int = 500_000,
        max_length: int = 200,
        lowercase: bool = False,
        ngrams: int = 0,
    ) -> Self:
        """Fit to ``raw``, of which at most ``sample`` sentences, drawn at random, are read and held in memory.

        The draw is always the same one, so that a corpus has one codec, whose encoding of it is found again.

        A small corpus gets a smaller vocabulary than asked for: as large as it supports. ``ngrams`` is the order of
        those that are counted, 0 for none.
        Raises RequestError where ``vocab_size`` has no room for the bytes and letters of the corpus.
        """
        model, failure = io.BytesIO(), None
        raw = reread(raw) if ngrams else raw

        def sentences() -> Iterator[str]:
            nonlocal failure
            try:
                for text in sampled(raw, sample):
                    yield valid(text)
            except Exception as error:  # sentencepiece would replace it by a RuntimeError without its type
                failure = error

        try:
            sentencepiece.SentencePieceTrainer.train(
                sentence_iterator=sentences(),
                model_writer=model,
                model_type="unigram",
                vocab_size=vocab_size,
                hard_vocab_limit=False,
                byte_fallback=True,
                character_coverage=0.9995,
                normalization_rule_name="nmt_nfkc_cf" if lowercase else "nmt_nfkc",
                input_sentence_size=sample,
                shuffle_input_sentence=True,
                max_sentence_length=2**20,
                num_threads=THREADS,
                pad_id=PAD,
                unk_id=UNK,
                bos_id=BOS,
                eos_id=EOS,
                minloglevel=2,
            )
        except RuntimeError as error:
            if failure is None:
                raise RequestError(
                    f"SentencePiece could not fit {vocab_size} tokens to this corpus: {str(error).rstrip('.')}. "
                    "Give it more text or change the vocabulary: --set codec.vocab_size=N."
                ) from error
        if failure is not None:
            raise failure
        codec = cls(model.getvalue(), max_length)
        codec.ngrams = codec.count(raw, ngrams) if ngrams else None
        return codec

    def ids(self, texts: Sequence[str]) -> list[list[int]]:
        """The ids of each text's pieces."""
        return self._processor.encode([valid(text) for text in texts])

    def text(self, ids: list[int]) -> str:
        """The text of a list of pieces; an unknown piece reads ⁇."""
        return self._processor.decode(ids)

    def save(self, folder: Path) -> None:
        """Write ``tokenizer.model``, and the n-grams."""
        super().save(folder)
        (folder / FILE).write_bytes(self._model)

    @classmethod
    def load(cls, folder: Path, max_length: int = 200, ngrams: int = 0) -> Self:
        """Read ``tokenizer.model``, and the n-grams where there are some."""
        try:
            if not (model := (folder / FILE).read_bytes()):
                raise RuntimeError("empty")  # which sentencepiece takes for a model
            codec = cls(model, max_length)
        except (OSError, RuntimeError) as error:
            raise CorruptFolder(f"{folder / FILE} is missing or is not a SentencePiece model.") from error
        codec.ngrams = NGrams.load(folder, codec.vocab_size, ngrams) if ngrams else None
        return codec
