"""Nearest neighbours against a sort of all distances."""

import pytest
import torch

from textvae.errors import RequestError
from textvae.latent.neighbours import neighbours


@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
@pytest.mark.parametrize("k", [1, 7, 100, 1000])
def test_pieces_give_what_a_sort_of_all_gives(metric, k):
    query, codes = torch.randn(6), torch.randn(100, 6)
    found = neighbours(query, codes.split(13), k, metric)
    near = torch.cosine_similarity(codes, query[None]) if metric == "cosine" else -(codes - query).norm(dim=1)
    order = near.argsort(descending=True)[:k]
    assert [one.row for one in found] == order.tolist()
    scores = near[order] if metric == "cosine" else -near[order]
    torch.testing.assert_close(torch.tensor([one.score for one in found]), scores)


def test_of_two_alike_the_earlier_comes_first():
    codes = torch.ones(50, 3)
    assert [one.row for one in neighbours(torch.ones(3), codes.split(4), 6)] == [0, 1, 2, 3, 4, 5]


def test_a_code_of_zeros_is_near_to_nothing():
    found = neighbours(torch.ones(3), [torch.zeros(2, 3), torch.ones(1, 3)], 3)
    assert [one.row for one in found] == [2, 0, 1]
    assert found[1].score == 0


def test_wrong_requests():
    with pytest.raises(RequestError, match="Known: cosine"):
        neighbours(torch.ones(3), [], 1, "manhattan")
    with pytest.raises(RequestError):
        neighbours(torch.ones(3), [], 0)
    assert neighbours(torch.ones(3), [], 4) == []
