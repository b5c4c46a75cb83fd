"""The plain autoencoder: no prior, no noise in the code (Hinton & Salakhutdinov 2006)."""

from textvae.autoencoder import Autoencoder
from textvae.batching import Batch
from textvae.errors import RequestError
from textvae.objectives.base import Objective, Terms, kl
from textvae.penalties import Penalty


class PlainAutoencoder(Objective):
    """loss = distortion at the posterior mean, and a ``penalty`` where there is one; the rate is not paid for.

    With ``model.encoder_noise`` it is the denoising autoencoder (Vincent et al. 2008).
    """

    def __init__(self, penalty: Penalty | None = None):
        super().__init__()
        self.penalty = penalty

    def attach(self, model: Autoencoder) -> None:
        """Refuse what the penalty refuses."""
        if self.penalty is not None:
            if model.condition.classes:
                raise RequestError("A penalty is one of codes of x alone: --set model.labels=ignore.")
            self.penalty.attach(model.encoder, model.posterior_head)

    def forward(self, model: Autoencoder, batch: Batch, progress: float) -> Terms:
        """The terms of a deterministic code."""
        q = model.posterior(batch.x, batch.y)
        distortion = -model.log_px(batch.scored, q.mean[None], batch.y)[0]
        loss = distortion.mean()
        if self.penalty is not None:
            loss = loss + self.penalty(model.encoder, model.posterior_head, batch.x, q.mean)
        return Terms(loss, distortion, kl(q, model.prior()).detach(), 0.0)

    def criterion(self, distortion: float, rate: float) -> float:
        """The distortion alone."""
        return distortion
