"""Small layers that several parts use."""

import warnings
from collections.abc import Sequence
from itertools import pairwise
from typing import Literal

import torch
from torch import Tensor, nn

from textvae.errors import RequestError

MAX_LAYERS = 64  # more are a mistake, or a config made to exhaust the memory
Activation = Literal["relu", "sigmoid", "tanh", "softplus"]


def dense(inputs: int, outputs: int) -> nn.Linear:
    """A linear layer that may have no inputs or no outputs: a model without a code (latent_size 0) has both."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Initializing zero-element tensors")
        return nn.Linear(inputs, outputs)


def make_activation(name: Activation) -> nn.Module:
    """The activation of that name."""
    return {"relu": nn.ReLU, "sigmoid": nn.Sigmoid, "tanh": nn.Tanh, "softplus": nn.Softplus}[name]()


def mlp(sizes: Sequence[int], dropout: float = 0.0, activation: Activation = "relu") -> nn.Sequential:
    """Linear layers of the given widths, each followed by the activation and dropout."""
    if any(size < 1 for size in sizes[1:]):
        raise RequestError(f"A hidden layer has 1 unit or more; {list(sizes[1:])} are not such sizes.")
    layers: list[nn.Module] = []
    for a, b in pairwise(sizes):
        layers += [dense(a, b), make_activation(activation), nn.Dropout(dropout)]
    return nn.Sequential(*layers)


def reverse_padded(x: Tensor, lengths: Tensor) -> Tensor:
    """Reverse the first ``lengths[b]`` positions of each row of x [B, T, …]; padding stays where it is."""
    position = torch.arange(x.shape[1], device=x.device)
    index = torch.where(position < lengths[:, None], lengths[:, None] - 1 - position, position)
    return x[torch.arange(x.shape[0], device=x.device)[:, None], index]
