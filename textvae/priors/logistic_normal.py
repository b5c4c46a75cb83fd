"""The Dirichlet prior of topic models, as a normal distribution in front of a softmax (Srivastava & Sutton 2017)."""

import torch
from torch import Tensor
from torch.distributions import Distribution, Independent, Normal

from textvae.errors import RequestError
from textvae.priors.base import Prior


class LogisticNormal(Prior):
    """p(z) = N(m, s²), the Laplace approximation of a symmetric Dirichlet(α) over softmax(z) (§3.2, eq. 5).

    For K topics of equal α the mean is 0 and the variance (1 − 1/K) / α: the smaller α, the fewer topics a document
    has. It goes with the decoder ``topics``, which takes the softmax.
    """

    zero: Tensor
    scale: Tensor

    def __init__(self, latent_size: int, alpha: float = 1.0):
        super().__init__()
        if not 1e-6 <= alpha <= 1e6:
            raise RequestError(f"The alpha of a Dirichlet prior is a number over 0, such as 0.02 or 1; {alpha} is not.")
        if latent_size < 2:
            raise RequestError(f"A prior over shares of topics needs 2 topics or more; latent_size = {latent_size}.")
        self.register_buffer("zero", torch.zeros(latent_size))
        self.register_buffer("scale", torch.full((latent_size,), ((1 - 1 / latent_size) / alpha) ** 0.5))

    def forward(self) -> Distribution:
        """The normal distribution over [Z]."""
        return Independent(Normal(self.zero, self.scale, validate_args=False), 1, validate_args=False)
