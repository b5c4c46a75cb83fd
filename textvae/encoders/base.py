"""What every encoder does."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import ClassVar

from torch import Tensor, nn


class Encoder(nn.Module, ABC):
    """x [B, …] to features [B, output_size]; a row's features depend on that row alone, not on its padding."""

    output_size: int
    counterparts: ClassVar[Mapping[str, str]] = {}
    """Beginnings of the names of a language model's decoder tensors → of this encoder's that do the same work."""

    @abstractmethod
    def forward(self, x: Tensor) -> Tensor:
        """x [B, …] to features [B, output_size]."""
