"""Word dropout: the decoder is fed UNK for a share of the words (Bowman et al. 2015, §3.1)."""

import torch
from torch import Tensor

from textvae.codecs.base import EOS, UNK
from textvae.corruptions.base import Corruption
from textvae.errors import RequestError


class WordDropout(Corruption):
    """Replaces each word by UNK with probability ``rate``; rate 1 is Bowman's inputless decoder."""

    def __init__(self, rate: float = 0.3):
        super().__init__()
        if not 0 <= rate <= 1:
            raise RequestError(f"Word dropout's rate is a probability, from 0 to 1; {rate} is not.")
        self.rate = rate

    def corrupt(self, x: Tensor) -> Tensor:
        """Ids x [B, T]; PAD, BOS and EOS stay."""
        drop = torch.rand(x.shape, device=x.device) < self.rate
        return torch.where(drop & (x > EOS), UNK, x)
