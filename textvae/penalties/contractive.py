"""Codes that move little where x moves: the Frobenius norm of their Jacobian (Rifai et al. 2011)."""

import torch
from torch import Tensor, nn

from textvae.encoders import Encoder
from textvae.encoders.mlp import MLPEncoder
from textvae.errors import RequestError
from textvae.penalties.base import Penalty
from textvae.posteriors import Posterior
from textvae.posteriors.constant_variance import ConstantVariance


class Contractive(Penalty):
    """‖∂z/∂x‖², the squared Frobenius norm of the Jacobian at x itself, the mean over the batch (eq. 2).

    Of one layer z = φ(Wx + b) it is Σ_j φ'(a_j)² ‖W_j‖², as cheap as the layer (eq. 5, where φ is the sigmoid).
    Of anything deeper it is found by automatic differentiation, at the cost of Z backward passes.
    """

    def __init__(self, weight: float = 0.1):
        super().__init__(weight)

    def attach(self, encoder: Encoder, posterior: Posterior) -> None:
        """Refuse words, which cannot move a little, and codes that depend on the rest of the batch."""
        if not encoder.output_size or isinstance(getattr(encoder, "embedding", None), nn.Embedding):
            raise RequestError("A contractive penalty needs x that can move a little: pictures or counts, not words.")
        if not posterior.per_example:
            raise RequestError("A contractive penalty needs codes of one example at a time, without batch norm.")

    def measure(self, encoder: Encoder, posterior: Posterior, x: Tensor, z: Tensor) -> Tensor:
        """x [B, …] to []."""
        if isinstance(posterior, ConstantVariance) and isinstance(encoder, MLPEncoder) and encoder.only_flattens:
            z = posterior(encoder(x)).mean
            return (posterior.slope(z) ** 2 @ (posterior.mean.weight**2).sum(1)).mean()
        return jacobian(encoder, posterior, x).pow(2).flatten(2).sum((0, 2)).mean()


def jacobian(encoder: Encoder, posterior: Posterior, x: Tensor) -> Tensor:
    """∂z/∂x [Z, B, …] of the codes z [B, Z], the posterior's means, for x [B, …]; it can be differentiated again."""
    x = x.detach().requires_grad_()
    with torch.enable_grad():
        z = posterior(encoder(x)).mean
        rows = torch.eye(z.shape[-1], device=z.device, dtype=z.dtype)[:, None].expand(-1, *z.shape)
        return torch.autograd.grad(z, x, rows, create_graph=True, is_grads_batched=True)[0]
