"""Traversals: some dimensions of a code vary, the rest stays (Kingma & Welling 2014, fig. 4; Higgins et al. 2017)."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.distributions import Distribution, Independent, Normal

from textvae.autoencoder import Autoencoder
from textvae.errors import RequestError

REACH = 2.0
"""Standard deviations of a normal prior that a traversal covers on either side: 95 % of its mass."""
DRAWS = 10_000
AT_ONCE = 128  # dimensions that are moved in one batch


def traversal(start: Tensor, dims: Sequence[int], values: Sequence[Tensor]) -> Tensor:
    """Codes [S, Z] along a dimension, or [S, T, Z] over a plane, through ``start`` [Z].

    Along the first axis ``dims[0]`` takes ``values[0]`` [S], along the second ``dims[1]`` takes ``values[1]`` [T].
    Raises RequestError for dimensions that the code does not have.
    """
    size = len(start)
    if not 1 <= len(dims) <= 2 or len(set(dims)) < len(dims):
        raise RequestError(f"A traversal is along one dimension or two different ones, not {list(dims)}.")
    for dim in dims:
        if not 0 <= dim < size:
            raise RequestError(f"There is no dimension {dim}: the code has {size}, from 0 to {size - 1}.")
    z = start.expand(*map(len, values), size).clone()
    for dim, axis in zip(dims, torch.meshgrid(*values, indexing="ij")):
        z[..., dim] = axis.to(z)
    return z


def quantiles(prior: Distribution, dim: int, steps: int, reach: float = REACH) -> Tensor:
    """``steps`` values of a dimension, with equal mass of the prior between them: [steps], rising.

    They are its quantiles from Φ(−reach) to Φ(reach): of the standard normal those from −reach to reach. Where a
    prior does not tell its own, they are those of 10,000 draws.
    """
    edge = Normal(0.0, 1.0).cdf(torch.tensor(reach))
    levels = torch.linspace(1 - edge.item(), edge.item(), steps)
    if isinstance(prior, Independent) and isinstance(prior.base_dist, Normal):
        normal = prior.base_dist
        return Normal(normal.loc[dim].cpu(), normal.scale[dim].cpu()).icdf(levels)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return prior.sample(torch.Size([DRAWS]))[:, dim].cpu().quantile(levels)


@torch.no_grad()
def sensitivity(model: Autoencoder, z: Tensor, x: Tensor, reach: float = 1.0) -> Tensor:
    """How much x [1, …] depends on each dimension of its code z [Z], in nats: [Z].

    log p(x|z) less the mean of log p(x|z ± reach·e_d): about 0 for a unit that the decoder ignores.
    """
    falls = []
    for dims in torch.arange(len(z), device=z.device).split(AT_ONCE):
        moves = reach * F.one_hot(dims, len(z)).to(z)
        codes = model.prior.support.project(torch.cat([z[None], z + moves, z - moves]))
        here, up, down = model.log_px(x, codes[:, None])[:, 0].split([1, len(dims), len(dims)])
        falls.append(here - (up + down) / 2)
    return torch.cat(falls)
