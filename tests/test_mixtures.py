"""A mixture on pixels is a density of all of them, whatever the components that it is written in."""

import math

import numpy as np
import pytest
import torch
from torch.distributions import MultivariateNormal

from textvae.errors import RequestError
from textvae.evaluation.mixtures import PixelMixture, fit_mixture

pytest.importorskip("sklearn", reason="scikit-learn is not installed")


def pictures(n=400):
    """Two groups of pictures [N, 1, 2, 3], of six correlated pixels."""
    torch.manual_seed(1)
    mix = torch.randn(6, 6) * torch.tensor([2.0, 1.0, 0.5, 0.1, 0.1, 0.1])[:, None]
    x = torch.randn(n, 6) @ mix + torch.where(torch.arange(n) % 2 == 0, 4.0, -4.0)[:, None]
    return x.view(n, 1, 2, 3)


def dense(found):
    """The same density, as a list of weights and of normal distributions of all pixels."""
    mean, directions = (part.double() for part in found.components)
    left = torch.eye(6, dtype=torch.float64) - directions.T @ directions
    parts = []
    for weight, centre, covariance in zip(found.mixture.weights_, found.mixture.means_, found.mixture.covariances_):
        whole = directions.T @ torch.from_numpy(covariance) @ directions + found.scale**2 * left
        at = mean + torch.from_numpy(centre) @ directions
        parts.append((math.log(weight), MultivariateNormal(at, whole)))
    return parts


@pytest.mark.parametrize(("count", "size"), [(1, 2), (2, 3), (3, 5), (1, 6)])
def test_log_p_is_that_of_the_dense_mixture(count, size):
    x = pictures()
    found = PixelMixture.fit(x, count, size)
    flat = x.flatten(1).double()
    expected = torch.stack([weight + normal.log_prob(flat) for weight, normal in dense(found)]).logsumexp(0)
    torch.testing.assert_close(found.log_prob(x), expected, atol=1e-4, rtol=1e-5)


def test_one_gaussian_is_probabilistic_pca():
    x = pictures()
    found = PixelMixture.fit(x, 1, 2)
    flat = x.flatten(1).double()
    values = np.linalg.eigvalsh(np.cov(flat.numpy().T, bias=True))[::-1]
    assert found.scale**2 == pytest.approx(values[2:].mean(), rel=1e-4)
    d, variances = 6, [*values[:2], *[values[2:].mean()] * 4]
    best = -0.5 * (d * math.log(2 * math.pi) + sum(map(math.log, variances)) + d)  # Tipping & Bishop 1999, eq. 5
    assert float(found.log_prob(x).mean()) == pytest.approx(best, rel=1e-3)


def test_more_gaussians_fit_two_groups_and_draws_come_from_them():
    x = pictures()
    one, two = (PixelMixture.fit(x, count, 3) for count in (1, 2))
    assert two.log_prob(x).mean() > one.log_prob(x).mean() + 0.1
    drawn = two.sample(500)
    assert drawn.shape == (500, 6)
    torch.testing.assert_close(drawn.mean(0), x.flatten(1).mean(0), atol=0.9, rtol=0)
    assert drawn[:20].mean(1).sign().unique().numel() == 2, "in no order of the Gaussians"


def test_what_is_no_mixture():
    with pytest.raises(RequestError, match="1 to 5"):
        fit_mixture(torch.randn(5, 2), 6, "full")
    with pytest.raises(RequestError, match="components"):
        PixelMixture.fit(pictures(), 1, 7)
