"""Mixing of chains whose autocorrelation is known, and nearest pictures found the slow way."""

import numpy as np
import pytest
import torch

from textvae.errors import RequestError
from textvae.evaluation import nearest as module
from textvae.evaluation.mixing import mixing, steps_to_change, steps_to_change_of_draws
from textvae.evaluation.nearest import nearest


def autoregressive(a, steps, chains, size):
    """A stationary x_{t+1} = a x_t + noise, [T, N, D]."""
    x = torch.randn(steps, chains, size)
    for t in range(1, steps):
        x[t] = a * x[t - 1] + (1 - a**2) ** 0.5 * x[t]
    return x


@pytest.mark.parametrize("a", [0.0, 0.5, 0.9])
def test_the_autocorrelation_of_an_autoregressive_chain(a):
    found = mixing(autoregressive(a, 400, 20, 10))
    lags = torch.arange(5)
    torch.testing.assert_close(found.autocorrelation[:5], a ** lags.double(), atol=0.03, rtol=0)
    assert found.autocorrelation.shape == (201,)
    assert found.time == pytest.approx((1 + a) / (1 - a), rel=0.15)
    assert found.draws == pytest.approx(400 * 20 / found.time)


def test_the_autocorrelation_is_the_sum_that_defines_it(monkeypatch):
    monkeypatch.setattr("textvae.evaluation.mixing.NUMBERS", 100)  # in pieces
    states = torch.randint(0, 256, (9, 2, 3, 5), dtype=torch.uint8)
    x = states.double().flatten(2)
    x = x - x.mean((0, 1))
    products = torch.stack([(x[t:] * x[: len(x) - t]).sum(2).mean() for t in range(5)])
    torch.testing.assert_close(mixing(states).autocorrelation, products / products[0])


def test_chains_that_stay_where_they_are_do_not_pass_for_mixed():
    apart = torch.tensor([-1.0, 1.0])[None, :, None] + 0.1 * torch.randn(50, 2, 3)
    found = mixing(apart)
    assert found.autocorrelation[25] > 0.9
    assert found.draws < 5
    still = mixing(torch.ones(50, 2, 3))
    assert still.autocorrelation.tolist() == [1.0] * 26
    assert mixing(torch.rand(1, 2, 3)).time == 1.0


def test_steps_until_the_class_changes():
    labels = torch.tensor([[0, 1], [0, 2], [3, 2], [3, 2]])
    assert steps_to_change(labels) == 3.0  # 2 of 6 steps
    assert steps_to_change(labels[:1]) == steps_to_change(torch.zeros(5, 2)) == float("inf")
    assert steps_to_change_of_draws(torch.arange(10)) == pytest.approx(10 / 9)
    assert steps_to_change_of_draws(torch.zeros(4)) == float("inf")
    draws = torch.randint(0, 4, (2000, 3))
    assert steps_to_change(draws) == pytest.approx(steps_to_change_of_draws(draws.flatten()), rel=0.05)


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
    assert found.copies == pytest.approx(1 / 7)
    assert nearest(list(some), list(others)).rows.tolist() == found.rows.tolist()
    assert nearest(others[:1], others[[0, 0]]).copies == 1.0
    with pytest.raises(RequestError, match="2 or more"):
        nearest(some, others[:1])
