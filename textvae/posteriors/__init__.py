"""Posteriors: features [B, F] to the distribution q(z|x)."""

from textvae.posteriors.base import Posterior
from textvae.registry import Registry

POSTERIORS: Registry[Posterior] = Registry(
    "posterior", {"diagonal_normal": "textvae.posteriors.diagonal_normal:DiagonalNormal"}
)

__all__ = ["POSTERIORS", "Posterior"]
