"""Corruptions of a batch while training: of what the encoder reads, or of what the decoder is fed."""

from textvae.corruptions.base import Corruption
from textvae.registry import Registry

CORRUPTIONS: Registry[Corruption] = Registry(
    "corruption",
    {
        "none": "textvae.corruptions.base:NoCorruption",
        "word_dropout": "textvae.corruptions.word_dropout:WordDropout",
    },
)

__all__ = ["CORRUPTIONS", "Corruption"]
