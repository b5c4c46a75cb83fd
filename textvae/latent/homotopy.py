"""Paths between two codes."""

import torch
from torch import Tensor

from textvae.errors import RequestError

PATHS = ("linear", "slerp")


def homotopy(a: Tensor, b: Tensor, steps: int, path: str = "linear") -> Tensor:
    """Codes [steps, Z] from a [Z] to b [Z], the ends included.

    ``linear`` is the straight line (Bowman et al. 2015, §4.3). ``slerp`` turns from a to b at a constant rate
    and changes length evenly (White 2016), so that it does not pass through the middle of the prior, where
    few codes are.
    """
    if path not in PATHS:
        raise RequestError(f"There is no path {path!r}. Known: {', '.join(PATHS)}.")
    t = torch.linspace(0, 1, steps, device=a.device)[:, None]
    if path == "slerp":
        lengths = a.norm() * (1 - t) + b.norm() * t
        u, v = a / a.norm().clamp(min=1e-12), b / b.norm().clamp(min=1e-12)
        angle = torch.arccos((u @ v).clamp(-1, 1))
        if 2e-3 < angle < torch.pi - 2e-3:  # nearly (anti)parallel codes leave the turn undefined: go straight
            return lengths * (torch.sin((1 - t) * angle) * u + torch.sin(t * angle) * v) / torch.sin(angle)
    return (1 - t) * a + t * b
