"""The importance-weighted bound of K codes (Burda et al. 2016), and its doubly reparameterised gradient."""

import math
from typing import Literal

import torch
from torch import Tensor
from torch.distributions import Distribution, Independent, Normal

from textvae.autoencoder import Autoencoder
from textvae.batching import Batch
from textvae.errors import RequestError
from textvae.objectives.base import Objective, Terms, kl, learns_deviation, need_normal
from textvae.regularisation import one_network

Gradient = Literal["standard", "dreg"]
Beta = float | Tensor


class IWAE(Objective):
    """loss = −log 1/K Σ_k w_k, with w_k = p(x|z_k) p(z_k) / q(z_k|x) and K = ``samples`` (Burda et al., eq. 8).

    - ``standard``: the gradient of that estimate, whose signal for the encoder fades beside its noise as K grows
      (Rainforth et al. 2018);
    - ``dreg``: the same gradient in expectation, with less variance: the score of q is reparameterised once more,
      and the encoder's part is Σ_k w̃_k² ∂log w_k/∂z_k ∂z_k/∂φ (Tucker et al. 2019, eq. 8).

    What is reported, and what the best model is chosen by, is the ELBO's distortion and rate, of the first code.
    """

    def __init__(self, samples: int = 5, gradient: Gradient = "standard"):
        super().__init__()
        if samples < 1:
            raise RequestError(f"An importance-weighted bound has 1 sample or more; {samples} is too few.")
        self.samples, self.gradient = samples, gradient

    def attach(self, model: Autoencoder) -> None:
        """Refuse dreg for a posterior whose density cannot be held fixed, or whose deviation is."""
        if self.gradient == "dreg":
            need_normal(model, "The doubly reparameterised gradient")
            if not learns_deviation(model):
                raise RequestError(
                    "The doubly reparameterised gradient has noise of 1/σ, which is large where the posterior's "
                    "deviation is small for good: take objective.gradient=standard, or the posterior diagonal_normal."
                )

    def forward(self, model: Autoencoder, batch: Batch, progress: float) -> Terms:
        """The bound's loss; distortion and rate of the first code."""
        q, p = model.posterior(batch.x, batch.y), model.prior()
        z = q.rsample(torch.Size([self.samples]))
        bound, log_px = importance_weighted(model, batch, q, p, z, self.gradient)
        return Terms(-bound.mean(), -log_px[0].detach(), kl(q, p, z).detach(), 1.0)


def importance_weighted(
    model: Autoencoder, batch: Batch, q: Distribution, p: Distribution, z: Tensor, gradient: Gradient, beta: Beta = 1.0
) -> tuple[Tensor, Tensor]:
    """log 1/K Σ_k p(x|z_k) (p(z_k) / q(z_k|x))^β [B] of codes z [K, B, Z] drawn from q, and log p(x|z) [K, B].

    Both in nats per example. At a β of 1 the first is the bound on log p(x) (Burda et al., eq. 8); of one code it is,
    at any β, what a β-VAE maximises.
    """
    doubly = gradient == "dreg" and z.requires_grad
    with one_network(len(z)):  # else the weights would choose among masks
        log_px = model.log_px(batch.scored, z, batch.y)
    log_w = log_px + beta * (p.log_prob(z) - (fixed(q) if doubly else q).log_prob(z))
    bound = log_w.logsumexp(0) - math.log(len(z))
    return _doubly_reparameterised(bound, log_w, z, beta) if doubly else bound, log_px


def fixed(q: Distribution) -> Distribution:
    """The diagonal normal q with parameters that pass no gradient on."""
    return Independent(Normal(q.mean.detach(), q.stddev.detach(), validate_args=False), 1, validate_args=False)


def _doubly_reparameterised(bound: Tensor, log_w: Tensor, z: Tensor, beta: Beta) -> Tensor:
    """The value of ``bound`` [B], with the gradient of Tucker et al. by way of log w [K, B] of codes z [K, B, Z]."""
    share = log_w.detach().softmax(0)
    # The generative parameters get w̃ ∂log w; what flows into z is to have w̃² at a β of 1, and w̃ − β (w̃ − w̃²) at any.
    z.register_hook(lambda gradient: (1 - beta + beta * share)[..., None] * gradient)
    surrogate = (share * log_w).sum(0)
    return surrogate + (bound - surrogate).detach()
