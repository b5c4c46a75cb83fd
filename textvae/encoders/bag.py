"""Bag-of-embeddings encoder of sentences (Iyyer et al. 2015's deep averaging network)."""

from collections.abc import Sequence
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn

from textvae.codecs.base import PAD
from textvae.encoders.base import Encoder
from textvae.layers import mlp


class BagEncoder(Encoder):
    """The mean or maximum of a sentence's word embeddings, through ReLU layers: quick, and blind to order."""

    counterparts: ClassVar = {"embedding.": "embedding."}

    def __init__(
        self,
        vocab_size: int,
        embedding_size: int = 256,
        hidden_sizes: Sequence[int] = (512,),
        pooling: Literal["mean", "max"] = "mean",
        dropout: float = 0.0,
    ):
        super().__init__()
        self.pooling = pooling
        self.embedding = nn.Embedding(vocab_size, embedding_size)
        nn.init.normal_(self.embedding.weight, std=0.1)
        self.dropout = nn.Dropout(dropout)
        self.layers = mlp([embedding_size, *hidden_sizes], dropout)
        self.output_size = hidden_sizes[-1] if hidden_sizes else embedding_size

    def forward(self, x: Tensor) -> Tensor:
        """Ids x [B, T] to features [B, output_size]."""
        mask = (x != PAD)[..., None]
        words = self.dropout(self.embedding(x))
        if self.pooling == "max":
            return self.layers(words.masked_fill(~mask, -torch.inf).amax(1))
        return self.layers((words * mask).sum(1) / mask.sum(1))
