"""No encoder: with latent_size 0 it makes a plain language model of the sentence VAE."""

import torch
from torch import Tensor

from textvae.encoders.base import Encoder


class NoEncoder(Encoder):
    """Features without a width: what follows knows nothing of x."""

    output_size = 0

    def forward(self, x: Tensor) -> Tensor:
        """x [B, …] to [B, 0]."""
        return torch.zeros(x.shape[0], 0, device=x.device)
