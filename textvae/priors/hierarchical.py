"""Layers of codes, each with a normal distribution given those above it (Sønderby et al. 2016; Kingma et al. 2016)."""

from collections.abc import Callable, Iterator, Sequence

import torch
from torch import Tensor, nn
from torch.distributions import Distribution, constraints

from textvae.errors import RequestError
from textvae.layers import MAX_LAYERS, mlp
from textvae.posteriors.diagonal_normal import DiagonalNormal
from textvae.priors.base import Prior

Layer = Callable[[Tensor], Distribution]
"""From the layers above [..., A] to the distribution of a layer: batch [...], event [size]."""


class TopDown(Distribution):
    """∏_l p(z_l | z_1 … z_{l−1}), where a code [Z] is its layers z_1 … z_L side by side.

    It keeps the log densities of the codes that it drew last: where a layer is a flow, others have it inverted.
    ``mean`` is the means of the layers, each given those above it: the expectation has no closed form.
    """

    arg_constraints: dict[str, constraints.Constraint] = {}  # noqa: RUF012
    support = constraints.real_vector
    has_rsample = True
    log_prob_cost = 16  # evaluation asks log q of foreign codes for that many times fewer of them

    def __init__(self, layers: Sequence[Layer], sizes: Sequence[int], top: Tensor):
        """The layers and their sizes; ``top`` [*batch, 0] is what is above the first."""
        self.sizes, self._layers, self._top = tuple(sizes), tuple(layers), top
        self._drawn: tuple[Tensor, Tensor] | None = None
        super().__init__(top.shape[:-1], torch.Size([sum(sizes)]), validate_args=False)

    @property
    def mean(self) -> Tensor:
        """The means [*batch, Z]."""
        z = self._top
        for number in range(len(self.sizes)):
            z = torch.cat([z, self._given(number, z).mean], -1)
        return z

    def rsample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        """Codes [*sample_shape, *batch, Z]."""
        z, log_prob = self._top.expand(*sample_shape, *self._top.shape), []
        for number in range(len(self.sizes)):
            given = self._given(number, z)
            part = given.rsample()
            log_prob.append(given.log_prob(part))
            z = torch.cat([z, part], -1)
        self._drawn = z, torch.stack(log_prob, -1)
        return z

    def log_prob(self, value: Tensor) -> Tensor:
        """The log density [..., *batch] in nats of codes [..., *batch, Z]."""
        return self.log_prob_per_layer(value).sum(-1)

    def log_prob_per_layer(self, value: Tensor) -> Tensor:
        """Of codes [..., *batch, Z] the log density of each layer given those above it [..., *batch, L]."""
        if self._drawn is not None and value is self._drawn[0]:
            return self._drawn[1]
        parts = value.split(self.sizes, -1)
        return torch.stack([given.log_prob(part) for given, part in zip(self.given(value), parts)], -1)

    def given(self, value: Tensor) -> Iterator[Distribution]:
        """The distribution of each layer, given those above it in codes [..., *batch, Z]."""
        return (self._given(number, value[..., :above]) for number, above in enumerate(sums_before(self.sizes)))

    def _given(self, number: int, above: Tensor) -> Distribution:
        with torch.autocast(above.device.type, enabled=False):
            return self._layers[number](above)


class Hierarchical(Prior):
    """p(z) = ∏_l p(z_l | z_<l) with ``layers`` of one size: normal distributions, from networks of ``hidden_size``.

    The first layer's mean and variance are learned too. It goes with any posterior on R^Z, and with ``top_down`` of as
    many layers best: given the codes above it, the KL of a layer is then in closed form.
    """

    top: Tensor

    def __init__(self, latent_size: int, layers: int = 2, hidden_size: int = 128):
        super().__init__()
        self.sizes = layer_sizes(latent_size, layers)
        self.register_buffer("top", torch.zeros(0))
        widths = [[above, hidden_size, hidden_size] if above else [0] for above in sums_before(self.sizes)]
        self.layers = nn.ModuleList(
            nn.Sequential(mlp(width), DiagonalNormal(width[-1], size)) for width, size in zip(widths, self.sizes)
        )

    def forward(self) -> Distribution:
        """The prior, with its current parameters."""
        return TopDown(list(self.layers), self.sizes, self.top)


def layer_sizes(latent_size: int, layers: int) -> list[int]:
    """The dimensions of each layer, which add up to the code's: the first ones have one more where they must."""
    if not 1 <= layers <= min(latent_size, MAX_LAYERS):
        raise RequestError(
            f"A code has from 1 to {MAX_LAYERS} layers, each of 1 dimension or more: {latent_size} dimensions "
            f"cannot be cut into {layers}."
        )
    return [latent_size // layers + (layer < latent_size % layers) for layer in range(layers)]


def sums_before(sizes: Sequence[int]) -> list[int]:
    """How many dimensions are above each layer."""
    return [sum(sizes[:layer]) for layer in range(len(sizes))]
