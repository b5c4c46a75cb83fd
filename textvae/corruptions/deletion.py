"""Deletion: a share of the words is left out, and the others close up (Shen et al. 2020, §4)."""

import torch
from torch import Tensor

from textvae.codecs.base import EOS, PAD
from textvae.corruptions.base import Corruption, probability


class Deletion(Corruption):
    """Deletes each word with probability ``rate``.

    The best of the noises that Shen et al. tried, at 0.3 and below. For the encoder only: a decoder that is fed
    words moved to the left would read the very word that it is to predict.
    """

    keeps_positions = False

    def __init__(self, vocab_size: int, rate: float = 0.3):
        super().__init__()
        self.rate = probability("Deletion's rate", rate)

    def corrupt(self, x: Tensor) -> Tensor:
        """Ids x [B, T] to [B, T], padded at the right; BOS and EOS stay, and the order is kept."""
        gone = (torch.rand(x.shape, device=x.device) < self.rate) & (x > EOS)
        order = gone.to(torch.uint8).argsort(dim=1, stable=True)  # what is kept comes first, in its own order
        return x.masked_fill(gone, PAD).gather(1, order)
