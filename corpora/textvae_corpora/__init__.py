"""Readers of corpora: files, folders, registered names and Hugging Face datasets become raw examples."""

from textvae_corpora.base import Corpus, Options, Split
from textvae_corpora.encode import encode_examples
from textvae_corpora.load import load_corpus, load_examples, load_split, load_training
from textvae_corpora.sources import NAMES, READERS

__all__ = [
    "NAMES",
    "READERS",
    "Corpus",
    "Options",
    "Split",
    "encode_examples",
    "load_corpus",
    "load_examples",
    "load_split",
    "load_training",
]
