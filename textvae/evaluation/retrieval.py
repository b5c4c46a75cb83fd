"""How well codes find documents of the same label: precision, mean average precision and the curve between them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from textvae.errors import RequestError

DISTANCES = ("cosine", "hamming")
AT_ONCE = 4_000_000  # pairs of a query and a document that are ranked together, which bounds the memory


class Point(NamedTuple):
    """The means over the queries where the first ``retrieved`` documents are taken."""

    retrieved: int
    precision: float
    recall: float


@dataclass(frozen=True)
class Retrieval:
    """What the queries found; a hit is a document of the same label."""

    precision: dict[int, float]  # the share of hits among the first k, by k
    map: float  # the mean over the queries of their average precision, over the whole ranking
    curve: list[Point]  # at 1, 3, 7, 15, … documents and all of them (Hinton & Salakhutdinov 2006, fig. 4)


@torch.no_grad()
def retrieval(
    queries: Tensor,
    query_labels: Tensor,
    database: Tensor,
    database_labels: Tensor,
    distance: str = "cosine",
    at: Sequence[int] = (1, 10, 100),
) -> Retrieval:
    """Rank codes ``database`` [M, Z] for each of ``queries`` [N, Z], the nearest first; a hit has the query's label.

    Documents at the same distance are in no order: every figure is its expectation over all orders of them
    (McSherry & Najork 2008), which is exact, depends on no order of the rows, and favours no code for its ties, of
    which Hamming distances have many. Unlabelled rows (−1) are left out; a query whose label no document has finds
    nothing, and counts as 0; of fewer than k documents the missing ones are no hits. ``hamming`` takes codes of
    zeros and ones. Raises RequestError where nothing can be measured.
    """
    if distance not in DISTANCES:
        raise RequestError(f"There is no distance {distance!r}. Known: {', '.join(DISTANCES)}.")
    if any(k < 1 for k in at):
        raise RequestError(f"Precision is measured at 1 document or more; {min(at)} is too few.")
    queries, query_labels = queries[query_labels >= 0], query_labels[query_labels >= 0]
    database, database_labels = database[database_labels >= 0], database_labels[database_labels >= 0]
    if not len(queries) or not len(database):
        raise RequestError("Retrieval is measured on queries and documents with labels, and there are none.")
    queries, database = (_comparable(codes, distance) for codes in (queries, database))
    n, m = len(queries), len(database)
    steps = sorted({2**i - 1 for i in range(1, m.bit_length())} | {m})
    ranks = torch.tensor([*(min(k, m) for k in at), *steps], device=queries.device) - 1
    found, recall = (torch.zeros(len(ranks), dtype=torch.float64, device=queries.device) for _ in range(2))
    average = 0.0
    size = max(1, AT_ONCE // m)
    for codes, labels in zip(queries.split(size), query_labels.split(size)):
        hits, precision = _ranking(codes @ database.T, labels[:, None] == database_labels)
        found += hits[:, ranks].sum(0, dtype=torch.float64)
        relevant = hits[:, -1:].clamp(min=1)
        recall += (hits[:, ranks] / relevant).sum(0, dtype=torch.float64)
        average += float((precision / relevant[:, 0]).sum())
    share = (found / n).tolist()
    curve = [Point(k, h / k, r) for k, h, r in zip(steps, share[len(at) :], (recall / n).tolist()[len(at) :])]
    return Retrieval({k: h / k for k, h in zip(at, share)}, average / n, curve)


def _comparable(codes: Tensor, distance: str) -> Tensor:
    """Codes whose inner products rise as the distance falls."""
    if distance == "cosine":
        return F.normalize(codes.float(), dim=-1)
    if not ((codes == 0) | (codes == 1)).all():
        raise RequestError("The Hamming distance is between codes of zeros and ones, and these hold other numbers.")
    return 2 * codes.float() - 1


def _ranking(nearness: Tensor, hit: Tensor) -> tuple[Tensor, Tensor]:
    """Expected hits among the first 1 … M of each query [N, M], and the sum of precisions at the hits [N].

    Where n documents tie after t others with b hits, r of the n hits: the i-th place is a hit with probability r/n,
    and then has b + (i − 1)(r − 1)/(n − 1) before it (McSherry & Najork 2008).
    """
    nearness, order = nearness.sort(descending=True)
    hit = hit.gather(1, order).float()
    first = torch.ones_like(nearness, dtype=torch.bool)
    first[:, 1:] = nearness[:, 1:] != nearness[:, :-1]
    tie = first.cumsum(1) - 1  # the number of the tie that each place belongs to
    sizes, hits = (torch.zeros_like(hit).scatter_add_(1, tie, x) for x in (torch.ones_like(hit), hit))
    n, r, t, b = (x.gather(1, tie) for x in (sizes, hits, sizes.cumsum(1) - sizes, hits.cumsum(1) - hits))
    place = torch.arange(1, hit.shape[1] + 1, device=hit.device)
    within = place - t  # i
    before = b + (within - 1) * (r - 1) / (n - 1).clamp(min=1)
    return b + within * r / n, (r / n * (before + 1) / place).sum(1, dtype=torch.float64)
