"""Inverse autoregressive flow: a normal that is bent by autoregressive networks (Kingma et al. 2016)."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.distributions import Distribution, constraints

from textvae.errors import RequestError
from textvae.layers import MAX_LAYERS
from textvae.posteriors.base import Posterior
from textvae.posteriors.diagonal_normal import DiagonalNormal
from textvae.posteriors.made import MADE


class Flow(Distribution):
    """q(z|x) after the flows. It keeps log q of the codes that it drew last; for other codes the flows are inverted.

    ``mean`` is where the flows take the mean of the base: the expectation has no closed form, and this is a code
    without noise, as the other posteriors' means are. Active units are counted by it.
    """

    arg_constraints: dict[str, constraints.Constraint] = {}  # noqa: RUF012
    support = constraints.real_vector
    has_rsample = True
    log_prob_cost = 16  # evaluation asks log q of foreign codes for that many times fewer of them

    def __init__(self, base: Distribution, flows: Sequence[MADE], contexts: Sequence[Tensor]):
        """A base over [Z] with batch [B], and of each flow the network and its context [B, H]."""
        self.base, self._flows = base, list(zip(flows, contexts))
        self._drawn: tuple[Tensor, Tensor] | None = None
        super().__init__(base.batch_shape, base.event_shape, validate_args=False)

    @property
    def mean(self) -> Tensor:
        """The base's mean, through the flows [B, Z]."""
        return self._push(self.base.mean)[0]

    def rsample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        """Codes [*sample_shape, B, Z]."""
        start = self.base.rsample(torch.Size(sample_shape))
        z, log_det = self._push(start)
        self._drawn = z, self.base.log_prob(start) - log_det
        return z

    def log_prob(self, value: Tensor) -> Tensor:
        """log q(z|x) in nats, for value [..., B, Z] (Kingma et al. 2016, eq. 11)."""
        if self._drawn is not None and value is self._drawn[0]:
            return self._drawn[1]
        z, log_det = self._pull(value)
        return self.base.log_prob(z) - log_det

    def _push(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """z_0 to z_T and log |det dz_T/dz_0|; each flow reads the dimensions in the order opposite to the last."""
        log_det = torch.zeros_like(z[..., 0])
        with torch.autocast(z.device.type, enabled=False):
            for made, context in self._flows:
                z, step = made(z, context)
                z, log_det = z.flip(-1), log_det + step
        return z, log_det

    def _pull(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """z_T to z_0, and the same log determinant."""
        log_det = torch.zeros_like(z[..., 0])
        with torch.autocast(z.device.type, enabled=False):
            for made, context in reversed(self._flows):
                z, step = made.inverse(z.flip(-1), context)
                log_det = log_det + step
        return z, log_det


class InverseAutoregressiveFlow(Posterior):
    """A diagonal normal followed by ``flows`` inverse autoregressive flows, which the encoder's features steer.

    Without a closed form, the KL is estimated at the codes drawn.
    """

    def __init__(self, feature_size: int, latent_size: int, flows: int = 2, hidden_size: int = 320):
        super().__init__()
        if not 1 <= flows <= MAX_LAYERS:
            raise RequestError(f"The posterior 'iaf' has from 1 to {MAX_LAYERS} flows; {flows} is not.")
        if latent_size < 1 or hidden_size < 1:
            raise RequestError("The posterior 'iaf' needs latent_size and hidden_size of 1 or more.")
        self.base = DiagonalNormal(feature_size, latent_size)
        self.flows = nn.ModuleList(MADE(latent_size, hidden_size, feature_size) for _ in range(flows))

    def forward(self, features: Tensor) -> Distribution:
        """Features [B, F] to q(z|x), in float32."""
        flows = [flow for flow in self.flows if isinstance(flow, MADE)]
        with torch.autocast(features.device.type, enabled=False):
            features = features.float()
            return Flow(self.base(features), flows, [flow.context(features) for flow in flows])
