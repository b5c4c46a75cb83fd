"""A code to maps of features to a picture: convolutions the other way round (Masci et al. 2011; Zeiler et al. 2011)."""

from collections.abc import Sequence
from typing import Literal

import torch.nn.functional as F
from torch import Tensor, nn

from textvae.decoders.base import Decoder
from textvae.encoders import Encoder
from textvae.encoders.conv2d import Conv2dEncoder, sizes_of
from textvae.errors import RequestError
from textvae.layers import dense


class Conv2dDecoder(Decoder):
    """A dense layer, then the layers of the encoder ``conv2d`` with those ``channels``, last one first.

    How each doubles the height and the width:

    - ``transposed``: the transpose of a convolution with stride 2, which is a convolution of the map with zeros put
      between its places. The likelihood makes the last step: each hidden state writes a patch of 2 × 2 pixels;
    - ``repeat``: each value four times, then a convolution;
    - ``switches``: each value to the place where the encoder's maximum stood and 0 elsewhere, then a convolution
      (Zeiler et al. 2011). The places come from x, so that such a model reconstructs and draws nothing new.
    """

    def __init__(
        self,
        latent_size: int,
        input_shape: Sequence[int],
        encoder: Encoder,
        channels: Sequence[int] = (32, 64),
        kernel: int = 3,
        unpooling: Literal["transposed", "repeat", "switches"] = "transposed",
    ):
        super().__init__()
        self.sizes = sizes_of(input_shape, channels, kernel)
        self.unpooling, self.top = unpooling, channels[-1]
        if unpooling == "switches":
            need_switches(encoder, channels)
        # In a tuple, so that torch does not register it again: the encoder is the model's, trained and saved there.
        self._encoder = (encoder,)
        height, width = self.sizes[-1]
        self.start = dense(latent_size, self.top * height * width)
        widths = list(zip(channels[::-1], [*channels[-2::-1], channels[0]]))
        layers: list[nn.Module] = []
        if unpooling == "transposed":
            self.grid = self.sizes[1]
            for (a, b), (height, width) in zip(widths[:-1], self.sizes[-2::-1]):
                more = (1 - height % 2, 1 - width % 2)
                layers.append(nn.ConvTranspose2d(a, b, kernel, 2, kernel // 2, output_padding=more))
        else:
            self.grid = self.sizes[0]
            layers += [nn.Conv2d(a, b, kernel, 1, kernel // 2) for a, b in widths]
        self.filters = nn.ModuleList(layers)
        self.hidden_size = channels[0]

    def forward(self, z: Tensor, x: Tensor) -> Tensor:
        """z [N, Z] (and x [N, C, H, W], for switches) to hidden states [N, h, w, H] on the grid (h, w)."""
        maps = F.relu(self.start(z)).view(-1, self.top, *self.sizes[-1])
        places = self._switches(x) if self.unpooling == "switches" else []
        for layer, size in zip(self.filters, self.sizes[-2::-1]):
            if places:
                maps = F.max_unpool2d(maps, places.pop(), (2, 2), output_size=size)
            elif self.unpooling == "repeat":
                maps = F.interpolate(maps, scale_factor=2)[..., : size[0], : size[1]]
            maps = F.relu(layer(maps))
        return maps.permute(0, 2, 3, 1)

    def _switches(self, x: Tensor) -> list[Tensor]:
        encoder = self._encoder[0]
        assert isinstance(encoder, Conv2dEncoder)
        if x.dim() != 4:
            raise RequestError(
                "Unpooling with switches needs the picture that they come from: this model reconstructs and cannot "
                "write from a code alone. For samples train one with --set model.decoder.unpooling=repeat."
            )
        return encoder.switches(x)


def need_switches(encoder: Encoder, channels: Sequence[int]) -> None:
    """Raise RequestError unless the encoder remembers places for a decoder of those channels."""
    if not isinstance(encoder, Conv2dEncoder) or encoder.pooling != "max":
        raise RequestError("Switches are the places of maxima: take the encoder conv2d with pooling=max.")
    if [layer.out_channels for layer in encoder.filters if isinstance(layer, nn.Conv2d)] != list(channels):
        raise RequestError("Switches go back where they came from: give encoder and decoder the same channels.")
