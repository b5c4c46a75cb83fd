"""VampPrior: the prior is a mixture of the model's own posteriors (Tomczak & Welling 2018)."""

import torch
from torch import nn
from torch.distributions import Distribution

from textvae.errors import RequestError
from textvae.posteriors.base import Posterior
from textvae.priors.base import Prior
from textvae.priors.mixture import check_components, mixture


class VampPrior(Prior):
    """p(z) = Σ_k w_k q(z|u_k), the posteriors at learned pseudo-inputs u_k (eq. 9, with learned weights).

    A pseudo-input of words would have to be a sentence. Here u_k [F] stands where the encoder's features do: it
    goes through the posterior's head and not through the encoder. The prior keeps what makes it a VampPrior, to
    be made of the posteriors that the decoder is trained on, and works whatever the encoder reads.
    """

    def __init__(self, posterior: Posterior, feature_size: int, pseudo_inputs: int = 500):
        super().__init__()
        check_components(pseudo_inputs)
        if not posterior.per_example:
            raise RequestError(
                "The prior 'vamp' takes a posterior of one example at a time; one with batch norm would measure "
                "the pseudo-inputs as if they were data. Take the prior 'mixture' or 'standard_normal'."
            )
        self.support = posterior.support
        self.logits = nn.Parameter(torch.zeros(pseudo_inputs))
        self.features = nn.Parameter(torch.randn(pseudo_inputs, feature_size))
        # In a tuple, so that torch does not register it again: the head is the model's, trained and saved there.
        self._head = (posterior,)

    def forward(self) -> Distribution:
        """The mixture over [Z], with the head's current parameters."""
        return mixture(self.logits, self._head[0](self.features))
