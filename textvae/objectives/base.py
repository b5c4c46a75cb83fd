"""What every objective does, the terms it reports, and the KL divergence that most are made of."""

from abc import ABC, abstractmethod
from collections.abc import Iterable
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.distributions import Distribution, Independent, kl_divergence

from textvae.autoencoder import Autoencoder
from textvae.batching import Batch
from textvae.schedules import Constant, Schedule


class Terms(NamedTuple):
    """The loss that is minimised, beside what is reported whatever the loss weighs: nats per example, at β = 1."""

    loss: Tensor  # []
    distortion: Tensor  # [B]  −log p(x|z)
    rate: Tensor  # [B]  KL(q(z|x) ‖ p(z))
    beta: float | Tensor


class Objective(nn.Module, ABC):
    """Turns a batch into a loss. It may own parameters and buffers, which train and are saved with the model's."""

    schedule: Schedule = Constant()

    @abstractmethod
    def forward(self, model: Autoencoder, batch: Batch, progress: float) -> Terms:
        """The terms of one batch, at ``progress`` from 0 to 1 through the run."""

    def held_back(self, model: Autoencoder, progress: float) -> Iterable[nn.Parameter]:
        """Parameters that this step leaves alone (a lagging encoder's decoder, layers that wait their turn)."""
        return ()

    def settled(self, progress: float) -> bool:
        """Whether β has reached its last value (to a hundredth), so that models can be compared and kept."""
        return abs(self.schedule(progress) - self.schedule(1.0)) < 0.01

    def criterion(self, distortion: float, rate: float) -> float:
        """What the best model has the least of, on validation data: −ELBO, unless an objective says otherwise."""
        return distortion + rate


def kl(q: Distribution, p: Distribution, z: Tensor | None = None) -> Tensor:
    """KL(q ‖ p) [B] in nats: in closed form where there is one, else log q(z) − log p(z) at z [K, B, Z] from q."""
    try:
        return kl_divergence(q, p).expand(q.batch_shape)
    except NotImplementedError:
        z = q.rsample(torch.Size([1])) if z is None else z
        return (q.log_prob(z) - p.log_prob(z)).mean(0)


def kl_per_dimension(q: Distribution, p: Distribution) -> Tensor:
    """KL of each dimension [B, Z] in nats, for posteriors and priors whose dimensions are independent."""
    if not (isinstance(q, Independent) and isinstance(p, Independent)):
        raise TypeError(f"{type(q).__name__} and {type(p).__name__} have no KL per dimension.")
    return kl_divergence(q.base_dist, p.base_dist)
