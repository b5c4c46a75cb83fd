"""Word dropout: the decoder is fed UNK for a share of the words (Bowman et al. 2015, §3.1)."""

import torch
from torch import Tensor

from textvae.codecs.base import EOS, UNK
from textvae.corruptions.base import Corruption, probability


class WordDropout(Corruption):
    """Replaces each word by UNK with probability ``rate``; rate 1 is Bowman's inputless decoder."""

    def __init__(self, rate: float = 0.3):
        super().__init__()
        self.rate = probability("Word dropout's rate", rate)

    def corrupt(self, x: Tensor) -> Tensor:
        """Ids x [B, T]; PAD, BOS and EOS stay."""
        drop = torch.rand(x.shape, device=x.device) < self.rate
        return torch.where(drop & (x > EOS), UNK, x)
