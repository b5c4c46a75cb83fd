"""The uniform prior on the unit sphere (Xu & Durrett 2018; Davidson et al. 2018)."""

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.distributions import Distribution, constraints

from textvae.errors import RequestError
from textvae.priors.base import Prior
from textvae.supports import Support


class UniformOnSphere(Distribution):
    """Every direction of R^Z alike. Densities are with respect to the area of the sphere S^(Z−1)."""

    arg_constraints: dict[str, constraints.Constraint] = {}  # noqa: RUF012
    support = constraints.real_vector

    def __init__(self, like: Tensor):
        """``like`` [Z] says how many dimensions there are, and where the samples shall be."""
        self._like = like
        super().__init__(torch.Size(), like.shape, validate_args=False)

    @property
    def mean(self) -> Tensor:
        """The centre of the ball [Z]."""
        return torch.zeros_like(self._like)

    def sample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        """Directions [*sample_shape, Z]."""
        shape = torch.Size(sample_shape) + self._like.shape
        return F.normalize(torch.randn(shape, dtype=self._like.dtype, device=self._like.device), dim=-1)

    def log_prob(self, value: Tensor) -> Tensor:
        """Minus the log of the area, for value [..., Z] on the sphere."""
        return value.new_full(value.shape[:-1], -log_area(value.shape[-1]))


class UniformSphere(Prior):
    """p(z) uniform over the directions of R^Z: nothing to learn. It goes with posteriors on the sphere."""

    support = Support.SPHERE
    zero: Tensor

    def __init__(self, latent_size: int):
        super().__init__()
        check_sphere(latent_size)
        self.register_buffer("zero", torch.zeros(latent_size))

    def forward(self) -> Distribution:
        """The uniform distribution over [Z]."""
        return UniformOnSphere(self.zero)


def check_sphere(latent_size: int) -> None:
    """RequestError if there is no sphere in that many dimensions."""
    if latent_size < 2:
        raise RequestError(f"Codes on a sphere have 2 dimensions or more; latent_size = {latent_size} is too few.")


def log_area(dimensions: int) -> float:
    """log of the area of the unit sphere in R^``dimensions``, 2 π^(Z/2) / Γ(Z/2)."""
    return math.log(2) + dimensions / 2 * math.log(math.pi) - math.lgamma(dimensions / 2)
