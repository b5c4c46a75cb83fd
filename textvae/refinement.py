"""A posterior moved by gradient steps on the ELBO of its own example, from where the encoder leaves off."""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.distributions import Distribution, Independent, Normal


def refine(
    loss: Callable[[Distribution], Tensor], parameters: Tensor, steps: int, speed: float = 0.03, clip: float = 5.0
) -> Tensor:
    """Means and log variances [2, B, Z] after ``steps`` steps of SGD (Kim et al. 2018, algorithm 1).

    ``loss`` is −ELBO [B] under diagonal normals. A step moves an example by ``speed`` times its own gradient, whose
    norm is cut at ``clip``. No gradient flows to ``parameters`` or into the model.
    """
    at = parameters.detach()
    with torch.enable_grad():
        for _ in range(steps):
            at = at.requires_grad_()
            gradient = torch.autograd.grad(loss(normal(at)).sum(), at)[0]
            norm = gradient.transpose(0, 1).flatten(1).norm(dim=1)  # of each example, [B]
            scale = (clip / norm.clamp(min=1e-12)).clamp(max=1.0)
            at = (at - speed * scale[:, None] * gradient).detach()
    return at


def parameters_of(q: Distribution) -> Tensor:
    """Means and log variances [2, B, Z] of a diagonal normal."""
    return torch.stack([q.mean, 2 * q.stddev.log()])


def normal(parameters: Tensor) -> Distribution:
    """The diagonal normal of means and log variances [2, B, Z]."""
    mean, log_variance = parameters
    return Independent(Normal(mean, (0.5 * log_variance).exp(), validate_args=False), 1, validate_args=False)
