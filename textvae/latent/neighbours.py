"""Exact nearest neighbours among codes that pass by in pieces."""

from collections.abc import Iterable
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from textvae.errors import RequestError
from textvae.latent.bits import hamming

METRICS = ("cosine", "euclidean", "hamming")


class Neighbour(NamedTuple):
    """The number of a code, in the order in which they passed, from 0; and how near it is."""

    row: int
    score: float


def neighbours(query: Tensor, codes: Iterable[Tensor], k: int, metric: str = "cosine") -> list[Neighbour]:
    """The ``k`` codes nearest to ``query`` [Z] among pieces [N, Z], the nearest first, the earlier of two alike.

    ``cosine`` scores by the cosine, 1 at best; ``euclidean`` by the distance, 0 at best; ``hamming`` by the bits that
    differ between packed codes, uint8 [Z] of eight bits each. Only a piece and the best so far are ever held.
    """
    if metric not in METRICS:
        raise RequestError(f"There is no metric {metric!r}. Known: {', '.join(METRICS)}.")
    if k < 1:
        raise RequestError(f"k is 1 neighbour or more; {k} is too few.")
    best = torch.zeros(0, device=query.device)  # the greater the nearer, whatever the metric
    index = torch.zeros(0, dtype=torch.long, device=query.device)
    seen = 0
    for piece in codes:
        nearness = _nearness(query, piece.to(query), metric)
        better = nearness > (best[-1] if len(best) == k else -torch.inf)  # of two alike the earlier is kept
        best = torch.cat([best, nearness[better]])
        index = torch.cat([index, seen + better.nonzero()[:, 0]])
        seen += len(piece)
        best, order = best.sort(descending=True, stable=True)  # topk does not say which of two alike it takes
        best, index = best[:k], index[order[:k]]
    scores = best if metric == "cosine" else best.abs()
    return [Neighbour(*pair) for pair in zip(index.tolist(), scores.tolist())]


def _nearness(query: Tensor, piece: Tensor, metric: str) -> Tensor:
    if metric == "cosine":
        return F.normalize(piece, dim=-1) @ F.normalize(query, dim=-1)
    if metric == "hamming":
        return -torch.from_numpy(hamming(query[None].cpu().numpy(), piece.cpu().numpy())[0]).float()
    return -(piece - query).norm(dim=-1)
