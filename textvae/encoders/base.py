"""What every encoder does."""

from abc import ABC, abstractmethod

from torch import Tensor, nn


class Encoder(nn.Module, ABC):
    """x [B, …] to features [B, output_size]; a row's features depend on that row alone, not on its padding."""

    output_size: int

    @abstractmethod
    def forward(self, x: Tensor) -> Tensor:
        """x [B, …] to features [B, output_size]."""
