"""Mixing of chains whose autocorrelation is known."""

import pytest
import torch

from textvae.evaluation.mixing import mixing, steps_to_change, steps_to_change_of_draws


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
