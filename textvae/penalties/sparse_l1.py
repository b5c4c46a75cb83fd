"""Sparse codes by their absolute values (Olshausen & Field 1996)."""

from torch import Tensor

from textvae.encoders import Encoder
from textvae.penalties.base import Penalty
from textvae.posteriors import Posterior


class SparseL1(Penalty):
    """Σ_j |z_j|, the mean over the batch.

    Small codes before large decoder weights would be as good: keep the weights small too (train.weight_decay).
    """

    def __init__(self, weight: float = 0.01):
        super().__init__(weight)

    def measure(self, encoder: Encoder, posterior: Posterior, x: Tensor, z: Tensor) -> Tensor:
        """Codes z [B, Z] to []."""
        return z.abs().sum(-1).mean()
