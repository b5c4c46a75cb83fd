"""Traversals: which codes they go through, and which dimensions matter."""

from types import SimpleNamespace

import pytest
import torch
from torch.distributions import Categorical, Independent, MixtureSameFamily, Normal

from textvae.errors import RequestError
from textvae.latent.traversal import quantiles, sensitivity, traversal
from textvae.supports import Support


def test_a_line_and_a_plane():
    start = torch.tensor([9.0, 8.0, 7.0])
    a, b = torch.tensor([0.0, 1.0]), torch.tensor([2.0, 3.0, 4.0])
    assert traversal(start, [1], [a]).tolist() == [[9, 0, 7], [9, 1, 7]]
    plane = traversal(start, [2, 0], [a, b])
    assert plane.shape == (2, 3, 3)
    assert plane[1].tolist() == [[2, 8, 1], [3, 8, 1], [4, 8, 1]]
    assert start.tolist() == [9, 8, 7]


@pytest.mark.parametrize(
    ("dims", "part"),
    [([], "not"), ([0, 0], "different"), ([0, 1, 2], "not"), ([3], "no dimension 3"), ([-1], "no dim")],
)
def test_dimensions_that_are_not_there(dims, part):
    with pytest.raises(RequestError, match=part):
        traversal(torch.zeros(3), dims, [torch.zeros(1)] * len(dims))


def test_quantiles_of_a_normal_prior():
    prior = Independent(Normal(torch.tensor([0.0, 5.0]), torch.tensor([1.0, 3.0])), 1)
    values = quantiles(prior, 0, 7)
    assert values[[0, 3, 6]].tolist() == pytest.approx([-2, 0, 2], abs=1e-4)
    torch.testing.assert_close(quantiles(prior, 1, 7), 5 + 3 * values)
    mass = Normal(0.0, 1.0).cdf(values).diff()
    torch.testing.assert_close(mass, mass[:1].expand(6))


def test_quantiles_of_another_prior():
    means = torch.tensor([[-4.0, 0.0], [4.0, 0.0]])
    mixture = MixtureSameFamily(Categorical(torch.ones(2)), Independent(Normal(means, torch.ones(2, 2)), 1))
    state = torch.get_rng_state()
    values = quantiles(mixture, 0, 5)
    assert values[0] == pytest.approx(-4 + Normal(0.0, 1.0).icdf(torch.tensor(2 * 0.02275)).item(), abs=0.2)
    assert abs(values[2]) < 3
    assert quantiles(mixture, 0, 5).tolist() == values.tolist()
    assert torch.equal(torch.get_rng_state(), state)


def test_sensitivity_of_a_linear_gaussian(monkeypatch):
    """At x = Wz, log p(x|z) falls by |W_d|² r² / 2σ² whichever way dimension d moves."""
    monkeypatch.setattr("textvae.latent.traversal.AT_ONCE", 2)
    w, scale, reach = torch.tensor([[3.0, 0.0], [0.0, 0.0], [1.0, 1.0]]), 0.5, 0.7

    def log_px(x, z):
        return Normal(z @ w, scale).log_prob(x).sum(-1)

    model = SimpleNamespace(log_px=log_px, prior=SimpleNamespace(support=Support.EUCLIDEAN))
    z = torch.tensor([0.3, -1.0, 2.0])
    found = sensitivity(model, z, (z @ w)[None], reach)
    torch.testing.assert_close(found, (w**2).sum(1) * reach**2 / (2 * scale**2))
