"""Sparse codes by a target for the mean activity of each unit (Ng 2011, CS294A, "Autoencoders and sparsity")."""

import math

from torch import Tensor

from textvae.encoders import Encoder
from textvae.errors import RequestError
from textvae.penalties.base import Penalty
from textvae.posteriors import Posterior

EPSILON = 1e-6  # a unit that is off for the whole batch has a finite cost


class SparseKL(Penalty):
    """Σ_j KL(ρ ‖ ρ̂_j) between coins: ``target`` ρ, and ρ̂_j the activity of unit j, its mean over the batch."""

    def __init__(self, weight: float = 1.0, target: float = 0.05):
        super().__init__(weight)
        if not 0 < target < 1:
            raise RequestError(f"A target activity is between 0 and 1; {target} is not.")
        self.target = target

    def attach(self, encoder: Encoder, posterior: Posterior) -> None:
        """Refuse codes that are no activities, from 0 to 1."""
        if getattr(posterior, "activation", None) != "sigmoid":
            raise RequestError(
                "A target activity is one of units between 0 and 1: take model.posterior.name=constant_variance "
                "with model.posterior.activation=sigmoid, or the penalty sparse_l1."
            )

    def measure(self, encoder: Encoder, posterior: Posterior, x: Tensor, z: Tensor) -> Tensor:
        """Codes z [B, Z] in [0, 1] to []."""
        rho, activity = self.target, z.mean(0).clamp(EPSILON, 1 - EPSILON)
        entropy = -rho * math.log(rho) - (1 - rho) * math.log1p(-rho)
        return (-rho * activity.log() - (1 - rho) * (-activity).log1p() - entropy).sum()
