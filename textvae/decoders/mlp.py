"""Fully connected decoder, for bags of words and small pictures."""

from collections.abc import Sequence

import torch
from torch import Tensor

from textvae.decoders.base import Decoder
from textvae.errors import RequestError
from textvae.layers import Activation, mlp
from textvae.regularisation import of_rows


class MLPDecoder(Decoder):
    """Layers on z, each with its ``activation``; with no hidden sizes the likelihood's head is all (a topic model).

    ``noise`` is the deviation of normal noise that z gets in training (Shen et al. 2018, on bits).
    """

    def __init__(
        self,
        latent_size: int,
        hidden_sizes: Sequence[int] = (400,),
        dropout: float = 0.0,
        activation: Activation = "relu",
        noise: float = 0.0,
    ):
        super().__init__()
        if noise < 0:
            raise RequestError(f"The decoder's noise is a standard deviation, 0 or more; {noise} is not.")
        self.noise = noise
        self.layers = mlp([latent_size, *hidden_sizes], dropout, activation)
        self.topical = not hidden_sizes
        self.hidden_size = hidden_sizes[-1] if hidden_sizes else latent_size

    def forward(self, z: Tensor, x: Tensor) -> Tensor:
        """z [N, Z] to hidden [N, H]; x is not looked at."""
        if self.training and self.noise:
            z = z + self.noise * of_rows(lambda shape: torch.randn(*shape, dtype=z.dtype, device=z.device), z.shape)
        return self.layers(z)
