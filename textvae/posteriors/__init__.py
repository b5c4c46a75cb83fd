"""Posteriors: features [B, F] to the distribution q(z|x)."""

from textvae.posteriors.base import Posterior
from textvae.registry import Registry

POSTERIORS: Registry[Posterior] = Registry(
    "posterior",
    {
        "diagonal_normal": "textvae.posteriors.diagonal_normal:DiagonalNormal",
        "batch_norm": "textvae.posteriors.batch_norm:BatchNormNormal",
        "constant_variance": "textvae.posteriors.constant_variance:ConstantVariance",
        "bernoulli": "textvae.posteriors.bernoulli:BernoulliPosterior",
        "iaf": "textvae.posteriors.iaf:InverseAutoregressiveFlow",
        "top_down": "textvae.posteriors.top_down:TopDownPosterior",
        "von_mises_fisher": "textvae.posteriors.von_mises_fisher:VonMisesFisherPosterior",
    },
)

__all__ = ["POSTERIORS", "Posterior"]
