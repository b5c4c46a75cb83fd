"""Semi-amortised inference: the encoder's posterior is refined by gradient steps of its own (Kim et al. 2018)."""

from torch import Tensor
from torch.distributions import Distribution

from textvae.autoencoder import Autoencoder
from textvae.batching import Batch
from textvae.errors import RequestError
from textvae.objectives.base import Objective, Terms, need_code, need_normal
from textvae.objectives.elbo import ELBO
from textvae.refinement import normal, parameters_of, refine
from textvae.schedules import Schedule


class SemiAmortised(Objective):
    """The ELBO at λ_K, which ``steps`` steps of SGD on the ELBO itself reach from the encoder's λ_0.

    λ is the mean and the log variance of each example's q (Kim et al. 2018, algorithm 1). A step moves an
    example by ``speed`` times its own gradient, whose norm is cut at ``clip``. The paper's rate is 1 on the mean
    over a batch of 32, which is 0.03 here.

    One difference from the paper, which backpropagates through the steps by finite differences: here the steps
    count as constants (first order), so that the encoder is given the gradient at λ_K as it is; the recomputed
    logits of the likelihood and the fused LSTMs have no second derivatives.

    Refinement is part of training only: the commands use the encoder's λ_0, which gives the looser bound. ``evaluate
    --refine`` takes such steps on the examples that it measures.
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

        def loss(moved: Distribution) -> Tensor:
            terms = self.elbo.terms(model, batch, moved, progress)[0]
            return terms.distortion + terms.beta * terms.rate

        start = parameters_of(q)
        at = refine(loss, start, self.steps, self.speed, self.clip)
        return normal(start + (at - start.detach()))
