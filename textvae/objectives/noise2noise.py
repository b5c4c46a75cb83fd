"""Denoising without clean data: one noisy picture is the target for another (Lehtinen et al. 2018)."""

import torch

from textvae.autoencoder import Autoencoder
from textvae.batching import Batch
from textvae.objectives.base import Objective, Terms, kl, need_draws, need_noise


class Noise2Noise(Objective):
    """loss = −log p(x''|z(x')), for two noisy copies x' and x'' of x: no loss ever looks at x itself.

    What is best for a squared error is E[x''|x'], which is the clean E[x|x'] where the noise has a mean of 0
    (Lehtinen et al. 2018, §2). The distortion that is reported is that of x.
    """

    def attach(self, model: Autoencoder) -> None:
        """Refuse a model without noise, and words."""
        need_draws(model, "Noise2Noise")
        need_noise(model, "Noise2Noise")

    def forward(self, model: Autoencoder, batch: Batch, progress: float) -> Terms:
        """The terms of a code without noise of its own."""
        q = model.posterior(batch.x, batch.y)
        target = model.encoder_noise(batch.x)
        hidden = model.hidden(target, q.mean, batch.y)
        loss = -model.likelihood.log_prob(hidden, target).mean()
        with torch.no_grad():
            distortion, rate = -model.likelihood.log_prob(hidden, batch.x), kl(q, model.prior())
        return Terms(loss, distortion, rate, 0.0)

    def criterion(self, distortion: float, rate: float) -> float:
        """The distortion alone: the rate is not paid for."""
        return distortion
