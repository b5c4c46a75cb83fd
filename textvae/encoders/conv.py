"""Convolutional encoder of sentences with maxima over time (Kim 2014)."""

from collections.abc import Sequence
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from textvae.codecs.base import PAD
from textvae.encoders.base import Encoder
from textvae.errors import RequestError

MAX_WIDTH = 256


class ConvEncoder(Encoder):
    """``channels`` filters of each of the ``widths`` over word embeddings, ReLU, and their maxima over the sentence.

    A window ends at each word and begins with zeros where the sentence has not begun, so that a sentence
    shorter than a filter has features too and padding has none.
    """

    counterparts: ClassVar = {"embedding.": "embedding."}

    def __init__(
        self,
        vocab_size: int,
        embedding_size: int = 256,
        channels: int = 170,
        widths: Sequence[int] = (3, 4, 5),
        dropout: float = 0.0,
    ):
        super().__init__()
        if not widths or not all(1 <= width <= MAX_WIDTH for width in widths):
            raise RequestError(f"Filters are from 1 to {MAX_WIDTH} words wide; {list(widths)[:8]} are not such widths.")
        self.widths = tuple(widths)
        self.embedding = nn.Embedding(vocab_size, embedding_size)
        nn.init.normal_(self.embedding.weight, std=0.1)
        self.filters = nn.ModuleList(nn.Conv1d(embedding_size, channels, width) for width in widths)
        self.dropout = nn.Dropout(dropout)
        self.output_size = channels * len(widths)

    def forward(self, x: Tensor) -> Tensor:
        """Ids x [B, T] to features [B, output_size]."""
        padding = (x == PAD)[:, None]
        words = self.dropout(self.embedding(x)).transpose(1, 2)
        maxima = [
            conv(F.pad(words, (width - 1, 0))).masked_fill(padding, -torch.inf).amax(-1)
            for conv, width in zip(self.filters, self.widths)
        ]
        return self.dropout(F.relu(torch.cat(maxima, -1).float()))
