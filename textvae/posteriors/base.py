"""What every posterior does."""

from abc import ABC, abstractmethod

from torch import Tensor, nn
from torch.distributions import Distribution

from textvae.supports import Support


class Posterior(nn.Module, ABC):
    """Features [B, F] to q(z|x): a distribution with batch shape [B] and event shape [Z]."""

    support: Support = Support.EUCLIDEAN
    per_example: bool = True
    """Whether q(z|x) depends on that x alone, in training too: under batch norm it depends on the others."""

    @abstractmethod
    def forward(self, features: Tensor) -> Distribution:
        """Features [B, F] to q(z|x)."""
