"""Masking noise: a share of the elements is blanked out (Vincent et al. 2010, §3.3; of words, Shen et al. 2020)."""

import torch
from torch import Tensor

from textvae.codecs.base import EOS, UNK
from textvae.corruptions.base import Corruption, probability


class Masking(Corruption):
    """Replaces each word by UNK, or each pixel or count by 0, with probability ``rate``."""

    def __init__(self, rate: float = 0.3):
        super().__init__()
        self.rate = probability("Masking's rate", rate)

    def corrupt(self, x: Tensor) -> Tensor:
        """Ids x [B, T], whose PAD, BOS and EOS stay, or numbers x [B, …]."""
        drop = torch.rand(x.shape, device=x.device) < self.rate
        if x.is_floating_point():
            return x.masked_fill(drop, 0.0)
        return x.masked_fill(drop & (x > EOS), UNK)
