"""Convolutions over a picture, with pooling (LeCun et al. 1998; as an autoencoder, Masci et al. 2011)."""

from collections.abc import Sequence
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from textvae.encoders.base import Encoder
from textvae.errors import RequestError
from textvae.layers import MAX_LAYERS


class Conv2dEncoder(Encoder):
    """Layers of ``channels`` filters, each followed by a ReLU; each halves the height and the width, rounded up.

    It does so by taking each second place of the convolution (``stride``, the cheapest), or the ``max`` or ``mean``
    of 2 × 2 of them.
    """

    def __init__(
        self,
        input_shape: Sequence[int],
        channels: Sequence[int] = (32, 64),
        kernel: int = 3,
        pooling: Literal["stride", "max", "mean"] = "stride",
    ):
        super().__init__()
        self.sizes = sizes_of(input_shape, channels, kernel)
        self.pooling = pooling
        widths = zip([input_shape[0], *channels], channels)
        stride = 2 if pooling == "stride" else 1
        self.filters = nn.ModuleList(nn.Conv2d(a, b, kernel, stride, kernel // 2) for a, b in widths)
        height, width = self.sizes[-1]
        self.output_size = channels[-1] * height * width

    def forward(self, x: Tensor) -> Tensor:
        """Pixels x [B, C, H, W] to features [B, output_size]."""
        for convolution in self.filters:
            x = F.relu(convolution(x))
            if self.pooling == "max":
                x = F.max_pool2d(x, 2, ceil_mode=True)
            elif self.pooling == "mean":
                x = F.avg_pool2d(x, 2, ceil_mode=True)
        return x.flatten(1)

    @torch.no_grad()
    def switches(self, x: Tensor) -> list[Tensor]:
        """Where each layer's maxima stood, for x [B, C, H, W]: places in the map before pooling [B, channels, h, w]."""
        found = []
        for convolution in self.filters:
            x, places = F.max_pool2d(F.relu(convolution(x)), 2, ceil_mode=True, return_indices=True)
            found.append(places)
        return found


def sizes_of(shape: Sequence[int], channels: Sequence[int], kernel: int) -> list[tuple[int, int]]:
    """Height and width of the picture and after each layer; RequestError for layers that are none."""
    if len(shape) != 3:
        raise RequestError(f"A two-dimensional convolution reads pictures [C, H, W], not x of shape {list(shape)}.")
    if not 1 <= len(channels) <= MAX_LAYERS or min(channels) < 1:
        raise RequestError(
            f"Convolutions are from 1 to {MAX_LAYERS} layers of 1 channel or more, not {list(channels)}."
        )
    if kernel < 1 or kernel % 2 == 0:
        raise RequestError(f"The kernel of these convolutions is an odd number of pixels; {kernel} is not.")
    sizes = [(shape[1], shape[2])]
    for _ in channels:
        height, width = sizes[-1]
        sizes.append((-(-height // 2), -(-width // 2)))
    return sizes
