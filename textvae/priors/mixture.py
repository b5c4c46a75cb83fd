"""A mixture of Gaussians as prior, learned with the model (the MoG prior of Tomczak & Welling 2018)."""

import torch
from torch import nn
from torch.distributions import Categorical, Distribution, Independent, MixtureSameFamily, Normal

from textvae.errors import RequestError
from textvae.priors.base import Prior

MAX_COMPONENTS = 65_536  # more are a mistake, or a config made to exhaust the memory


class Mixture(Prior):
    """p(z) = Σ_k w_k N(z; m_k, diag s_k²), with weights, means and variances learned.

    There is no closed form of the KL: it is estimated at the codes that the posterior draws.
    """

    def __init__(self, latent_size: int, components: int = 32):
        super().__init__()
        check_components(components)
        self.logits = nn.Parameter(torch.zeros(components))
        # Spread like codes of a standard normal: components that start in one place would stay together.
        self.mean = nn.Parameter(torch.randn(components, latent_size))
        self.log_variance = nn.Parameter(torch.zeros(components, latent_size))

    def forward(self) -> Distribution:
        """The mixture over [Z]."""
        normal = Normal(self.mean, (0.5 * self.log_variance).exp(), validate_args=False)
        return mixture(self.logits, Independent(normal, 1, validate_args=False))


def mixture(logits: torch.Tensor, components: Distribution) -> Distribution:
    """The mixture, with log weights [K] up to a constant, of ``components`` with batch shape [K], event shape [Z]."""
    return MixtureSameFamily(Categorical(logits=logits, validate_args=False), components, validate_args=False)


def check_components(n: int) -> None:
    """RequestError for a number of components that makes no mixture."""
    if not 1 <= n <= MAX_COMPONENTS:
        raise RequestError(f"A mixture has from 1 to {MAX_COMPONENTS:,} components; {n} is not.")
