"""An autoencoder first; then a fresh decoder, free bits and an annealed KL (Li et al. 2019)."""

from collections.abc import Callable, Iterable
from typing import Literal

import torch
from torch import Tensor, nn

from textvae import tensors
from textvae.autoencoder import Autoencoder
from textvae.batching import Batch
from textvae.errors import RequestError
from textvae.objectives.autoencoder import PlainAutoencoder
from textvae.objectives.base import Objective, Terms, need_code
from textvae.objectives.free_bits import FreeBits
from textvae.schedules import Linear


class PretrainedAutoencoder(Objective):
    """Two phases, after Li et al. (2019, §3): the encoder learns from reconstruction what to encode, and keeps it.

    For the first ``share`` of the run the loss is the distortion at the posterior's mean. Then the decoder and
    the likelihood get fresh weights (those of another model where they began with them, read once more), the
    encoder keeps its own, and the loss is that of free bits, ``nats`` ``per`` dimension or example, whose β rises
    from 0 over the first ``warmup`` of what follows. With 32 dimensions 0.25 nats are the paper's target of 8.
    """

    reset: Tensor

    def __init__(
        self,
        share: float = 0.2,
        warmup: float = 0.3,
        nats: float = 0.25,
        per: Literal["dimension", "example", "batch"] = "example",
    ):
        super().__init__()
        if not 0 <= share < 1:
            raise RequestError(f"The autoencoder's share of the run is from 0 to under 1; {share} is not.")
        self.share = share
        self.first, self.then = PlainAutoencoder(), FreeBits(nats, per, Linear(warmup))
        self.register_buffer("reset", torch.tensor(False))

    def attach(self, model: Autoencoder) -> None:
        """Refuse a model without a code, and what free bits refuse."""
        need_code(model, "Pre-training as an autoencoder")
        self.then.attach(model)

    def forward(self, model: Autoencoder, batch: Batch, progress: float) -> Terms:
        """The terms of the phase that ``progress`` is in."""
        if progress < self.share:
            return self.first(model, batch, progress)
        return self.then(model, batch, self._since(progress))

    def begin_step(
        self, model: Autoencoder, progress: float, fresh: Callable[[], Autoencoder]
    ) -> Iterable[nn.Parameter]:
        """Give the decoder and the likelihood fresh weights, once, where the second phase begins."""
        if progress < self.share or self.reset:
            return ()
        self.reset.fill_(True)
        untrained = fresh()
        old, new = (nn.ModuleList([m.decoder, m.likelihood]) for m in (model, untrained))
        tensors.copy_into(old, tensors.state(new))
        return list(old.parameters())

    def settled(self, progress: float) -> bool:
        """Once β of the second phase is."""
        return progress >= self.share and self.then.settled(self._since(progress))

    def _since(self, progress: float) -> float:
        """The progress of the second phase, from 0 to 1."""
        return (progress - self.share) / (1 - self.share)
