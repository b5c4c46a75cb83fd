"""The training pictures nearest to others, by their pixels: whether a model draws, or recites what it was shown."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from textvae.errors import RequestError

QUERIES, NUMBERS = 256, 1 << 22  # pictures looked up together, and pixels of a piece of those they are compared with
COPY = 1 / 3
"""A picture is a copy if it is so much nearer to one training picture than to any other (Yoon et al. 2023)."""

Pictures = np.ndarray | Sequence[np.ndarray]


class Nearest(NamedTuple):
    """Of each of M pictures the two nearest others, the nearest first; distances are √Σ(x − y)² of pixels in [0, 1]."""

    rows: Tensor  # [M, 2]
    distances: Tensor  # [M, 2]

    @property
    def ratio(self) -> Tensor:
        """The distance of the nearest as a share of the second's [M]: near 1 anywhere between, 0 at a copy."""
        first, second = self.distances.T
        return torch.where(first > 0, first / second, 0.0)

    def summary(self) -> dict[str, float]:
        """The medians of distance and ratio, and the share of copies: the pictures whose ratio is under ``COPY``."""
        distance, ratio = self.distances[:, 0], self.ratio
        return {
            "distance": float(distance.median()),
            "ratio": float(ratio.median()),
            "copies": float((ratio < COPY).double().mean()),
        }


def nearest(pictures: Pictures, others: Pictures) -> Nearest:
    """The two of ``others`` nearest to each of ``pictures``, all uint8 [C, H, W].

    The others are compared in pieces, so that memory does not grow with them. RequestError for fewer than two.
    """
    if len(others) < 2:
        raise RequestError(f"The two nearest pictures are looked for among 2 or more, not {len(others)}.")
    found = [_nearest(pictures[start : start + QUERIES], others) for start in range(0, len(pictures), QUERIES)]
    return Nearest(*(torch.cat(parts) for parts in zip(*found)))


def _nearest(pictures: Pictures, others: Pictures) -> Nearest:
    x = _floats(pictures)
    best, rows = torch.zeros(len(x), 0), torch.zeros(len(x), 0, dtype=torch.long)
    step = max(1, NUMBERS // x.shape[1])
    for start in range(0, len(others), step):
        y = _floats(others[start : start + step])
        squares = y.square().sum(1) - 2 * x @ y.T  # and the square of x, which is the same for all
        places = torch.arange(start, start + len(y)).expand(len(x), -1)
        best, rows = torch.cat([best, squares], 1), torch.cat([rows, places], 1)
        best, order = best.topk(2, 1, largest=False) if best.shape[1] > 1 else best.sort(dim=1)
        rows = rows.gather(1, order)
    # Differences of large squares are rounded: what was found is measured again, so that a copy is at 0.
    distances = torch.stack([(x - _floats([others[i] for i in column])).norm(dim=1) for column in rows.T.tolist()], 1)
    distances, order = distances.double().sort(dim=1, stable=True)
    return Nearest(rows.gather(1, order), distances)


def _floats(pictures: Pictures) -> Tensor:
    """Pictures to pixels in [0, 1], [N, D]."""
    return torch.from_numpy(np.stack([*pictures])).flatten(1).float() / 255
