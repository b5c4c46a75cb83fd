"""What every prior does."""

from abc import ABC, abstractmethod

from torch import nn
from torch.distributions import Distribution


class Prior(nn.Module, ABC):
    """p(z): a distribution with batch shape [] and event shape [Z]."""

    @abstractmethod
    def forward(self) -> Distribution:
        """The prior, with its current parameters."""
