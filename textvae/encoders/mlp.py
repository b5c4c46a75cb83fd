"""Fully connected encoder, for bags of words and small pictures."""

import math
from collections.abc import Sequence
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from textvae.encoders.base import Encoder
from textvae.errors import RequestError
from textvae.layers import Activation, mlp


class MLPEncoder(Encoder):
    """Flattens x and passes it through layers, each with its ``activation``.

    Counts are heavy-tailed, and depend on the length of the document. ``transform`` is what the first layer reads:

    - ``none``: x itself;
    - ``log1p``: log(1 + |x|), with the sign of x;
    - ``probabilities``: x / Σ x (Hinton & Salakhutdinov 2006);
    - ``tf_idf``: (1 + log x) (1 − log s) where the word is in the document, s being the share of the training
      documents that it is in (Salton & Buckley 1988). A word that no document had weighs nothing. All documents are
      as long, √V: the mean square is 1, as the initial weights of a layer assume, and codes learn much faster than
      at length 1.
    """

    inverse_frequency: Tensor

    def __init__(
        self,
        input_shape: Sequence[int],
        hidden_sizes: Sequence[int] = (400,),
        dropout: float = 0.0,
        transform: Literal["none", "log1p", "probabilities", "tf_idf"] = "none",
        activation: Activation = "relu",
        document_frequency: Sequence[float] | None = None,
    ):
        super().__init__()
        if transform in ("probabilities", "tf_idf") and len(input_shape) != 1:
            raise RequestError(f"The transform {transform!r} is for counts [V], not for {list(input_shape)}.")
        self.transform = transform
        if transform == "tf_idf":
            if document_frequency is None:
                raise RequestError("tf-idf needs the words' document frequencies, which the codec does not give.")
            share = torch.as_tensor(document_frequency, dtype=torch.float32)
            self.register_buffer("inverse_frequency", torch.where(share > 0, 1 - share.log(), 0.0))
        self.layers = mlp([math.prod(input_shape), *hidden_sizes], dropout, activation)
        self.output_size = hidden_sizes[-1] if hidden_sizes else math.prod(input_shape)

    @property
    def only_flattens(self) -> bool:
        """Whether the features are x itself, so that the posterior's layer is all there is."""
        return not len(self.layers) and self.transform == "none"

    def inputs(self, x: Tensor) -> Tensor:
        """x [B, …] to what the first layer reads [B, I]."""
        if self.transform == "log1p":
            x = x.abs().log1p().copysign(x)  # codes may be below 0
        elif self.transform == "probabilities":
            x = x / x.sum(-1, keepdim=True).clamp(min=1)
        elif self.transform == "tf_idf":
            weights = torch.where(x > 0, 1 + x.clamp(min=1).log(), 0.0) * self.inverse_frequency
            x = F.normalize(weights, dim=-1) * math.sqrt(weights.shape[-1])
        return x.flatten(1)

    def forward(self, x: Tensor) -> Tensor:
        """x [B, …] to features [B, output_size]."""
        return self.layers(self.inputs(x))
