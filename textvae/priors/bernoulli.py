"""Independent bits, the prior of semantic hashing (Shen et al. 2018)."""

import torch
from torch import Tensor, nn
from torch.distributions import Bernoulli, Distribution, Independent

from textvae.priors.base import Prior
from textvae.supports import Support


class BernoulliPrior(Prior):
    """p(z): each bit is 1 with probability ½ (a uniform prior), or with a ``learned`` probability of its own."""

    support = Support.BITS
    logits: Tensor

    def __init__(self, latent_size: int, learned: bool = False):
        super().__init__()
        if learned:
            self.logits = nn.Parameter(torch.zeros(latent_size))
        else:
            self.register_buffer("logits", torch.zeros(latent_size))

    def forward(self) -> Distribution:
        """The distribution over [Z]."""
        return Independent(Bernoulli(logits=self.logits, validate_args=False), 1, validate_args=False)
