"""How well Markov chains mix: how alike states are so many steps apart, and how soon the class changes."""

from typing import NamedTuple

import torch
from torch import Tensor

NUMBERS = 1 << 22  # of states, that are transformed together


class Mixing(NamedTuple):
    """What chains of T states are worth."""

    autocorrelation: Tensor  # [T // 2 + 1]: 1 at 0 steps, about 0 between states that know nothing of one another
    time: float  # the integrated autocorrelation time in steps: 1 of independent draws
    draws: float  # so many independent draws say as much of the mean as all the states


def mixing(states: Tensor) -> Mixing:
    """The mixing of N chains, states [T, N, …] of any number type, around the mean of them all.

    The autocorrelation is that of the states as vectors, E[(x_s − μ)·(x_{s+t} − μ)] / E[|x − μ|²]: μ is one for all
    chains, so that those that stay each in a mode of their own do not pass for mixed. The time is the sum over all
    lags, cut where a pair of neighbours falls to 0 (Geyer 1992, §3.3, the initial positive sequence). Where half the
    length of the chains is not enough for that, it is too short: a lower bound. Chains that stand still have 1 at
    every lag.
    """
    steps, chains = states.shape[:2]
    flat = states.reshape(steps, chains, -1)
    products = torch.zeros(steps, dtype=torch.float64)
    width = max(1, NUMBERS // (2 * steps * chains))
    for part in flat.split(width, 2):
        centred = part.double() - part.double().mean((0, 1))
        spectrum = torch.fft.rfft(centred, 2 * steps, dim=0).abs().square().sum((1, 2))
        products += torch.fft.irfft(spectrum, 2 * steps)[:steps]
    covariance = (products / torch.arange(steps, 0, -1))[: steps // 2 + 1]
    still = bool(covariance[0] < 1e-12)
    rho = torch.ones_like(covariance) if still else covariance / covariance[0]
    pairs = rho[: len(rho) // 2 * 2].view(-1, 2).sum(1)
    kept = (pairs > 0).cumprod(0)
    time = max(1.0, float(2 * (pairs * kept).sum() - 1))
    return Mixing(rho, time, steps * chains / time)


def steps_to_change(labels: Tensor) -> float:
    """Steps until the label [T, N] of a chain changes, the mean: all steps over those that change it; or infinity."""
    changed = labels[1:] != labels[:-1]
    return changed.numel() / int(changed.sum()) if bool(changed.any()) else float("inf")


def steps_to_change_of_draws(labels: Tensor) -> float:
    """The same of independent draws of the labels [M]: 1 / (1 − Σ p²)."""
    shares = torch.unique(labels, return_counts=True)[1] / len(labels)
    same = float(shares.square().sum())
    return 1 / (1 - same) if same < 1 else float("inf")
