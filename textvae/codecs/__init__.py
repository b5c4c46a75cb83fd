"""Codecs: raw examples to arrays, batches, and back."""

from textvae.codecs.base import Codec
from textvae.registry import Registry

CODECS: Registry[Codec] = Registry(
    "codec",
    {
        "sentencepiece": "textvae.codecs.sentencepiece:SentencePieceCodec",
        "words": "textvae.codecs.words:WordCodec",
        "bag_of_words": "textvae.codecs.bag_of_words:BagOfWordsCodec",
        "pixels": "textvae.codecs.pixels:PixelCodec",
        "captions": "textvae.codecs.captions:CaptionCodec",
        "codes": "textvae.codes:CodesCodec",
    },
)

__all__ = ["CODECS", "Codec"]
