"""Layers of codes, inferred in the order in which they are generated (Sønderby et al. 2016; Kingma et al. 2016)."""

from functools import partial

import torch.nn.functional as F
from torch import Tensor, nn
from torch.distributions import Distribution

from textvae.errors import RequestError
from textvae.layers import dense
from textvae.posteriors.base import Posterior
from textvae.posteriors.diagonal_normal import DiagonalNormal
from textvae.posteriors.iaf import InverseAutoregressiveFlow
from textvae.priors.hierarchical import TopDown, layer_sizes, sums_before


class TopDownPosterior(Posterior):
    """q(z|x) = ∏_l q(z_l | z_<l, x), where what comes up from x meets what comes down from the layers above.

    Each of the ``layers`` is a diagonal normal, bent by ``flows`` inverse autoregressive flows if there are any, whose
    context is the two together (Kingma et al. 2016, §4 and fig. 3). The paper's posterior and prior share what comes
    down, and here each has its own: the part that generates is then free of the part that infers, and either goes
    with any other.
    """

    def __init__(self, feature_size: int, latent_size: int, layers: int = 2, hidden_size: int = 256, flows: int = 0):
        super().__init__()
        self.sizes = layer_sizes(latent_size, layers)
        if hidden_size < 1 or flows < 0:
            raise RequestError("The posterior 'top_down' needs a hidden_size of 1 or more, and 0 flows or more.")
        self.up = dense(feature_size, hidden_size)
        self.down = nn.ModuleList(dense(above, hidden_size, bias=False) for above in sums_before(self.sizes))
        self.heads = nn.ModuleList(
            InverseAutoregressiveFlow(hidden_size, size, flows, hidden_size)
            if flows
            else DiagonalNormal(hidden_size, size)
            for size in self.sizes
        )

    def forward(self, features: Tensor) -> Distribution:
        """Features [B, F] to q(z|x), in float32 from where the layers begin."""
        up = self.up(features).float()
        layers = [partial(_layer, up, down, head) for down, head in zip(self.down, self.heads)]
        return TopDown(layers, self.sizes, up[:, :0])


def _layer(up: Tensor, down: nn.Module, head: nn.Module, above: Tensor) -> Distribution:
    """q(z_l | z_<l, x) from what comes up [B, H] and the layers above [..., B, A]."""
    return head(F.elu(up + down(above)))
