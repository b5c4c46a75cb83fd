"""Principal components: the linear code that autoencoders are measured against."""

from typing import NamedTuple

import torch
from torch import Tensor

from textvae.errors import RequestError

CHUNK = 4096  # examples whose products are summed before they are added up in float64


class Components(NamedTuple):
    """The mean [D] of the data, and the directions [K, D] of most variance, of length 1."""

    mean: Tensor
    directions: Tensor

    def encode(self, x: Tensor) -> Tensor:
        """x [N, …] to codes [N, K]."""
        return (x.flatten(1) - self.mean) @ self.directions.T

    def decode(self, z: Tensor) -> Tensor:
        """Codes [N, K] to the nearest x [N, D] that they can stand for."""
        return self.mean + z @ self.directions


def principal_components(x: Tensor, size: int) -> Components:
    """The first ``size`` principal components of x [N, …], by way of the covariance [D, D].

    RequestError for more components than there are dimensions or examples.
    """
    x = x.flatten(1)
    n, d = x.shape
    if not 1 <= size <= min(n, d):
        raise RequestError(f"{n:,} examples of {d:,} numbers have from 1 to {min(n, d):,} components, not {size:,}.")
    mean = x.sum(0, dtype=torch.float64) / n
    covariance = torch.zeros(d, d, dtype=torch.float64)
    for rows in x.split(CHUNK):
        centred = rows - mean.to(x.dtype)
        covariance += centred.T @ centred
    directions = torch.linalg.eigh(covariance).eigenvectors[:, -size:].flip(1).T
    return Components(mean.to(x.dtype), directions.to(x.dtype).contiguous())
