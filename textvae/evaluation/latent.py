"""What the code carries: active units and mutual information."""

import math
from collections.abc import Callable, Sequence
from functools import reduce

import torch
from torch import Tensor
from torch.distributions import Distribution, Independent, Normal

from textvae import distributed

ACTIVE = 0.01  # variance of a unit's posterior mean over the data (Burda et al. 2016, §5.1)
MAX_POSTERIORS = 20_000
QUERIES = 2_000

Moments = tuple[int, Tensor, Tensor]
"""How many there are, their mean and the sum of their squared deviations from it."""


class LatentStatistics:
    """Gathers posteriors batch by batch; several processes, which have different batches, find the same numbers."""

    def __init__(self) -> None:
        self.size = 0
        self._moments: Moments | None = None  # of the posterior means
        self._posteriors: list[Distribution] = []
        self._codes: list[Tensor] = []
        self._numbers: list[Tensor] = []

    def add(self, q: Distribution, z: Tensor, first: int | None = None) -> None:
        """Take in the posteriors of a batch and a code from each, z [B, Z].

        ``first`` examples stand before it, by default those that were added here.
        """
        means = q.mean.double()
        first = (self._moments[0] if self._moments else 0) if first is None else first
        self.size = means.shape[-1]
        mean = means.mean(0)
        self._moments = _merged(self._moments, (len(means), mean, ((means - mean) ** 2).sum(0)))
        if first < MAX_POSTERIORS:
            self._posteriors.append(q)
            self._codes.append(z)
            self._numbers.append(torch.arange(first, first + len(z)))

    def active_units(self) -> int:
        """How many units' posterior means vary by more than 0.01 over the data."""
        own = self._moments and (self._moments[0], self._moments[1].cpu(), self._moments[2].cpu())
        moments = reduce(_merged, filter(None, distributed.gathered(own)), None)
        return int((moments[2] / max(1, moments[0] - 1) > ACTIVE).sum()) if moments else 0

    def mutual_information(self) -> float:
        """I(x; z) = E log q(z|x) / q(z) in nats, with q(z) the mixture of all posteriors of the split.

        (Hoffman & Johnson 2016.) A split of over 20,000 examples is represented by its first ones, and of
        over 2,000 by that many codes, evenly spaced (fewer for a posterior that says its densities are dear, a
        flow); the estimate cannot exceed the log of the split's size. Of several processes each has the codes of
        all under its own posteriors: no posterior is sent.
        """
        total = sum(distributed.gathered(sum(map(len, self._codes))))
        dear = max(distributed.gathered(getattr(self._posteriors[0], "log_prob_cost", 1) if self._posteriors else 1))
        step = max(1, total // (QUERIES // dear))
        mine = [torch.zeros(0), torch.zeros(0, dtype=torch.long), torch.zeros(0)]
        if self._posteriors:
            numbers, codes = torch.cat(self._numbers), torch.cat(self._codes)
            own = torch.cat([q.log_prob(z) for q, z in zip(self._posteriors, self._codes)])
            asked = numbers % step == 0
            mine = [codes.cpu()[asked], numbers[asked], own.cpu()[asked]]
        every = [one for one in distributed.gathered(mine) if len(one[1])]
        if not every or not every[0][0].shape[-1]:
            return 0.0
        queries, numbers, own = (torch.cat(column) for column in zip(*every))
        aggregate = torch.full_like(own, -torch.inf, dtype=torch.float64)
        if self._posteriors:
            density = densities(self._posteriors)
            at = queries.to(self._codes[0].device)
            aggregate = torch.cat([density(z).logsumexp(-1) for z in at.split(64)]).cpu()
        aggregate = torch.stack(distributed.gathered(aggregate)).logsumexp(0) - math.log(total)
        return max(0.0, float((own - aggregate)[numbers.argsort()].double().mean()))


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


def _merged(a: Moments | None, b: Moments) -> Moments:
    """The number, mean and sum of squared deviations of two parts together (Chan et al. 1979): no order matters."""
    if a is None:
        return b
    n, delta = a[0] + b[0], b[1] - a[1]
    return n, a[1] + delta * b[0] / n, a[2] + b[2] + delta**2 * a[0] * b[0] / n
