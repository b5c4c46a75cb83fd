"""Corruptions of a batch while training: of what the encoder reads, or of what the decoder is fed."""

from textvae.corruptions.base import Corruption
from textvae.registry import Registry

CORRUPTIONS: Registry[Corruption] = Registry(
    "corruption",
    {
        "none": "textvae.corruptions.base:NoCorruption",
        "word_dropout": "textvae.corruptions.word_dropout:WordDropout",
        "masking": "textvae.corruptions.masking:Masking",
        "deletion": "textvae.corruptions.deletion:Deletion",
        "gaussian": "textvae.corruptions.gaussian:GaussianNoise",
        "salt_and_pepper": "textvae.corruptions.salt_and_pepper:SaltAndPepper",
    },
)

__all__ = ["CORRUPTIONS", "Corruption"]
