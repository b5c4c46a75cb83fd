"""What every posterior does."""

from abc import ABC, abstractmethod

from torch import Tensor, nn
from torch.distributions import Distribution


class Posterior(nn.Module, ABC):
    """Features [B, F] to q(z|x): a distribution with batch shape [B] and event shape [Z]."""

    @abstractmethod
    def forward(self, features: Tensor) -> Distribution:
        """Features [B, F] to q(z|x)."""
