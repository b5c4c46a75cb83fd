"""A posterior moved by gradient steps on the ELBO of its own example, from where the encoder leaves off."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from torch.distributions import Distribution, Independent, Normal

DIFFERENCE = 0.01  # of λ, where second derivatives are differences: in float32 less is rounding, more is curvature


class Step(NamedTuple):
    """Where a step began, means and log variances [2, B, Z], and how far along its gradient each example went [B]."""

    begin: Tensor
    size: Tensor


def refine(
    loss: Callable[[Distribution], Tensor],
    parameters: Tensor,
    steps: int,
    speed: float = 0.03,
    clip: float = 5.0,
    taken: list[Step] | None = None,
) -> Tensor:
    """Means and log variances [2, B, Z] after ``steps`` steps of SGD (Kim et al. 2018, algorithm 1).

    ``loss`` is −ELBO [B] under diagonal normals. A step moves an example by ``speed`` times its own gradient, whose
    norm is cut at ``clip``. No gradient flows to ``parameters`` or into the model; the steps are added to ``taken``,
    for ``gradient_through``.
    """
    at = parameters.detach()
    with torch.enable_grad():
        for _ in range(steps):
            at = at.requires_grad_()
            gradient = torch.autograd.grad(loss(normal(at)).sum(), at)[0]
            norm = gradient.transpose(0, 1).flatten(1).norm(dim=1)  # of each example, [B]
            size = speed * (clip / norm.clamp(min=1e-12)).clamp(max=1.0)
            at = at.detach()
            if taken is not None:
                taken.append(Step(at, size))
            at = at - size[:, None] * gradient
    return at


def gradient_through(
    loss: Callable[[int, Distribution], Tensor], taken: Sequence[Step], gradient: Tensor
) -> tuple[Tensor, Tensor]:
    """Carry ``gradient`` [2, B, Z] at the end of refinement back to its beginning (Kim et al. 2018, algorithm 2).

    Each step turns it by I − size · H, and leaves −size · ∂²loss/∂θ∂λ · gradient to the model's weights θ. Both
    products with second derivatives are differences of first ones, of ``loss(k, q)`` [B] a little before and behind
    where step k began. Returns the gradient at the beginning, and a number [] that is 0 and whose gradient is the
    weights' share. What ``loss`` draws must be the same at each k; the sizes of steps count as constants.
    """
    share = gradient.new_zeros(())
    for k, (begin, size) in reversed(list(enumerate(taken))):
        norm = gradient.transpose(0, 1).flatten(1).norm(dim=1).clamp(min=1e-12)[:, None]
        offset = DIFFERENCE * gradient / norm
        ends = [(begin + sign * offset).requires_grad_() for sign in (1, -1)]
        losses = [loss(k, normal(end)) for end in ends]
        slope = size * norm[:, 0] / (2 * DIFFERENCE) * (losses[0] - losses[1])
        share = share - slope.sum()
        turned = torch.autograd.grad(slope.sum(), ends, retain_graph=True)
        gradient = gradient - turned[0] - turned[1]
    return gradient, share - share.detach()


def parameters_of(q: Distribution) -> Tensor:
    """Means and log variances [2, B, Z] of a diagonal normal."""
    return torch.stack([q.mean, 2 * q.stddev.log()])


def normal(parameters: Tensor) -> Distribution:
    """The diagonal normal of means and log variances [2, B, Z]."""
    mean, log_variance = parameters
    return Independent(Normal(mean, (0.5 * log_variance).exp(), validate_args=False), 1, validate_args=False)
