"""Retrieval against cases worked by hand, and against all orders of tied documents, one by one."""

import itertools

import pytest
import torch

from textvae.errors import RequestError
from textvae.evaluation import retrieval as module
from textvae.evaluation.retrieval import retrieval


def slow(queries, query_labels, database, database_labels, near, at):
    """P@k and mAP, each tie taken in every order that there is."""
    precision, average = dict.fromkeys(at, 0.0), 0.0
    for q, label in zip(queries, query_labels.tolist()):
        score = [near(q, d) for d in database]
        levels = sorted(set(score), reverse=True)
        ties = [[j for j, s in enumerate(score) if s == level] for level in levels]
        orders = list(itertools.product(*(itertools.permutations(tie) for tie in ties)))
        for order in orders:
            hits = [int(database_labels[j]) == label for tie in order for j in tie]
            for k in at:
                precision[k] += sum(hits[:k]) / k / len(orders)
            found = [sum(hits[: i + 1]) / (i + 1) for i, hit in enumerate(hits) if hit]
            average += sum(found) / max(1, sum(hits)) / len(orders)
    return {k: p / len(queries) for k, p in precision.items()}, average / len(queries)


def test_a_case_worked_by_hand():
    database = torch.tensor([[1.0, 0.0], [1.0, 0.2], [0.0, 1.0], [-1.0, 0.1]])
    found = retrieval(
        torch.tensor([[2.0, 0.1], [0.1, 5.0]]), torch.tensor([0, 1]), database, torch.tensor([0, 1, 1, 0]), at=(1, 2, 8)
    )  # the rankings are 0 1 2 3 and 2 1 3 0 (cosines .02 .21 1 .08 and lower), hits ✓ ✗ ✗ ✓ and ✓ ✓ ✗ ✗
    assert found.precision == pytest.approx({1: 1.0, 2: 0.75, 8: 0.25})
    assert found.map == pytest.approx(((1 + 2 / 4) / 2 + 1) / 2)
    assert [point.retrieved for point in found.curve] == [1, 3, 4]
    assert [point.precision for point in found.curve] == pytest.approx([1, 0.5, 0.5])
    assert [point.recall for point in found.curve] == pytest.approx([0.5, 0.75, 1.0])


def test_documents_at_the_same_distance_count_by_their_share():
    code = torch.zeros(1, 4)
    found = retrieval(code, torch.tensor([1]), code.repeat(4, 1), torch.tensor([1, 0, 0, 0]), "hamming", (1, 2))
    assert found.precision == pytest.approx({1: 0.25, 2: 0.25})
    assert found.map == pytest.approx((1 + 1 / 2 + 1 / 3 + 1 / 4) / 4)


@pytest.mark.parametrize("distance", ["cosine", "hamming"])
def test_a_slow_reference_that_tries_every_order_agrees(distance, monkeypatch):
    monkeypatch.setattr(module, "AT_ONCE", 14)  # two queries at a time
    if distance == "hamming":
        draw, near = (lambda n: torch.randint(0, 2, (n, 3))), lambda q, d: -int((q != d).sum())
    else:
        draw = lambda n: torch.randn(n, 2)  # noqa: E731
        near = lambda q, d: float(torch.cosine_similarity(q, d, dim=0))  # noqa: E731
    queries, database = draw(9), draw(7)
    labels, others = torch.randint(0, 3, (9,)), torch.randint(0, 3, (7,))
    found = retrieval(queries, labels, database, others, distance, (1, 3, 5))
    precision, average = slow(queries, labels, database, others, near, (1, 3, 5))
    assert found.precision == pytest.approx(precision)
    assert found.map == pytest.approx(average)


def test_the_order_of_the_rows_changes_nothing():
    codes, labels = torch.randint(0, 2, (200, 6)), torch.randint(0, 4, (200,))
    order = torch.randperm(200)
    one = retrieval(codes, labels, codes, labels, "hamming")
    two = retrieval(codes, labels, codes[order], labels[order], "hamming")
    assert one.precision == pytest.approx(two.precision)
    assert one.map == pytest.approx(two.map)


def test_unlabelled_rows_are_left_out_and_a_label_that_nothing_has_finds_nothing():
    codes, labels = torch.randn(20, 3), torch.arange(20) % 2
    plain = retrieval(codes, labels, codes, labels)
    more = torch.cat([codes, torch.randn(5, 3)])
    unlabelled = torch.cat([labels, torch.full((5,), -1)])
    assert retrieval(more, unlabelled, more, unlabelled) == plain
    unseen = torch.cat([labels, torch.full((20,), 7)])
    assert retrieval(codes.repeat(2, 1), unseen, codes, labels).map == pytest.approx(plain.map / 2)


def test_wrong_requests():
    codes, labels = torch.randn(4, 3), torch.zeros(4, dtype=torch.long)
    with pytest.raises(RequestError, match="Known: cosine, hamming"):
        retrieval(codes, labels, codes, labels, "manhattan")
    with pytest.raises(RequestError, match="zeros and ones"):
        retrieval(codes, labels, codes, labels, "hamming")
    with pytest.raises(RequestError, match="1 document"):
        retrieval(codes, labels, codes, labels, at=(0,))
    with pytest.raises(RequestError, match="there are none"):
        retrieval(codes, labels - 1, codes, labels)
