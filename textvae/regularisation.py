"""Dropout as strong recurrent language models use it (Gal & Ghahramani 2016; Merity et al. 2018).

All of it acts in training only, holds no tensors, and at a rate of 0 draws no random numbers: a model without it
has the same state, and trains by the same numbers, as if it were not there.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar

import torch
from torch import Tensor, nn

from textvae import recurrence
from textvae.recurrence import Ends

_codes: ContextVar[int] = ContextVar("codes", default=1)


@contextmanager
def one_network(codes: int) -> Iterator[None]:
    """Within, rows are ``codes`` blocks of the same examples, and what is drawn for an example is so for all its rows.

    Masks of their own would move log p(x|z) by more than the codes do that are compared.
    """
    token = _codes.set(codes)
    try:
        yield
    finally:
        _codes.reset(token)


def of_rows(draw: Callable[[Sequence[int]], Tensor], shape: Sequence[int]) -> Tensor:
    """What ``draw`` gives for the rows of a ``shape`` [N, …], the rows of one example alike."""
    codes, (rows, *rest) = _codes.get(), shape
    return draw([rows // codes, *rest]).repeat(codes, *(1 for _ in rest)) if codes > 1 else draw(shape)


def mask(like: Tensor, shape: Sequence[int], rate: float) -> Tensor:
    """Zeros with probability ``rate``, else 1 / (1 - rate), of the given shape, in the dtype of ``like``."""
    # On a CPU, comparing uniform numbers takes a quarter of the time of bernoulli_, and so of nn.Dropout.
    kept = torch.rand(*shape, device=like.device) >= rate
    return kept.to(like.dtype) / max(1 - rate, 1e-9)


class Dropout(nn.Dropout):
    """torch's own, under ``one_network`` with one mask for all codes of an example."""

    def forward(self, x: Tensor) -> Tensor:
        """x [N, …] to the same, some of it left out."""
        if not self.training or not self.p or _codes.get() == 1:
            return super().forward(x)
        return x * of_rows(lambda shape: mask(x, shape, self.p), x.shape)


class LockedDropout(nn.Dropout):
    """One mask per sentence over all its positions: variational dropout (Gal & Ghahramani 2016, §4)."""

    def forward(self, x: Tensor) -> Tensor:
        """x [N, …, H], with one mask [H] for each of the N."""
        if not self.training or not self.p:
            return x
        return x * of_rows(lambda shape: mask(x, shape, self.p), [len(x), *(1 for _ in x.shape[1:-1]), x.shape[-1]])


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
