"""The Wasserstein autoencoder: codes match the prior by maximum mean discrepancy (Tolstikhin et al. 2018)."""

import torch
from torch import Tensor

from textvae.autoencoder import Autoencoder
from textvae.batching import Batch
from textvae.errors import RequestError
from textvae.objectives.base import Objective, Terms, kl, need_code

SCALES = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)  # of the kernel's width, as in the authors' code


class WassersteinMMD(Objective):
    """loss = distortion + ``weight`` · MMD²(codes, prior): the codes of a batch together, not each, match p(z).

    Tolstikhin et al. (2018), algorithm 2, with codes drawn from q(z|x), as for text (Shen et al. 2020). The rate
    is reported and not paid for: the KL of each example is large, and −ELBO with it. A heavy weight collapses the
    code: the encoder starts near q(z|x) = p(z), which matches the prior as it is.
    """

    def __init__(self, weight: float = 1.0):
        super().__init__()
        if weight < 0:
            raise RequestError(f"The weight of the discrepancy is 0 or more; {weight} is not.")
        self.weight = weight

    def attach(self, model: Autoencoder) -> None:
        """Refuse a model without a code."""
        need_code(model, "Matching codes with the prior")

    def forward(self, model: Autoencoder, batch: Batch, progress: float) -> Terms:
        """The terms, with the discrepancy in the loss."""
        q, p = model.posterior(batch.x, batch.y), model.prior()
        z = q.rsample(torch.Size([1]))
        distortion = -model.log_px(batch.scored, z, batch.y)[0]
        discrepancy = mmd(z[0].float(), p.sample(torch.Size([len(batch.x)])))
        loss = distortion.mean() + self.weight * discrepancy
        return Terms(loss, distortion, kl(q, p, z).detach(), 0.0)

    def criterion(self, distortion: float, rate: float) -> float:
        """The distortion alone: the rate is not paid for."""
        return distortion


def mmd(a: Tensor, b: Tensor) -> Tensor:
    """MMD² [] of codes a and b, each [B, Z], without bias (so it may fall below 0); 0 for a batch of one.

    The kernel is the inverse multiquadric Σ_s C_s / (C_s + |a − b|²) with C_s = 2 Z s: the expected squared
    distance of two draws from N(0, I), times ``SCALES`` (Tolstikhin et al. 2018, §4).
    """
    n, size = a.shape
    if n < 2:
        return a.sum() * 0.0
    within = (_kernel(a, a, size) + _kernel(b, b, size)).fill_diagonal_(0.0).sum() / (n * (n - 1))
    return within - 2 * _kernel(a, b, size).mean()


def _kernel(a: Tensor, b: Tensor, size: int) -> Tensor:
    """k(a_i, b_j) [B, B]."""
    # Squares by products, not by differences: no tensor of [B, B, Z].
    squares = (a**2).sum(1)[:, None] + (b**2).sum(1) - 2 * a @ b.T
    squares = squares.clamp(min=0.0)
    return torch.stack([2 * size * s / (2 * size * s + squares) for s in SCALES]).sum(0)
