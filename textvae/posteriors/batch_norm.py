"""A batch-normalised mean, which keeps the KL away from 0 (BN-VAE, Zhu et al. 2020)."""

import torch
from torch import Tensor, nn
from torch.distributions import Distribution, Independent, Normal

from textvae.errors import RequestError
from textvae.layers import dense
from textvae.posteriors.base import Posterior

MOMENTUM = 0.1  # the least weight of a new batch in the running figures
EPSILON = 1e-8  # with the usual 1e-5, means that shrink below it would undercut the bound


class ScaledBatchNorm(nn.Module):
    """Batch norm with a fixed scale and a learned shift.

    The running figures are a plain mean over the first ten batches: torch's own begin at a variance of 1, and
    where the data's is 1e-4 it takes a hundred batches until they say so, and the evaluation shows a collapse.
    """

    running_mean: Tensor
    running_variance: Tensor
    batches: Tensor

    def __init__(self, size: int, scale: float):
        super().__init__()
        self.scale, self.shift = scale, nn.Parameter(torch.zeros(size))
        self.register_buffer("running_mean", torch.zeros(size))
        self.register_buffer("running_variance", torch.ones(size))
        self.register_buffer("batches", torch.zeros((), dtype=torch.long))

    def forward(self, x: Tensor) -> Tensor:
        """x [B, Z] to scale · (x − mean) / deviation + shift [B, Z] (Zhu et al. 2020, §3)."""
        mean, variance = self.running_mean, self.running_variance
        if self.training and len(x) > 1:  # the deviation of a single example is 0: it is measured as in evaluation
            variance, mean = torch.var_mean(x, 0, correction=0)
            with torch.no_grad():
                self.batches += 1
                weight = (1 / self.batches).clamp(min=MOMENTUM)
                self.running_mean.lerp_(mean, weight)
                self.running_variance.lerp_(variance, weight)
        return self.scale * (x - mean) * (variance + EPSILON).rsqrt() + self.shift


class BatchNormNormal(Posterior):
    """A diagonal normal whose means have, over a batch, the deviation γ in every dimension.

    E[KL] is then at least Z γ² / 2 + Σ shift² / 2, whatever the decoder does: γ = 0.6 and Z = 32
    guarantee 5.76 nats. In evaluation the running mean and deviation stand in for the batch's. Dropout in the
    encoder undercuts that: its noise counts towards the deviation in training, and is gone in evaluation.
    """

    per_example = False

    def __init__(self, feature_size: int, latent_size: int, gamma: float = 0.6):
        super().__init__()
        if not gamma > 0:
            raise RequestError(f"The scale of a batch-normalised mean is a number over 0; {gamma} is not.")
        if latent_size < 1:
            raise RequestError("The posterior 'batch_norm' needs a code: latent_size of 1 or more.")
        self.mean = dense(feature_size, latent_size)
        self.norm = ScaledBatchNorm(latent_size, gamma)
        self.log_variance = dense(feature_size, latent_size)

    def forward(self, features: Tensor) -> Distribution:
        """Features [B, F] to q(z|x), in float32."""
        with torch.autocast(features.device.type, enabled=False):
            features = features.float()
            scale = (0.5 * self.log_variance(features)).exp()
            normal = Normal(self.norm(self.mean(features)), scale, validate_args=False)
            return Independent(normal, 1, validate_args=False)
