"""A normal distribution with diagonal covariance (Kingma & Welling 2014, §3)."""

import torch
from torch import Tensor
from torch.distributions import Distribution, Independent, Normal

from textvae.layers import dense
from textvae.posteriors.base import Posterior


class DiagonalNormal(Posterior):
    """Two linear heads give the mean and the log variance of q(z|x)."""

    def __init__(self, feature_size: int, latent_size: int):
        super().__init__()
        self.mean = dense(feature_size, latent_size)
        self.log_variance = dense(feature_size, latent_size)

    def forward(self, features: Tensor) -> Distribution:
        """Features [B, F] to q(z|x); in float32 whatever the precision around it, since the KL is a difference."""
        with torch.autocast(features.device.type, enabled=False):
            features = features.float()
            scale = (0.5 * self.log_variance(features)).exp()
            normal = Normal(self.mean(features), scale, validate_args=False)
            return Independent(normal, 1, validate_args=False)
