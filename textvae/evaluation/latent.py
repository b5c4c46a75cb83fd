"""What the code carries: active units and mutual information."""

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.distributions import Distribution, Independent, Normal

ACTIVE = 0.01  # variance of a unit's posterior mean over the data (Burda et al. 2016, §5.1)
MAX_POSTERIORS = 20_000
QUERIES = 2_000


class LatentStatistics:
    """Gathers posteriors batch by batch."""

    def __init__(self) -> None:
        self.size = 0
        self._n = 0
        self._mean = self._squares = torch.zeros(0, dtype=torch.float64)
        self._posteriors: list[Distribution] = []
        self._codes: list[Tensor] = []

    def add(self, q: Distribution, z: Tensor) -> None:
        """Take in the posteriors of a batch and a code from each, z [B, Z]."""
        means = q.mean.double()
        if not self._n:
            self.size = means.shape[-1]
            self._mean = self._squares = torch.zeros(self.size, dtype=torch.float64, device=means.device)
        # Chan's update: the variance is exact however many batches there are.
        n, fresh = self._n + len(means), means.mean(0)
        delta = fresh - self._mean
        self._squares = self._squares + ((means - fresh) ** 2).sum(0) + delta**2 * self._n * len(means) / n
        self._mean, self._n = self._mean + delta * len(means) / n, n
        if sum(map(len, self._codes)) < MAX_POSTERIORS:
            self._posteriors.append(q)
            self._codes.append(z)

    def active_units(self) -> int:
        """How many units' posterior means vary by more than 0.01 over the data."""
        return int((self._squares / max(1, self._n - 1) > ACTIVE).sum())

    def mutual_information(self) -> float:
        """I(x; z) = E log q(z|x) / q(z) in nats, with q(z) the mixture of all posteriors of the split.

        (Hoffman & Johnson 2016.) A split of over 20,000 examples is represented by its first ones, and of
        over 2,000 by that many codes, evenly spaced (fewer for a posterior that says its densities are dear, a
        flow); the estimate cannot exceed the log of the split's size.
        """
        if not self.size:
            return 0.0
        codes = torch.cat(self._codes)
        own = torch.cat([q.log_prob(z) for q, z in zip(self._posteriors, self._codes)])
        queries = QUERIES // getattr(self._posteriors[0], "log_prob_cost", 1)
        every = torch.arange(0, len(codes), max(1, len(codes) // queries), device=codes.device)
        density = densities(self._posteriors)
        total = 0.0
        for rows in every.split(64):
            aggregate = density(codes[rows]).logsumexp(-1) - math.log(len(codes))
            total += float((own[rows] - aggregate).double().sum())
        return max(0.0, total / len(every))


def densities(posteriors: Sequence[Distribution]) -> Callable[[Tensor], Tensor]:
    """From codes z [R, Z] to log q(z|x) in nats [R, N], under every one of the N posteriors.

    Of normal ones it is two products of matrices, (z − μ)² being z² − 2zμ + μ², in float64 for what that cancels.
    """
    bases = [q.base_dist for q in posteriors if isinstance(q, Independent) and isinstance(q.base_dist, Normal)]
    if len(bases) < len(posteriors):
        return lambda z: torch.cat([q.log_prob(z[:, None]) for q in posteriors], -1)
    mean, scale = (torch.cat(list(each)).double() for each in zip(*((q.mean, q.stddev) for q in bases)))
    precision = scale**-2
    pull = (mean * precision).T
    constant = 0.5 * (mean**2 * precision).sum(-1) + scale.log().sum(-1) + 0.5 * math.log(2 * math.pi) * mean.shape[-1]

    def density(z: Tensor) -> Tensor:
        z = z.double()
        return z @ pull - 0.5 * z**2 @ precision.T - constant

    return density
