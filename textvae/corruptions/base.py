"""What every corruption does, and the one that does nothing."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import ClassVar

from torch import Tensor, nn

from textvae.errors import RequestError


class Corruption(nn.Module, ABC):
    """x to a noisy x of the same shape, in training only; evaluation sees x itself."""

    keeps_positions: ClassVar[bool] = True  # if not, a decoder cannot be fed with it: it would see what comes next

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


def probability(what: str, rate: float) -> float:
    """The rate, if it is a probability; else RequestError."""
    if not 0 <= rate <= 1:
        raise RequestError(f"{what} is a probability, from 0 to 1; {rate} is not.")
    return rate


def need_picture(what: str, input_shape: Sequence[int]) -> None:
    """Raise RequestError unless x is a picture [C, H, W]: counts below 0 or of a half are none."""
    if len(input_shape) != 3:
        raise RequestError(f"{what} is for pictures, not for x of shape {list(input_shape)}: take masking.")
