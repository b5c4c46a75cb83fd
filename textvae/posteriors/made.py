"""An autoregressive network that steps a code, and steps it back (Germain et al. 2015; Kingma et al. 2016)."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from textvae.layers import dense

OPEN = 2.0  # added to the gates, so that a flow starts near the identity (Kingma et al. 2016, §4)


class MADE(nn.Module):
    """One flow: z_i → σ_i z_i + (1 − σ_i) m_i, where m_i and σ_i come from z_1 … z_{i−1} and a context.

    Hidden unit j sees the first j mod Z dimensions, and output i the hidden units that see fewer than i of them:
    those that see none carry the context to every output.
    """

    def __init__(self, size: int, hidden_size: int, context_size: int):
        super().__init__()
        self.size = size
        self.context = dense(context_size, hidden_size)
        self.inputs = nn.Linear(size, hidden_size, bias=False)
        self.outputs = nn.Linear(hidden_size, 2 * size)

    def forward(self, z: Tensor, context: Tensor) -> tuple[Tensor, Tensor]:
        """z [..., Z] and ``self.context`` of the features [..., H] to the next z [..., Z] and Σ_i log σ_i [...].

        (Kingma et al. 2016, eq. 13 and 14.)
        """
        dimension = torch.arange(self.size, device=z.device)
        sees = torch.arange(context.shape[-1], device=z.device) % self.size
        hidden = F.elu(F.linear(z, self.inputs.weight * (sees[:, None] > dimension)) + context)
        mask = (dimension[:, None] >= sees).repeat(2, 1)
        m, s = F.linear(hidden, self.outputs.weight * mask, self.outputs.bias).chunk(2, -1)
        gate = torch.sigmoid(s + OPEN)
        return gate * z + (1 - gate) * m, gate.log().sum(-1)

    def inverse(self, z: Tensor, context: Tensor) -> tuple[Tensor, Tensor]:
        """From the next z back to z, and the same Σ_i log σ_i.

        One dimension after the other; each hidden unit is computed once, when all that it sees is there, so that
        the whole costs little more than a step forward.
        """
        out: Tensor = self.outputs.bias
        found: list[Tensor] = []
        log_det = torch.zeros_like(z[..., 0])
        for i in range(self.size):
            hidden = context[..., i :: self.size]
            if i:
                hidden = hidden + F.linear(torch.stack(found, -1), self.inputs.weight[i :: self.size, :i])
            out = out + F.linear(F.elu(hidden), self.outputs.weight[:, i :: self.size])
            gate = torch.sigmoid(out[..., self.size + i] + OPEN)
            found.append((z[..., i] - (1 - gate) * out[..., i]) / gate)
            log_det = log_det + gate.log()
        return torch.stack(found, -1), log_det
