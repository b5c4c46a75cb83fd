"""Labels as a condition: what encoder and decoder are told beside x and z."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

HIDDEN = 0.1  # share of the labels that training leaves out, so that encoder and decoder work without one too


class Condition(nn.Module):
    """Puts a label beside a vector as a one-hot code; without a label all of it is 0 (Kingma et al. 2014, M2).

    While training, a share of ``hidden`` of the labels is left out, for a model that cannot guess the label that
    it is not given (as classifier-free guidance does, Ho & Salimans 2022): ``left_out`` does so once for an example,
    so that encoder and decoder know the same. If the decoder alone were not told, the code would have to hold the
    label for that case, and the decoder would learn to read it from there and not from what it is told.
    """

    def __init__(self, classes: int, hidden: float = HIDDEN):
        super().__init__()
        self.classes, self.hidden = classes, hidden

    def forward(self, v: Tensor, y: Tensor | None) -> Tensor:
        """v [N, F] and labels [N], −1 for none, to [N, F + classes]; v itself where there are no classes."""
        if not self.classes:
            return v
        if y is None:
            return torch.cat([v, v.new_zeros(len(v), self.classes)], -1)
        # An unlabelled row is class 0 of one more, which is then cut off.
        return torch.cat([v, F.one_hot(y + 1, self.classes + 1)[:, 1:].to(v.dtype)], -1)

    def left_out(self, y: Tensor | None) -> Tensor | None:
        """Labels [N] of a training step, a share of them −1."""
        if y is None or not self.classes or not self.hidden:
            return y
        return y.masked_fill(torch.rand(y.shape, device=y.device) < self.hidden, -1)
