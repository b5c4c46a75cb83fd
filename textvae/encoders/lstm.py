"""LSTM encoder of sentences (Bowman et al. 2015), in one direction or two."""

from typing import ClassVar, Literal

import torch
from torch import Tensor, nn

from textvae.codecs.base import PAD
from textvae.encoders.base import Encoder
from textvae.errors import RequestError
from textvae.layers import MAX_LAYERS, reverse_padded
from textvae.regularisation import EmbeddingDropout, LockedDropout, WeightDrop


class LSTMEncoder(Encoder):
    """Embedding, ``layers`` LSTMs, and one vector per sentence.

    ``pooling`` takes the last state (Bowman et al.) or the mean or maximum over the states, which keeps early
    words in reach (Long et al. 2019). The sequence is not packed: states past the end are computed and left
    out, which is quicker, and the backward direction reads each sentence reversed within its own length.
    ``locked``, ``weight_drop`` and ``embedding_dropout`` are those of the LSTM decoder.
    """

    counterparts: ClassVar = {"embedding.": "embedding.", "lstms.": "forwards."}

    def __init__(
        self,
        vocab_size: int,
        embedding_size: int = 256,
        hidden_size: int = 512,
        layers: int = 1,
        bidirectional: bool = False,
        dropout: float = 0.0,
        pooling: Literal["last", "mean", "max"] = "last",
        locked: bool = False,
        weight_drop: float = 0.0,
        embedding_dropout: float = 0.0,
    ):
        super().__init__()
        if not 1 <= layers <= MAX_LAYERS:
            raise RequestError(f"An LSTM has from 1 to {MAX_LAYERS} layers; {layers} is not.")
        self.pooling = pooling
        self.embedding = nn.Embedding(vocab_size, embedding_size)
        nn.init.normal_(self.embedding.weight, std=0.1)
        directions = 2 if bidirectional else 1
        sizes = [embedding_size] + [directions * hidden_size] * layers
        self.forwards = nn.ModuleList(nn.LSTM(n, hidden_size, batch_first=True) for n in sizes[:-1])
        self.backwards = nn.ModuleList(
            nn.LSTM(n, hidden_size, batch_first=True) for n in (sizes[:-1] if bidirectional else [])
        )
        self.dropout: nn.Module = LockedDropout(dropout) if locked else nn.Dropout(dropout)
        self.weight_drop, self.embedding_dropout = WeightDrop(weight_drop), EmbeddingDropout(embedding_dropout)
        self.output_size = sizes[-1]

    def forward(self, x: Tensor) -> Tensor:
        """Ids x [B, T] to features [B, output_size]."""
        mask = x != PAD
        lengths = mask.sum(1)
        states = self.embedding_dropout(self.embedding, x)
        for i, lstm in enumerate(self.forwards):
            inputs = self.dropout(states)
            states = self.weight_drop(lstm, inputs)[0]
            if self.backwards:
                backward = self.weight_drop(self.backwards[i], reverse_padded(inputs, lengths))[0]
                states = torch.cat([states, reverse_padded(backward, lengths)], -1)
        return self.dropout(self._pool(states.float(), mask, lengths))

    def _pool(self, states: Tensor, mask: Tensor, lengths: Tensor) -> Tensor:
        if self.pooling == "max":
            return states.masked_fill(~mask[..., None], -torch.inf).amax(1)
        if self.pooling == "mean":
            return (states * mask[..., None]).sum(1) / lengths[:, None]
        rows = torch.arange(len(states), device=states.device)
        if not self.backwards:
            return states[rows, lengths - 1]
        ahead, back = states.chunk(2, -1)  # the backward direction ends at the first word
        return torch.cat([ahead[rows, lengths - 1], back[:, 0]], -1)
