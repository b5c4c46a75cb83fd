"""Free bits: KL below a floor costs nothing, so that no code is cheaper than a small one (Kingma et al. 2016)."""

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
    kl,
    kl_per_dimension,
    kl_per_layer,
    need_dimensions,
    need_layers,
)
from textvae.schedules import Schedule


class FreeBits(Objective):
    """loss = distortion + β · max(floor, rate), the floor of ``nats`` applied ``per``:

    - ``dimension``: each dimension, on the batch mean (Kingma et al. 2016, eq. 15);
    - ``layer``: each layer of a hierarchical code, on the batch mean (the same, with larger groups);
    - ``example``: each dimension of each example (Li et al. 2019);
    - ``batch``: the whole rate, on the batch mean.
    """

    def __init__(
        self,
        nats: float = 0.25,
        per: Literal["dimension", "layer", "example", "batch"] = "dimension",
        schedule: Schedule | None = None,
    ):
        super().__init__()
        if nats < 0:
            raise RequestError(f"Free bits are a floor of 0 nats or more; {nats} is not.")
        self.nats, self.per, self.schedule = nats, per, schedule or self.schedule

    def attach(self, model: Autoencoder) -> None:
        """Refuse a posterior or prior without a KL of what the floor is one of."""
        if self.per == "layer":
            need_layers(model, "Free bits per layer")
        elif self.per != "batch":
            need_dimensions(model, f"Free bits per {self.per}")

    def forward(self, model: Autoencoder, batch: Batch, progress: float) -> Terms:
        """The terms, with the rate of the loss floored."""
        q, p = model.posterior(batch.x, batch.y), model.prior()
        z = q.rsample(torch.Size([1]))
        distortion = -model.log_px(batch.scored, z, batch.y)[0]
        if self.per == "batch":
            rate = kl(q, p, z)
            cost = mean(rate).clamp(min=self.nats)
        else:
            each = kl_per_layer(q, p, z) if self.per == "layer" else kl_per_dimension(q, p)
            rate, cost = each.sum(-1), floored(each, self.nats, over_batch=self.per != "example")
        beta = self.schedule(progress)
        return Terms(distortion.mean() + beta * cost, distortion, rate, beta)


def floored(each: Tensor, nats: float, over_batch: bool) -> Tensor:
    """The mean rate [] of KLs [B, D] of D parts, none counted below ``nats``, on the batch mean or per example."""
    return (mean(each) if over_batch else each).clamp(min=nats).sum(-1).mean()
