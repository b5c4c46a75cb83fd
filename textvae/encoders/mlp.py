"""Fully connected encoder, for bags of words and small pictures."""

import math
from collections.abc import Sequence
from typing import Literal

from torch import Tensor

from textvae.encoders.base import Encoder
from textvae.layers import mlp


class MLPEncoder(Encoder):
    """Flattens x and passes it through ReLU layers.

    Counts are heavy-tailed: ``transform="log1p"`` reads log(1 + x) instead of x.
    """

    def __init__(
        self,
        input_shape: Sequence[int],
        hidden_sizes: Sequence[int] = (400,),
        dropout: float = 0.0,
        transform: Literal["none", "log1p"] = "none",
    ):
        super().__init__()
        self.transform = transform
        self.layers = mlp([math.prod(input_shape), *hidden_sizes], dropout)
        self.output_size = hidden_sizes[-1] if hidden_sizes else math.prod(input_shape)

    @property
    def only_flattens(self) -> bool:
        """Whether the features are x itself, so that the posterior's layer is all there is."""
        return not len(self.layers) and self.transform == "none"

    def forward(self, x: Tensor) -> Tensor:
        """x [B, …] to features [B, output_size]."""
        x = x.log1p() if self.transform == "log1p" else x
        return self.layers(x.flatten(1))
