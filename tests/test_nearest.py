"""The nearest pictures are those that the slow way finds, whatever the pieces."""

import numpy as np
import pytest

from textvae.errors import RequestError
from textvae.evaluation import nearest as module
from textvae.evaluation.nearest import nearest


def test_the_two_nearest_pictures_are_those_of_all_distances(monkeypatch):
    monkeypatch.setattr(module, "QUERIES", 3)
    monkeypatch.setattr(module, "NUMBERS", 60)  # pieces of five
    rng = np.random.default_rng(0)
    some, others = (rng.integers(0, 256, (n, 1, 3, 4), np.uint8) for n in (7, 23))
    some[2] = others[11]
    distances = np.sqrt(((some[:, None] / 255 - others[None] / 255) ** 2).sum((2, 3, 4)))
    found = nearest(some, others)
    order = distances.argsort(1, kind="stable")[:, :2]
    assert found.rows.tolist() == order.tolist()
    np.testing.assert_allclose(found.distances, np.take_along_axis(distances, order, 1), atol=1e-5)
    assert found.distances[2, 0] == 0.0, "a copy is at 0, whatever the rounding of large squares"
    assert found.ratio[2] == 0.0
    told = found.summary()
    assert told["copies"] == pytest.approx(1 / 7)
    assert told["distance"] == pytest.approx(np.median(distances.min(1)), abs=1e-5)
    assert told["ratio"] == pytest.approx(float(found.ratio.median()))
    assert nearest(list(some), list(others)).rows.tolist() == found.rows.tolist()
    assert nearest(others[:1], others[[0, 0]]).summary()["copies"] == 1.0
    with pytest.raises(RequestError, match="2 or more"):
        nearest(some, others[:1])
