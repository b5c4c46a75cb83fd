"""A target rate: the KL is held at the nats asked for, by a multiplier or by a minimum."""

import math
from typing import Literal

import torch
from torch import Tensor

from textvae.autoencoder import Autoencoder
from textvae.batching import Batch
from textvae.distributed import mean
from textvae.errors import RequestError
from textvae.objectives.base import (
    Objective,
    Terms,
    is_normal,
    kl,
    kl_per_dimension,
    latent_size,
    need_dimensions,
    need_free_rate,
)
from textvae.objectives.free_bits import floored
from textvae.objectives.iwae import Gradient, importance_weighted

SEARCH = 0.3  # share of the run


class TargetRate(Objective):
    """Holds the rate at ``rate`` nats per example; how much the code should carry is the one thing to choose.

    - ``multiplier``: distortion + λ · rate, where log λ rises while the rate is over the target and falls while
      it is under (the dual ascent of GECO, Rezende & Viola 2018, with the rate as the constraint);
    - ``minimum``: distortion + Σ_d max(rate / Z, KL_d), each of the Z dimensions paying only for what is over
      its share, on the batch mean (minimum desired rate, Pelsmaeker & Aziz 2020, spread over the dimensions so
      that all of them stay active).

    A small ``start`` of λ begins as an autoencoder that is then squeezed to the target. More ``samples`` than one, K,
    make the multiplier's loss −log 1/K Σ_k p(x|z_k) (p(z_k) / q(z_k|x))^λ: at λ = 1 that of IWAE (Burda et al. 2016),
    which by itself lets the rate fall, each of K codes having to say less.
    """

    log_multiplier: Tensor

    def __init__(
        self,
        rate: float = 8.0,
        method: Literal["multiplier", "minimum"] = "multiplier",
        speed: float = 0.01,
        start: float = 1.0,
        samples: int = 1,
    ):
        super().__init__()
        if samples < 1 or (samples > 1 and method == "minimum"):
            raise RequestError(f"A target rate has 1 sample, or more with method=multiplier; {samples} do not go here.")
        if not rate > 0:
            raise RequestError(f"A target rate is a number of nats over 0; {rate} is not.")
        if not start > 0:
            raise RequestError(f"The multiplier's start is a number over 0; {start} is not.")
        self.rate, self.method, self.speed = rate, method, speed
        self.samples = samples
        self.register_buffer("log_multiplier", torch.tensor(math.log(start)))

    def attach(self, model: Autoencoder) -> None:
        """Refuse a rate that cannot move, and for the minimum a posterior or prior without a KL per dimension."""
        if self.method == "minimum":
            need_dimensions(model, "A minimum rate spread over the dimensions")
        if latent_size(model):
            need_free_rate(model, "A target rate")

    def settled(self, progress: float) -> bool:
        """After the share of the run in which the multiplier finds its level: a code that is still to grow is cheap."""
        return self.method == "minimum" or progress >= SEARCH

    def forward(self, model: Autoencoder, batch: Batch, progress: float) -> Terms:
        """The terms; β is the multiplier, or 1."""
        q, p = model.posterior(batch.x, batch.y), model.prior()
        z = q.rsample(torch.Size([self.samples]))
        multiplier = self.log_multiplier.exp()
        if self.samples > 1:
            gradient: Gradient = "dreg" if is_normal(q) else "standard"
            bound, log_px = importance_weighted(model, batch, q, p, z, gradient, multiplier)
            loss, distortion, rate = -bound.mean(), -log_px[0].detach(), kl(q, p, z).detach()
        else:
            distortion = -model.log_px(batch.scored, z, batch.y)[0]
            if self.method == "minimum":
                each = kl_per_dimension(q, p)
                cost = floored(each, self.rate / max(1, each.shape[-1]), over_batch=True)
                return Terms(distortion.mean() + cost, distortion, each.sum(-1), 1.0)
            rate = kl(q, p, z)
            loss = (distortion + multiplier * rate).mean()
        if self.training:
            self._ascend(mean(rate.detach()))
        return Terms(loss, distortion, rate, multiplier.detach())

    def _ascend(self, rate: Tensor) -> None:
        excess = (rate / self.rate - 1).clamp(-1, 1)
        # The bounds keep a multiplier that chases an unreachable target from running away.
        self.log_multiplier = (self.log_multiplier + self.speed * excess).clamp(-6.0, 4.0)
