"""A prior that is learned as a normalising flow: real NVP (Dinh et al. 2017), as Chen et al. (2017) put on the code.

The codes of a corpus never fill N(0, I): KL(q(z) ‖ p(z)) is paid for and carries nothing, and what is drawn from
the gaps reads badly. A prior that bends to where the codes are wins back both.
"""

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor, nn
from torch.distributions import Distribution, constraints

from textvae.errors import RequestError
from textvae.layers import mlp
from textvae.priors.base import Prior

MAX_LOG_SCALE = 2.0  # a coupling stretches by at most e² per layer, which keeps training stable


class Coupling(nn.Module):
    """Shifts and stretches one half of the dimensions by what the other half says (eq. 7); at first it does nothing."""

    def __init__(self, size: int, hidden_size: int, swap: bool):
        super().__init__()
        self.kept = size - size // 2 if swap else size // 2
        self.swap = swap
        last = nn.Linear(hidden_size, 2 * (size - self.kept))
        nn.init.zeros_(last.weight)
        nn.init.zeros_(last.bias)
        self.net = nn.Sequential(mlp([self.kept, hidden_size, hidden_size]), last)

    def _parts(self, z: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        z = z.flip(-1) if self.swap else z
        kept, moved = z[..., : self.kept], z[..., self.kept :]
        log_scale, shift = self.net(kept).chunk(2, -1)
        return kept, moved, MAX_LOG_SCALE * torch.tanh(log_scale / MAX_LOG_SCALE), shift

    def _whole(self, kept: Tensor, moved: Tensor) -> Tensor:
        z = torch.cat([kept, moved], -1)
        return z.flip(-1) if self.swap else z

    def inverse(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """z [..., Z] towards the noise u [..., Z], and log |∂u/∂z| [...]."""
        kept, moved, log_scale, shift = self._parts(z)
        return self._whole(kept, (moved - shift) * (-log_scale).exp()), -log_scale.sum(-1)

    def forward(self, u: Tensor) -> Tensor:
        """u [..., Z] towards the code z [..., Z]."""
        kept, moved, log_scale, shift = self._parts(u)
        return self._whole(kept, moved * log_scale.exp() + shift)


class FlowDistribution(Distribution):
    """The distribution of f(u) for u from N(0, I): batch [], event [Z]."""

    arg_constraints: dict[str, constraints.Constraint] = {}  # noqa: RUF012  (torch's own convention)
    has_rsample = True

    def __init__(self, couplings: Iterable[Coupling], zero: Tensor):
        self.couplings: list[Coupling] = list(couplings)
        self.zero = zero
        super().__init__(event_shape=zero.shape, validate_args=False)

    def rsample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        """Codes [*sample_shape, Z]."""
        z = torch.randn(*sample_shape, len(self.zero), device=self.zero.device)
        for coupling in self.couplings:
            z = coupling(z)
        return z

    def log_prob(self, value: Tensor) -> Tensor:
        """Codes [..., Z] to log p(z) [...] by the change of variables (eq. 3)."""
        total = torch.zeros(value.shape[:-1], device=value.device)
        with torch.autocast(value.device.type, enabled=False):  # the KL is a difference of such densities
            for coupling in reversed(self.couplings):
                value, log_det = coupling.inverse(value)
                total = total + log_det
        return total + torch.distributions.Normal(0.0, 1.0, validate_args=False).log_prob(value).sum(-1)


class FlowPrior(Prior):
    """``layers`` couplings with networks of ``hidden_size``, the two halves of the code in turns."""

    zero: Tensor

    def __init__(self, latent_size: int, layers: int = 6, hidden_size: int = 128):
        super().__init__()
        if latent_size < 2:
            raise RequestError(f"A flow prior needs a code of 2 dimensions or more; this one has {latent_size}.")
        if not 1 <= layers <= 64 or hidden_size < 1:
            raise RequestError("A flow prior has from 1 to 64 layers, of a hidden size of 1 or more.")
        self.register_buffer("zero", torch.zeros(latent_size))
        self.couplings = nn.ModuleList(Coupling(latent_size, hidden_size, swap=i % 2 == 1) for i in range(layers))

    def forward(self) -> Distribution:
        """The prior, with its current parameters."""
        return FlowDistribution(self.couplings, self.zero)  # type: ignore[arg-type]
