"""The importance-weighted bound and its gradients, on a model whose log p(x) is known in closed form."""

import pytest
import torch

from tests.test_linear_gaussian import Exact, Line, Noise, Same, data
from textvae.autoencoder import Autoencoder
from textvae.batching import Batch
from textvae.corruptions.base import NoCorruption
from textvae.errors import RequestError
from textvae.objectives.base import Terms
from textvae.objectives.elbo import ELBO
from textvae.objectives.iwae import IWAE, importance_weighted
from textvae.objectives.target_rate import TargetRate
from textvae.posteriors.diagonal_normal import DiagonalNormal
from textvae.priors.standard_normal import StandardNormal


def model():
    """A linear model with a posterior that is near the true one, and not it."""
    posterior, exact = DiagonalNormal(3, 2), Exact()
    with torch.no_grad():
        posterior.mean.weight.copy_(exact.gain + 0.1)
        posterior.log_variance.weight.zero_()
        posterior.log_variance.bias.copy_(exact.covariance.diagonal().log() + 0.3)
    return Autoencoder(Same(), posterior, StandardNormal(2), Line(), Noise(), NoCorruption(), NoCorruption())


def loss(objective, vae, x):
    return objective(vae, Batch(x), 1.0).loss


def gradients(objective, vae, x, part, repeats):
    """Gradients [repeats, P] of the mean loss over x, for the parameters of a part."""
    parameters = list(part.parameters())
    found = []
    for seed in range(repeats):
        torch.manual_seed(seed)
        grads = torch.autograd.grad(loss(objective, vae, x), parameters)
        found.append(torch.cat([g.flatten() for g in grads]))
    return torch.stack(found)


def test_the_bound_rises_with_the_samples_and_stays_under_log_p_of_x():
    x, log_px = data(400)
    vae = model()
    losses = []
    with torch.no_grad():
        for k in (1, 4, 64):
            losses.append(float(torch.stack([loss(IWAE(k), vae, x) for _ in range(20)]).mean()))
    assert losses[0] > losses[1] + 0.05 > losses[2] + 0.05
    assert losses[2] > -float(log_px.mean()) - 0.02


def test_of_one_sample_the_bound_is_the_elbo():
    x, _ = data(4000)
    vae = model()
    with torch.no_grad():
        one, elbo = (torch.stack([loss(o, vae, x) for _ in range(20)]).mean() for o in (IWAE(1), ELBO()))
    assert float(one) == pytest.approx(float(elbo), abs=0.02)


def powered(k, gradient, beta):
    """An objective with β in its weights."""

    def objective(vae, batch, progress):
        q, p = vae.posterior(batch.x), vae.prior()
        bound, log_px = importance_weighted(vae, batch, q, p, q.rsample((k,)), gradient, beta)
        return Terms(-bound.mean(), -log_px[0], log_px[0], beta)

    return objective


@pytest.mark.parametrize("beta", [1.0, 0.6])
@pytest.mark.parametrize("k", [2, 16])
def test_both_gradients_have_one_expectation_and_dreg_less_variance(k, beta):
    x, _ = data(32)
    vae = model()
    standard, dreg = (gradients(powered(k, g, beta), vae, x, vae.posterior_head, 600) for g in ("standard", "dreg"))
    error = ((standard.var(0) + dreg.var(0)) / len(dreg)).sqrt()
    assert ((standard.mean(0) - dreg.mean(0)).abs() < 4 * error).all()
    assert dreg.var(0).sum() < 0.7 * standard.var(0).sum()
    assert (dreg.mean(0).abs() > 4 * error).any(), "a test of gradients that are all 0 shows nothing"


def test_the_decoders_gradient_and_the_loss_are_the_same_under_both():
    x, _ = data(32)
    vae = model()
    one, two = (gradients(IWAE(5, g), vae, x, vae.decoder, 3) for g in ("standard", "dreg"))
    torch.testing.assert_close(one, two)
    values = []
    for gradient in ("standard", "dreg"):
        torch.manual_seed(0)
        values.append(loss(IWAE(5, gradient), vae, x))
    torch.testing.assert_close(*values)


@pytest.mark.parametrize("samples", [2, 5])
def test_a_target_rate_of_many_samples_is_at_a_multiplier_of_1_the_importance_weighted_bound(samples):
    x, _ = data(32)
    vae, values, slopes = model(), [], []
    for objective in (IWAE(samples, "dreg"), TargetRate(1.0, samples=samples).eval()):
        slopes.append(gradients(objective, vae, x, vae, 2))
        torch.manual_seed(0)
        values.append(loss(objective, vae, x))
    torch.testing.assert_close(*values)
    torch.testing.assert_close(*slopes)


@pytest.mark.parametrize("gradient", ["standard", "dreg"])
def test_of_one_code_a_power_of_the_weights_is_the_loss_of_a_beta_vae(gradient):
    x, _ = data(32)
    vae = model()
    q, p = vae.posterior(x), vae.prior()
    z = q.rsample((1,))
    bound, log_px = importance_weighted(vae, Batch(x), q, p, z, gradient, 0.3)
    torch.testing.assert_close(bound, (log_px + 0.3 * (p.log_prob(z) - q.log_prob(z)))[0])


def test_no_sample_and_dreg_without_a_normal_posterior_are_refused():
    with pytest.raises(RequestError, match="1 sample"):
        IWAE(0)
    vae = model()
    vae.posterior_head = torch.nn.Module()
    vae.posterior_head.forward = lambda features: torch.distributions.MultivariateNormal(features[:, :2], torch.eye(2))
    vae.encoder.output_size = 3
    IWAE(5).attach(vae)
    with pytest.raises(RequestError, match="diagonal_normal"):
        IWAE(5, "dreg").attach(vae)
