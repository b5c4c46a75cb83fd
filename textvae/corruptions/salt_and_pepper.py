"""Salt-and-pepper noise on pictures (Vincent et al. 2010, §3.3)."""

from collections.abc import Sequence

import torch
from torch import Tensor

from textvae.corruptions.base import Corruption, need_picture, probability


class SaltAndPepper(Corruption):
    """Makes each pixel black (0) or white (1), by the toss of a coin, with probability ``rate``."""

    def __init__(self, input_shape: Sequence[int], rate: float = 0.1):
        super().__init__()
        need_picture("Salt-and-pepper noise", input_shape)
        self.rate = probability("The rate of salt-and-pepper noise", rate)

    def corrupt(self, x: Tensor) -> Tensor:
        """Pixels x [B, C, H, W]."""
        u = torch.rand(x.shape, device=x.device)
        return torch.where(u < self.rate, (u < 0.5 * self.rate).to(x.dtype), x)
