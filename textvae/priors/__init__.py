"""Priors p(z) over the code."""

from textvae.priors.base import Prior
from textvae.registry import Registry

PRIORS: Registry[Prior] = Registry(
    "prior",
    {
        "standard_normal": "textvae.priors.standard_normal:StandardNormal",
        "logistic_normal": "textvae.priors.logistic_normal:LogisticNormal",
        "flow": "textvae.priors.flow:FlowPrior",
        "hierarchical": "textvae.priors.hierarchical:Hierarchical",
        "mixture": "textvae.priors.mixture:Mixture",
        "vamp": "textvae.priors.vamp:VampPrior",
        "bernoulli": "textvae.priors.bernoulli:BernoulliPrior",
        "uniform_sphere": "textvae.priors.uniform_sphere:UniformSphere",
    },
)

__all__ = ["PRIORS", "Prior"]
