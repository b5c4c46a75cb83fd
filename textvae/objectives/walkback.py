"""Walkback training: the denoiser also finds its way back from where its own chain goes (Bengio et al. 2013)."""

import torch

from textvae.autoencoder import Autoencoder
from textvae.batching import Batch
from textvae.errors import RequestError
from textvae.objectives.base import Objective, Terms, kl, need_draws, need_noise


class Walkback(Objective):
    """loss = the mean over t of −log p(x|x̃_t): x̃_1 is a noisy x, and x̃_{t+1} a noisy draw from p(·|x̃_t).

    The chain that corrupts and denoises in turn (``textvae.latent.chain``) draws from what such a model has
    learned. Modes that are no data lie where the chain goes and the noise alone does not: ``steps`` of the chain
    that end in x itself take them away (Bengio et al. 2013, algorithm 1, with a fixed number of steps).
    """

    def __init__(self, steps: int = 3):
        super().__init__()
        if steps < 1:
            raise RequestError(f"Walkback has 1 step or more; {steps} is too few.")
        self.steps = steps

    def attach(self, model: Autoencoder) -> None:
        """Refuse a model without noise, and one whose likelihood does not draw."""
        need_draws(model, "Walkback")
        need_noise(model, "Walkback")

    def forward(self, model: Autoencoder, batch: Batch, progress: float) -> Terms:
        """The terms of the first step, with the loss of all of them."""
        q = model.posterior(batch.x, batch.y)
        hidden = model.hidden(batch.x, q.mean, batch.y)
        distortion = -model.likelihood.log_prob(hidden, batch.x)
        loss = distortion.mean()
        for _ in range(self.steps - 1):
            with torch.no_grad():
                seen = model.likelihood.draw(hidden)
            hidden = model.hidden(seen, model.posterior(seen, batch.y).mean, batch.y)
            loss = loss - model.likelihood.log_prob(hidden, batch.x).mean()
        return Terms(loss / self.steps, distortion, kl(q, model.prior()).detach(), 0.0)

    def criterion(self, distortion: float, rate: float) -> float:
        """The distortion alone: the rate is not paid for."""
        return distortion
