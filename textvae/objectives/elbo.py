"""The evidence lower bound, annealed (Kingma & Welling 2014; Bowman et al. 2015)."""

import torch
from torch import Tensor
from torch.distributions import Distribution

from textvae.autoencoder import Autoencoder
from textvae.batching import Batch
from textvae.objectives.base import Objective, Terms, kl
from textvae.schedules import Schedule


class ELBO(Objective):
    """loss = distortion + β · rate, with one code per example."""

    def __init__(self, schedule: Schedule | None = None):
        super().__init__()
        self.schedule = schedule or self.schedule

    def forward(self, model: Autoencoder, batch: Batch, progress: float) -> Terms:
        """Kingma & Welling (2014), eq. 7, with β on the KL."""
        return self.terms(model, batch, model.posterior(batch.x, batch.y), progress)[0]

    def terms(self, model: Autoencoder, batch: Batch, q: Distribution, progress: float) -> tuple[Terms, Tensor]:
        """The terms under a posterior q [B] that was made already, and the codes [B, Z] that they come from."""
        z = q.rsample(torch.Size([1]))
        distortion, rate = -model.log_px(batch.scored, z, batch.y)[0], kl(q, model.prior(), z)
        beta = self.schedule(progress)
        return Terms((distortion + beta * rate).mean(), distortion, rate, beta), z[0]
