"""log p(x) by annealed importance sampling: from the prior to the posterior in many small steps (Neal 2001)."""

import math
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from textvae.autoencoder import Autoencoder
from textvae.errors import RequestError
from textvae.layers import frozen
from textvae.supports import Support

ACCEPTED = 0.65  # share of the moves that the step size is steered to (Neal 2011, §4.4)
STEER = 1.02  # factor by which a move accepted or rejected changes it
STEEP = 4.0  # of the schedule: slow at both ends (Wu et al. 2017, §3)
START = 0.1  # step size


class Estimate(NamedTuple):
    """What annealing found, for each of B examples."""

    log_px: Tensor  # [B] nats: a lower bound in expectation, closer the more steps there are
    variance: Tensor  # [B] of log_px, by the delta method
    z: Tensor  # [K, B, Z]: where the chains ended, near draws from the true posterior
    acceptance: float  # share of the moves of the last tenth that were accepted


def annealed_importance_sampling(
    model: Autoencoder,
    x: Tensor,
    steps: int = 500,
    chains: int = 16,
    leapfrogs: int = 10,
    seed: int = 0,
    progress: Callable[[int], None] = lambda step: None,
) -> Estimate:
    """log p(x) of x [B, …], which no encoder has a part in (Wu et al. 2017).

    Each of ``chains`` draws z_0 from the prior, and its log weight is Σ_t (β_t − β_{t−1}) log p(x|z_{t−1}), where
    z_t is z_{t−1} moved by Hamiltonian Monte Carlo with ``leapfrogs`` steps, which leaves p(z) p(x|z)^β_t as it is.
    The step size of each example is steered by what its chains accept. Cost: steps × (leapfrogs + 1) × chains
    passes through the decoder and back. ``progress`` is called with the number of steps done.

    Raises RequestError where codes cannot move freely (bits, a sphere), or where there are none.
    """
    if model.prior.support is not Support.EUCLIDEAN or not model.prior().event_shape[0]:
        raise RequestError("Annealed importance sampling moves a code through R^Z, which this model does not have.")
    if min(steps, chains, leapfrogs) < 1:
        raise RequestError("Annealed importance sampling has 1 step, 1 chain and 1 leapfrog or more.")
    model.eval()
    moved: list[Tensor] = []
    with torch.random.fork_rng(), torch.no_grad():
        torch.manual_seed(seed)
        z = model.prior().sample(torch.Size([chains, len(x)]))
        log_w, size = z.new_zeros(chains, len(x)), z.new_full((len(x), 1), START)
        log_px = model.log_px(x, z)
        betas = schedule(steps)
        for t in range(steps):
            log_w += (betas[t + 1] - betas[t]) * log_px
            z, log_px, accepted = _move(model, x, z, betas[t + 1], size, leapfrogs)
            share = accepted.float().mean(0)[:, None]
            size = torch.where(share > ACCEPTED, size * STEER, size / STEER)
            if t >= steps - max(1, steps // 10):
                moved.append(share.mean())
            progress(t + 1)
    log_w = log_w.double()
    share = log_w.softmax(0)
    variance = ((share - 1 / chains) ** 2).sum(0)
    return Estimate(log_w.logsumexp(0) - math.log(chains), variance, z, float(torch.stack(moved).mean()))


def schedule(steps: int) -> list[float]:
    """β_0 = 0 … β_steps = 1 on a logistic curve."""
    low, high = (1 / (1 + math.exp(sign * STEEP)) for sign in (1, -1))
    curve = (1 / (1 + math.exp(-STEEP * (2 * t / steps - 1))) for t in range(steps + 1))
    return [(value - low) / (high - low) for value in curve]


def _move(
    model: Autoencoder, x: Tensor, z: Tensor, beta: float, size: Tensor, leapfrogs: int
) -> tuple[Tensor, Tensor, Tensor]:
    """A Hamiltonian move of z [K, B, Z] under p(z) p(x|z)^β: the next z, its log p(x|z), and which moves were made."""

    def look(z: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The log target [K, B], log p(x|z) [K, B], and the gradient of the first."""
        with torch.enable_grad(), frozen(model.parameters()):
            z = z.detach().requires_grad_()
            log_px = model.log_px(x, z)
            target = model.prior().log_prob(z) + beta * log_px
            (gradient,) = torch.autograd.grad(target.sum(), z)
        return target.detach(), log_px.detach(), gradient

    momentum = torch.randn_like(z)
    before, log_px, gradient = look(z)
    start = before - 0.5 * momentum.square().sum(-1)
    place, push = z, momentum + 0.5 * size * gradient
    for i in range(leapfrogs):
        place = place + size * push
        after, new_log_px, gradient = look(place)
        push = push + (size if i < leapfrogs - 1 else 0.5 * size) * gradient
    end = after - 0.5 * push.square().sum(-1)
    accepted = torch.rand_like(start).log() < end - start  # never where a path has run off to NaN
    return torch.where(accepted[..., None], place, z), torch.where(accepted, new_log_px, log_px), accepted
