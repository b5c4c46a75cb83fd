"""The standard normal prior N(0, I)."""

import torch
from torch import Tensor
from torch.distributions import Distribution, Independent, Normal

from textvae.priors.base import Prior


class StandardNormal(Prior):
    """p(z) = N(0, I): nothing to learn."""

    zero: Tensor

    def __init__(self, latent_size: int):
        super().__init__()
        self.register_buffer("zero", torch.zeros(latent_size))

    def forward(self) -> Distribution:
        """N(0, I) over [Z]."""
        normal = Normal(self.zero, torch.ones_like(self.zero), validate_args=False)
        return Independent(normal, 1, validate_args=False)
