"""The adversarial autoencoder: codes match the prior until a discriminator cannot tell them (Makhzani et al. 2015)."""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from textvae.autoencoder import Autoencoder
from textvae.batching import Batch
from textvae.errors import RequestError
from textvae.layers import mlp
from textvae.objectives.base import Objective, Terms, kl, latent_size, need_code


class Adversarial(Objective):
    """loss = distortion + cross-entropy of a discriminator between codes and draws from the prior.

    The discriminator, one hidden layer of ``hidden_size`` units, belongs to the objective and trains with the
    model. It sees the codes behind a gradient reversal (Ganin & Lempitsky 2015) of ``weight``, so that the same
    step that teaches it to tell teaches the encoder not to be told: Makhzani et al. (2015) and Shen et al.
    (2020) take the two in turns instead, and give the encoder the non-saturating loss −log D(z).

    With words masked or deleted from what the encoder reads (``model.encoder_noise``) this is the denoising
    adversarial autoencoder of Shen et al. The rate is reported and not paid for. A heavy weight collapses the
    code: the encoder starts near q(z|x) = p(z), which no discriminator can tell from the prior.
    """

    discriminator: nn.Sequential | None

    def __init__(self, weight: float = 1.0, hidden_size: int = 512):
        super().__init__()
        if weight < 0:
            raise RequestError(f"The weight of the reversed gradient is 0 or more; {weight} is not.")
        if hidden_size < 1:
            raise RequestError(f"A discriminator has 1 hidden unit or more; {hidden_size} is too few.")
        self.weight, self.hidden_size, self.discriminator = weight, hidden_size, None

    def attach(self, model: Autoencoder) -> None:
        """Make the discriminator; refuse a model without a code."""
        need_code(model, "Matching codes with the prior")
        if self.discriminator is None:
            sizes = [latent_size(model), self.hidden_size]
            self.discriminator = nn.Sequential(mlp(sizes), nn.Linear(self.hidden_size, 1)).to(model.device)

    def forward(self, model: Autoencoder, batch: Batch, progress: float) -> Terms:
        """The terms, with the discriminator's loss in the loss."""
        if self.discriminator is None:
            raise RequestError("The adversarial objective was not attached to a model: objective.attach(model).")
        q, p = model.posterior(batch.x, batch.y), model.prior()
        z = q.rsample(torch.Size([1]))
        distortion = -model.log_px(batch.scored, z, batch.y)[0]
        told = self.discriminator(reverse_gradient(z[0], self.weight)).float()
        true = self.discriminator(p.sample(torch.Size([len(batch.x)]))).float()
        loss = distortion.mean() + (F.softplus(told) + F.softplus(-true)).mean()
        return Terms(loss, distortion, kl(q, p, z).detach(), 0.0)

    def criterion(self, distortion: float, rate: float) -> float:
        """The distortion alone: the rate is not paid for."""
        return distortion


class _Reverse(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: float) -> Tensor:
        ctx.weight = weight
        return x.view_as(x)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        return -ctx.weight * gradient, None


def reverse_gradient(x: Tensor, weight: float) -> Tensor:
    """x itself, with its gradient times −``weight`` on the way back (Ganin & Lempitsky 2015, eq. 9)."""
    return _Reverse.apply(x, weight)
