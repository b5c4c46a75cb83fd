"""Fully connected decoder, for bags of words and small pictures."""

from collections.abc import Sequence

from torch import Tensor

from textvae.decoders.base import Decoder
from textvae.layers import mlp


class MLPDecoder(Decoder):
    """ReLU layers on z; with no hidden sizes the likelihood's head is all there is (a topic model)."""

    def __init__(self, latent_size: int, hidden_sizes: Sequence[int] = (400,), dropout: float = 0.0):
        super().__init__()
        self.layers = mlp([latent_size, *hidden_sizes], dropout)
        self.hidden_size = hidden_sizes[-1] if hidden_sizes else latent_size

    def forward(self, z: Tensor, x: Tensor) -> Tensor:
        """z [N, Z] to hidden [N, H]; x is not looked at."""
        return self.layers(z)
