"""What every corruption does, and the one that does nothing."""

from abc import ABC, abstractmethod

from torch import Tensor, nn


class Corruption(nn.Module, ABC):
    """x to a noisy x of the same shape, in training only; evaluation sees x itself."""

    @abstractmethod
    def corrupt(self, x: Tensor) -> Tensor:
        """A noisy copy of x."""

    def forward(self, x: Tensor) -> Tensor:
        """x [B, …], corrupted while training."""
        return self.corrupt(x) if self.training else x


class NoCorruption(Corruption):
    """Leaves x as it is."""

    def corrupt(self, x: Tensor) -> Tensor:
        """x itself."""
        return x
