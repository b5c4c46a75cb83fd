"""Semi-amortised inference: the encoder's posterior is refined by gradient steps of its own (Kim et al. 2018)."""

import torch
from torch import Tensor
from torch.distributions import Distribution

from textvae.autoencoder import Autoencoder
from textvae.batching import Batch
from textvae.errors import RequestError
from textvae.layers import frozen
from textvae.objectives.base import Objective, Terms, need_code, need_normal
from textvae.objectives.elbo import ELBO
from textvae.refinement import Step, gradient_through, normal, parameters_of, refine
from textvae.schedules import Schedule


class SemiAmortised(Objective):
    """The ELBO at λ_K, which ``steps`` steps of SGD on the ELBO itself reach from the encoder's λ_0.

    λ is the mean and the log variance of each example's q (Kim et al. 2018, algorithm 1). A step moves an
    example by ``speed`` times its own gradient, whose norm is cut at ``clip``. The paper's rate is 1 on the mean
    over a batch of 32, which is 0.03 here.

    With ``second_order``, as in the paper, the gradient goes back through the steps, their second derivatives by
    finite differences in float32: three times the work. Without it the steps count as constants, and the encoder is
    given the gradient at λ_K as it is.

    Refinement is part of training only: the commands use the encoder's λ_0, which gives the looser bound. ``evaluate
    --refine`` takes such steps on the examples that it measures.
    """

    def __init__(
        self,
        steps: int = 5,
        speed: float = 0.03,
        clip: float = 5.0,
        second_order: bool = False,
        schedule: Schedule | None = None,
    ):
        super().__init__()
        if steps < 1:
            raise RequestError(f"Refinement takes 1 step or more; {steps} is too few.")
        if not (speed > 0 and clip > 0):
            raise RequestError(f"The speed and the clip of refinement are over 0; {speed} and {clip} are not.")
        self.schedule = schedule or self.schedule
        self.elbo, self.steps, self.speed, self.clip = ELBO(self.schedule), steps, speed, clip
        self.second_order = second_order

    def attach(self, model: Autoencoder) -> None:
        """Refuse a posterior that is not a diagonal normal."""
        need_code(model, "Semi-amortised inference")
        need_normal(model, "Semi-amortised inference")

    def forward(self, model: Autoencoder, batch: Batch, progress: float) -> Terms:
        """The terms of the ELBO under the refined posterior; outside training under the encoder's."""
        q = model.posterior(batch.x, batch.y)
        if not self.training:
            return self.elbo.terms(model, batch, q, progress)[0]
        start, taken = parameters_of(q), list[Step]()
        seeds = torch.randint(2**62, (self.steps,)).tolist()

        def loss(k: int, moved: Distribution) -> Tensor:
            with torch.random.fork_rng(devices=[start.device] if start.is_cuda else []):
                torch.manual_seed(seeds[k])
                terms = self.elbo.terms(model, batch, moved, progress)[0]
            return terms.distortion + terms.beta * terms.rate

        def loss_of_step(moved: Distribution) -> Tensor:
            return loss(len(taken), moved)

        with frozen(model.parameters()):
            end = refine(loss_of_step, start, self.steps, self.speed, self.clip, taken)
        if not self.second_order:
            return self.elbo.terms(model, batch, normal(start + (end - start.detach())), progress)[0]
        end.requires_grad_()
        terms = self.elbo.terms(model, batch, normal(end), progress)[0]
        (gradient,) = torch.autograd.grad(terms.loss, end, retain_graph=True)
        with torch.autocast(start.device.type, enabled=False):
            gradient, share = gradient_through(loss, taken, gradient)
        to_encoder = (start * gradient.detach()).sum()
        return terms._replace(loss=terms.loss + share + to_encoder - to_encoder.detach())
