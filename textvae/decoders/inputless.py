"""The inputless decoder of Bowman et al. (2015, §3.1 and table 2): all that it knows of a sentence is z."""

import torch
from torch import Tensor

from textvae.codecs.base import EOS, UNK
from textvae.decoders.lstm import LSTMDecoder


class InputlessDecoder(LSTMDecoder):
    """An LSTM that is fed UNK for every word, in training, evaluation and generation alike.

    Word dropout of 1.0 is the same in training, but noise ends with training: the words that it then meets are
    ones that it never saw.
    """

    def _fed(self, tokens: Tensor) -> Tensor:
        return torch.where(tokens > EOS, UNK, tokens)
