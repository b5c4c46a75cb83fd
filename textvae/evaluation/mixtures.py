"""A mixture of Gaussians on pixels: the baseline of a decoder that is "a mixture of infinitely many Gaussians"."""

from dataclasses import dataclass
from typing import Any, Self

import torch
from torch import Tensor

from textvae.errors import RequestError
from textvae.latent.pca import Components, principal_components


@dataclass(frozen=True)
class PixelMixture:
    """K Gaussians of full covariance along the first principal components, and even noise along all the others.

    log p(x) is a density of all D pixels, as that of a decoder with a Gaussian likelihood: the components are a
    rotation. One Gaussian is the probabilistic PCA of Tipping & Bishop (1999), several share its subspace.
    """

    components: Components
    mixture: Any  # sklearn.mixture.GaussianMixture, of the codes [N, Z]
    scale: float  # deviation of the noise along the components that are left out

    @classmethod
    def fit(cls, x: Tensor, count: int, size: int, seed: int = 0) -> Self:
        """``count`` Gaussians on the first ``size`` components of x [N, …], by expectation-maximisation.

        RequestError where scikit-learn is not installed, or x has not so many dimensions or examples.
        """
        x = x.flatten(1)
        components = principal_components(x, size)
        z = components.encode(x)
        left = max(1, x.shape[1] - size)
        rest = (x - components.decode(z)).double().square().sum() / (len(x) * left)
        return cls(components, fit_mixture(z, count, "full", seed), max(float(rest) ** 0.5, 1e-3))

    def log_prob(self, x: Tensor) -> Tensor:
        """x [N, …] to log p(x) [N] in nats, float64."""
        x = x.flatten(1)
        z = self.components.encode(x)
        rest = (x - self.components.decode(z)).double()
        noise = torch.distributions.Normal(0.0, self.scale)
        left = rest.shape[1] - z.shape[1]  # the rest lies in so many dimensions
        at_0 = float(noise.log_prob(torch.tensor(0.0, dtype=torch.float64)))
        within = torch.from_numpy(self.mixture.score_samples(z.double().numpy()))
        return within - rest.square().sum(1) / (2 * self.scale**2) + left * at_0

    def sample(self, n: int) -> Tensor:
        """``n`` expected pictures [N, D], without the noise, as a decoder's mean is."""
        z, _ = self.mixture.sample(n)
        order = torch.randperm(n)  # scikit-learn gives them component by component
        return self.components.decode(torch.from_numpy(z).to(self.components.mean)[order])


def fit_mixture(z: Tensor, count: int, covariance: str, seed: int = 0) -> Any:
    """scikit-learn's ``GaussianMixture`` of codes z [N, Z], its covariances ``full`` or ``diag``."""
    try:
        from sklearn.mixture import GaussianMixture
    except ImportError:
        raise RequestError("Mixtures are fitted by scikit-learn: pip install 'textvae[images]'.") from None
    if not 1 <= count <= len(z):
        raise RequestError(f"{len(z):,} examples are a mixture of 1 to {len(z):,} Gaussians, not {count:,}.")
    found = GaussianMixture(count, covariance_type=covariance, reg_covar=1e-5, tol=1e-2, random_state=seed)
    return found.fit(z.double().numpy())
