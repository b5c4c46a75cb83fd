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
        "iwae": "textvae.objectives.iwae:IWAE",
        "lagging": "textvae.objectives.lagging:Lagging",
        "layerwise": "textvae.objectives.layerwise:Layerwise",
        "pretrained_autoencoder": "textvae.objectives.pretrained_autoencoder:PretrainedAutoencoder",
        "semi_amortised": "textvae.objectives.semi_amortised:SemiAmortised",
        "wae_mmd": "textvae.objectives.wae_mmd:WassersteinMMD",
        "classification": "textvae.objectives.classification:Classification",
        "semi_supervised": "textvae.objectives.semi_supervised:SemiSupervised",
        "adversarial": "textvae.objectives.adversarial:Adversarial",
        "walkback": "textvae.objectives.walkback:Walkback",
        "noise2noise": "textvae.objectives.noise2noise:Noise2Noise",
        "perceptual": "textvae.objectives.perceptual:Perceptual",
    },
)

__all__ = ["OBJECTIVES", "Objective", "Terms", "kl"]
