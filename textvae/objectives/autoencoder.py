"""The plain autoencoder: no prior, no noise in the code (Hinton & Salakhutdinov 2006)."""

from textvae.autoencoder import Autoencoder
from textvae.batching import Batch
from textvae.objectives.base import Objective, Terms, kl


class PlainAutoencoder(Objective):
    """loss = distortion at the posterior mean; the rate is reported and not paid for."""

    def forward(self, model: Autoencoder, batch: Batch, progress: float) -> Terms:
        """The terms of a deterministic code."""
        q = model.posterior(batch.x)
        distortion = -model.log_px(batch.x, q.mean[None])[0]
        return Terms(distortion.mean(), distortion, kl(q, model.prior()).detach(), 0.0)

    def criterion(self, distortion: float, rate: float) -> float:
        """The distortion alone."""
        return distortion
