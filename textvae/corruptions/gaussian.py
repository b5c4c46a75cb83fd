"""Gaussian noise on pictures (Vincent et al. 2010, §3.3)."""

from collections.abc import Sequence

import torch
from torch import Tensor

from textvae.corruptions.base import Corruption, need_picture
from textvae.errors import RequestError


class GaussianNoise(Corruption):
    """Adds N(0, ``scale``²) to each pixel; the result is not cut to [0, 1]."""

    def __init__(self, input_shape: Sequence[int], scale: float = 0.1):
        super().__init__()
        need_picture("Gaussian noise", input_shape)
        if not scale >= 0:
            raise RequestError(f"The scale of Gaussian noise is a standard deviation, 0 or more; {scale} is not.")
        self.scale = scale

    def corrupt(self, x: Tensor) -> Tensor:
        """Pixels x [B, C, H, W]."""
        return x + self.scale * torch.randn_like(x)
