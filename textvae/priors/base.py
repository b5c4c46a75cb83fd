"""What every prior does."""

from abc import ABC, abstractmethod

from torch import nn
from torch.distributions import Distribution

from textvae.supports import Support


class Prior(nn.Module, ABC):
    """p(z): a distribution with batch shape [] and event shape [Z]."""

    support: Support = Support.EUCLIDEAN

    @abstractmethod
    def forward(self) -> Distribution:
        """The prior, with its current parameters."""
