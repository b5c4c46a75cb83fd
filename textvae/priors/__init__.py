"""Priors p(z) over the code."""

from textvae.priors.base import Prior
from textvae.registry import Registry

PRIORS: Registry[Prior] = Registry("prior", {"standard_normal": "textvae.priors.standard_normal:StandardNormal"})

__all__ = ["PRIORS", "Prior"]
