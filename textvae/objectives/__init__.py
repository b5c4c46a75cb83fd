"""Objectives: what is minimised, and what a step updates."""

from textvae.objectives.base import Objective, Terms, kl
from textvae.registry import Registry

OBJECTIVES: Registry[Objective] = Registry(
    "objective",
    {
        "elbo": "textvae.objectives.elbo:ELBO",
        "free_bits": "textvae.objectives.free_bits:FreeBits",
        "target_rate": "textvae.objectives.target_rate:TargetRate",
        "autoencoder": "textvae.objectives.autoencoder:PlainAutoencoder",
    },
)

__all__ = ["OBJECTIVES", "Objective", "Terms", "kl"]
