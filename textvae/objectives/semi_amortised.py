"""Semi-amortised inference: the encoder's posterior is refined by gradient steps of its own (Kim et al. 2018)."""

import torch
from torch import Tensor
from torch.distributions import Distribution, Independent, Normal

from textvae.autoencoder import Autoencoder
from textvae.batching import Batch
from textvae.errors import RequestError
from textvae.objectives.base import Objective, Terms, need_code, need_normal
from textvae.objectives.elbo import ELBO
from textvae.schedules import Schedule


class SemiAmortised(Objective):
    """The ELBO at λ_K, which ``steps`` steps of SGD on the ELBO itself reach from the encoder's λ_0.

    λ is the mean and the log variance of each example's q (Kim et al. 2018, algorithm 1). A step moves an
    example by ``speed`` times its own gradient, whose norm is cut at ``clip``. The paper's rate is 1 on the mean
    over a batch of 32, which is 0.03 here.

    One difference from the paper, which backpropagates through the steps by finite differences: here the steps
    count as constants (first order), so that the encoder is given the gradient at λ_K as it is; the recomputed
    logits of the likelihood and the fused LSTMs have no second derivatives.

    Refinement is part of training only: ``evaluate`` and all other commands use the encoder's λ_0, and what they
    report is the amortised bound, which is the looser one.
    """

    def __init__(self, steps: int = 5, speed: float = 0.03, clip: float = 5.0, schedule: Schedule | None = None):
        super().__init__()
        if steps < 1:
            raise RequestError(f"Refinement takes 1 step or more; {steps} is too few.")
        if not (speed > 0 and clip > 0):
            raise RequestError(f"The speed and the clip of refinement are over 0; {speed} and {clip} are not.")
        self.schedule = schedule or self.schedule
        self.elbo, self.steps, self.speed, self.clip = ELBO(self.schedule), steps, speed, clip

    def attach(self, model: Autoencoder) -> None:
        """Refuse a posterior that is not a diagonal normal."""
        need_code(model, "Semi-amortised inference")
        need_normal(model, "Semi-amortised inference")

    def forward(self, model: Autoencoder, batch: Batch, progress: float) -> Terms:
        """The terms of the ELBO under the refined posterior; outside training under the encoder's."""
        q = model.posterior(batch.x, batch.y)
        if self.training:
            q = self._refined(model, batch, q, progress)
        return self.elbo.terms(model, batch, q, progress)[0]

    def _refined(self, model: Autoencoder, batch: Batch, q: Distribution, progress: float) -> Distribution:
        """q moved to λ_K; its gradient goes to the encoder as if λ_K − λ_0 were constant."""
        start = torch.stack([q.mean, 2 * q.stddev.log()])  # [2, B, Z]
        at = start.detach()
        for _ in range(self.steps):
            at = at.requires_grad_()
            loss = self.elbo.terms(model, batch, _normal(at), progress)[0].loss * len(batch.x)
            gradient = torch.autograd.grad(loss, at)[0]
            norm = gradient.transpose(0, 1).flatten(1).norm(dim=1)  # of each example, [B]
            scale = (self.clip / norm.clamp(min=1e-12)).clamp(max=1.0)
            at = (at - self.speed * scale[:, None] * gradient).detach()
        return _normal(start + (at - start.detach()))


def _normal(parameters: Tensor) -> Distribution:
    """The diagonal normal of means and log variances [2, B, Z]."""
    mean, log_variance = parameters
    return Independent(Normal(mean, (0.5 * log_variance).exp(), validate_args=False), 1, validate_args=False)
