"""Small layers that several parts use, and how parameters are frozen for a while."""

import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import pairwise
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from textvae import distributed
from textvae.errors import RequestError
from textvae.regularisation import Dropout

MAX_LAYERS = 64  # more are a mistake, or a config made to exhaust the memory
MOMENTUM = 0.1  # the least weight of a new batch in the running figures
Activation = Literal["relu", "sigmoid", "tanh", "softplus"]


def dense(inputs: int, outputs: int, bias: bool = True) -> nn.Linear:
    """A linear layer that may have no inputs or no outputs: a model without a code (latent_size 0) has both."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Initializing zero-element tensors")
        return nn.Linear(inputs, outputs, bias)


def make_activation(name: Activation) -> nn.Module:
    """The activation of that name."""
    return {"relu": nn.ReLU, "sigmoid": nn.Sigmoid, "tanh": nn.Tanh, "softplus": nn.Softplus}[name]()


def mlp(sizes: Sequence[int], dropout: float = 0.0, activation: Activation = "relu") -> nn.Sequential:
    """Linear layers of the given widths, each followed by the activation and dropout."""
    if any(size < 1 for size in sizes[1:]):
        raise RequestError(f"A hidden layer has 1 unit or more; {list(sizes[1:])} are not such sizes.")
    layers: list[nn.Module] = []
    for a, b in pairwise(sizes):
        layers += [dense(a, b), make_activation(activation), Dropout(dropout)]
    return nn.Sequential(*layers)


class ScaledBatchNorm(nn.Module):
    """Batch norm with a fixed scale and a learned shift.

    The running figures are a plain mean over the first ten batches: torch's own begin at a variance of 1, and
    where the data's is 1e-4 it takes a hundred batches until they say so, and the evaluation shows a collapse.
    """

    running_mean: Tensor
    running_variance: Tensor
    batches: Tensor

    def __init__(self, size: int, scale: float, epsilon: float = 1e-5):
        super().__init__()
        self.epsilon = epsilon
        self.scale, self.shift = scale, nn.Parameter(torch.zeros(size))
        self.register_buffer("running_mean", torch.zeros(size))
        self.register_buffer("running_variance", torch.ones(size))
        self.register_buffer("batches", torch.zeros((), dtype=torch.long))

    def forward(self, x: Tensor) -> Tensor:
        """x [B, Z] to scale · (x − mean) / deviation + shift [B, Z] (Zhu et al. 2020, §3)."""
        mean, variance = self.running_mean, self.running_variance
        alone = len(x) == 1 and distributed.size() == 1
        if self.training and not alone:  # the deviation of a single example is 0: it is measured as in evaluation
            mean = distributed.mean(x)
            variance = distributed.mean((x - mean) ** 2)
            with torch.no_grad():
                self.batches += 1
                weight = (1 / self.batches).clamp(min=MOMENTUM)
                self.running_mean.lerp_(mean, weight)
                self.running_variance.lerp_(variance, weight)
        return self.scale * (x - mean) * (variance + self.epsilon).rsqrt() + self.shift


def packs(weight: Tensor) -> bool:
    """Whether ``packed_linear`` is quicker than F.linear with this weight."""
    there = torch.backends.mkldnn.is_available() and hasattr(torch.ops.mkldnn, "_linear_pointwise")
    return there and weight.is_cpu and weight.dtype == torch.float32 and not torch.is_autocast_enabled("cpu")


def packed_linear(weight: Tensor, bias: Tensor, rows: int) -> Callable[[Tensor], Tensor]:
    """x [N ≤ rows, I] to x weightᵀ + bias [N, O], for many calls without gradient while the weight stays as it is.

    On a CPU, oneDNN makes the product in float32 too, and in 0.4 of the time of F.linear's MKL where that does not
    know the processor (AMD's). Of several rows it is quicker still if the weight was laid out in its own order.
    """
    if not packs(weight):
        return lambda x: F.linear(x, weight, bias)
    weight, bias = weight.detach(), bias.detach()
    if rows > 1:
        weight = torch.ops.mkldnn._reorder_linear_weight(weight)
    return lambda x: torch.ops.mkldnn._linear_pointwise(x, weight, bias, "none", [], "")


def tanh(x: Tensor) -> Tensor:
    """2 σ(2x) − 1, in a third of the time of torch.tanh on a CPU; to 1e-7, not to the last digit of small numbers."""
    return (2 * x).sigmoid_().mul_(2).sub_(1)


def reverse_padded(x: Tensor, lengths: Tensor) -> Tensor:
    """Reverse the first ``lengths[b]`` positions of each row of x [B, T, …]; padding stays where it is."""
    position = torch.arange(x.shape[1], device=x.device)
    index = torch.where(position < lengths[:, None], lengths[:, None] - 1 - position, position)
    return x[torch.arange(x.shape[0], device=x.device)[:, None], index]


@contextmanager
def frozen(parameters: Iterable[nn.Parameter]) -> Iterator[None]:
    """What is computed inside has no gradient for these, and its backward pass does not take the time for one."""
    melted = [parameter for parameter in parameters if parameter.requires_grad]
    for parameter in melted:
        parameter.requires_grad_(False)
    try:
        yield
    finally:
        for parameter in melted:
            parameter.requires_grad_(True)
