"""Penalties on what an autoencoder's encoder does: on its codes, or on how they move with x."""

from textvae.penalties.base import Penalty
from textvae.registry import Registry

PENALTIES: Registry[Penalty] = Registry(
    "penalty",
    {
        "sparse_l1": "textvae.penalties.sparse_l1:SparseL1",
        "sparse_kl": "textvae.penalties.sparse_kl:SparseKL",
        "contractive": "textvae.penalties.contractive:Contractive",
    },
)

__all__ = ["PENALTIES", "Penalty"]
