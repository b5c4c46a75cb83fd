"""What every penalty does."""

from abc import ABC, abstractmethod

from torch import Tensor, nn

from textvae.encoders import Encoder
from textvae.errors import RequestError
from textvae.posteriors import Posterior


class Penalty(nn.Module, ABC):
    """A cost in nats that an objective adds to the distortion while it trains, and that it never reports."""

    def __init__(self, weight: float):
        super().__init__()
        if not weight >= 0:
            raise RequestError(f"A penalty's weight is a number of 0 or more; {weight} is not.")
        self.weight = weight

    def attach(self, encoder: Encoder, posterior: Posterior) -> None:
        """Raise RequestError, with the reason, where the penalty has no meaning for these parts."""

    @abstractmethod
    def measure(self, encoder: Encoder, posterior: Posterior, x: Tensor, z: Tensor) -> Tensor:
        """What is penalised [], for x [B, …] and the codes z [B, Z] that the model made of it (or of a noisy x)."""

    def forward(self, encoder: Encoder, posterior: Posterior, x: Tensor, z: Tensor) -> Tensor:
        """The cost []: ``weight`` times the measure."""
        return self.weight * self.measure(encoder, posterior, x, z)
