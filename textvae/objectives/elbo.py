"""The evidence lower bound, annealed (Kingma & Welling 2014; Bowman et al. 2015)."""

import torch

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
        q = model.posterior(batch.x)
        z = q.rsample(torch.Size([1]))
        distortion, rate = -model.log_px(batch.x, z)[0], kl(q, model.prior(), z)
        beta = self.schedule(progress)
        return Terms((distortion + beta * rate).mean(), distortion, rate, beta)
