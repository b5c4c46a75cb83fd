"""Dropout as strong recurrent language models use it (Gal & Ghahramani 2016; Merity et al. 2018).

All of it acts in training only, holds no tensors, and at a rate of 0 draws no random numbers: a model without it
has the same state, and trains by the same numbers, as if it were not there.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from textvae import recurrence
from textvae.recurrence import Ends


def mask(like: Tensor, shape: Sequence[int], rate: float) -> Tensor:
    """Zeros with probability ``rate``, else 1 / (1 - rate), of the given shape, in the dtype of ``like``."""
    # On a CPU, comparing uniform numbers takes a quarter of the time of bernoulli_, and so of nn.Dropout.
    kept = torch.rand(*shape, device=like.device) >= rate
    return kept.to(like.dtype) / max(1 - rate, 1e-9)


class LockedDropout(nn.Dropout):
    """One mask per sentence over all its positions: variational dropout (Gal & Ghahramani 2016, §4)."""

    def forward(self, x: Tensor) -> Tensor:
        """x [N, …, H], with one mask [H] for each of the N."""
        if not self.training or not self.p:
            return x
        return x * mask(x, [len(x), *(1 for _ in x.shape[1:-1]), x.shape[-1]], self.p)


class EmbeddingDropout(nn.Dropout):
    """Drops whole words of the vocabulary, wherever in the batch they stand (Gal & Ghahramani 2016, §4.2)."""

    def forward(self, embedding: nn.Embedding, ids: Tensor) -> Tensor:  # type: ignore[override]
        """Ids [N, T] to embeddings [N, T, E], the kept ones scaled up by 1 / (1 - p)."""
        if not self.training or not self.p:
            return embedding(ids)
        # Masking what is looked up equals masking rows of the weight, without a copy of all of it.
        kept = mask(embedding.weight, [embedding.num_embeddings], self.p)
        return embedding(ids) * kept[ids][..., None]


class WeightDrop(nn.Dropout):
    """DropConnect on an LSTM's hidden-to-hidden weights, one mask for all time steps (Merity et al. 2018, §2)."""

    def forward(self, lstm: nn.Module, inputs: Tensor, ends: Ends | None = None) -> tuple[Tensor, Ends]:  # type: ignore[override]
        """What ``lstm(inputs, ends)`` gives, inputs [N, T, E], with some of its weights left out while training."""
        if not self.training or not self.p:
            return recurrence.run(lstm, inputs, ends)
        weight = lstm.get_parameter("weight_hh_l0")
        return recurrence.run(lstm, inputs, ends, weight * mask(weight, weight.shape, self.p))
