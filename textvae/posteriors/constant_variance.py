"""A normal distribution of a fixed, small deviation: the code of a plain autoencoder (Ghosh et al. 2020, §3.1)."""

from typing import Literal

import torch
from torch import Tensor
from torch.distributions import Distribution, Independent, Normal

from textvae.errors import RequestError
from textvae.layers import dense
from textvae.posteriors.base import Posterior


class ConstantVariance(Posterior):
    """z = φ(W h + b) + ``scale`` · noise, of which the plain autoencoder takes the mean.

    What is evaluated stays a bound: a code without any noise would have an infinite rate.
    """

    def __init__(
        self,
        feature_size: int,
        latent_size: int,
        activation: Literal["linear", "sigmoid", "tanh", "relu"] = "linear",
        scale: float = 0.01,
    ):
        super().__init__()
        if not scale > 0:
            raise RequestError(f"The deviation of a posterior is a number over 0; {scale} is not.")
        self.activation, self.scale = activation, scale
        self.mean = dense(feature_size, latent_size)

    def forward(self, features: Tensor) -> Distribution:
        """Features [B, F] to q(z|x), in float32."""
        with torch.autocast(features.device.type, enabled=False):
            z = self.mean(features.float())
            z = z if self.activation == "linear" else getattr(torch, self.activation)(z)
            return Independent(Normal(z, z.new_tensor(self.scale), validate_args=False), 1, validate_args=False)

    def slope(self, z: Tensor) -> Tensor:
        """φ' of what the codes z [B, Z] are φ of."""
        match self.activation:
            case "sigmoid":
                return z * (1 - z)
            case "tanh":
                return 1 - z**2
            case "relu":
                return (z > 0).to(z.dtype)
        return torch.ones_like(z)
