"""Posteriors at values known otherwise: closed forms, scipy, numerical integrals and autograd."""

import math

import numpy as np
import pytest
import torch
from scipy.special import ive
from torch.distributions import Independent, Normal, kl_divergence

from tests.toys import batch_of, batches_of, shaken, vae_of
from textvae.bessel import log_bessel
from textvae.errors import RequestError
from textvae.evaluation.bounds import evaluate
from textvae.evaluation.latent import LatentStatistics
from textvae.objectives.base import kl
from textvae.posteriors.batch_norm import BatchNormNormal
from textvae.posteriors.iaf import InverseAutoregressiveFlow
from textvae.posteriors.made import MADE
from textvae.posteriors.von_mises_fisher import VonMisesFisher, VonMisesFisherPosterior
from textvae.priors.standard_normal import StandardNormal
from textvae.priors.uniform_sphere import UniformOnSphere

K = torch.Size


# Batch norm


@pytest.mark.parametrize(("gamma", "size"), [(0.6, 32), (0.3, 2), (1.5, 7)])
def test_batch_norm_keeps_the_kl_above_the_papers_bound(gamma, size):
    head = shaken(BatchNormNormal(5, size, gamma)).train()
    features = torch.randn(40, 5)
    with torch.no_grad():  # the least KL: unit variances
        head.log_variance.weight.zero_()
        head.log_variance.bias.zero_()
    q = head(features)
    torch.testing.assert_close(q.mean.mean(0), head.norm.shift, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(q.mean.std(0, correction=0), torch.full((size,), gamma), atol=1e-4, rtol=1e-4)
    bound = float((gamma**2 + head.norm.shift.detach() ** 2).sum()) / 2
    assert bound >= size * gamma**2 / 2
    assert float(kl(q, StandardNormal(size)()).detach().mean()) == pytest.approx(bound, rel=1e-4)
    with torch.no_grad():
        head.log_variance.bias.fill_(-1.0)
    assert float(kl(head(features), StandardNormal(size)()).detach().mean()) > bound


def test_the_recipe_begins_at_its_bound_even_with_features_that_hardly_differ():
    head = BatchNormNormal(4, 32, 0.6).train()
    q = head(torch.ones(64, 4) + 0.01 * torch.randn(64, 4))
    assert float(kl(q, StandardNormal(32)()).detach().mean()) >= 5.75


def test_in_evaluation_the_bound_holds_after_a_single_batch():
    head, features = BatchNormNormal(4, 32, 0.6), torch.ones(64, 4) + 1e-2 * torch.randn(64, 4)
    head.train()(features)
    assert float(kl(head.eval()(features), StandardNormal(32)()).detach().mean()) >= 5.75


def test_batch_norm_measures_with_running_figures_in_evaluation_and_for_a_single_example():
    head, features = BatchNormNormal(5, 3), torch.randn(64, 5) + 2
    for _ in range(200):
        head.train()(features)
    torch.testing.assert_close(head.eval()(features).mean, head.train()(features).mean, atol=0.02, rtol=0.02)
    one = head.eval()(features[:1]).mean
    torch.testing.assert_close(head.train()(features[:1]).mean, one)
    torch.testing.assert_close(head.eval()(features).mean[:1], one)
    assert set(dict(head.norm.named_parameters())) == {"shift"}, "the scale is fixed"


# Inverse autoregressive flow


@pytest.mark.parametrize(("size", "hidden"), [(1, 4), (2, 8), (5, 32), (6, 3)])
def test_a_dimension_of_made_depends_on_those_before_it_and_on_the_context(size, hidden):
    made = shaken(MADE(size, hidden, 3))
    features = torch.randn(3)
    z = torch.randn(size)
    jacobian = torch.autograd.functional.jacobian(lambda z: made(z, made.context(features))[0], z)
    assert torch.equal(jacobian, jacobian.tril())
    assert (jacobian.diagonal() > 0).all()
    if hidden >= 2 * size:
        assert (jacobian.tril(-1) != 0).sum() == size * (size - 1) / 2
        by_context = torch.autograd.functional.jacobian(lambda h: made(z, made.context(h))[0], features)
        assert (by_context != 0).all()
    torch.testing.assert_close(jacobian.diagonal().log().sum(), made(z, made.context(features))[1])


@pytest.mark.parametrize("flows", [1, 2, 3])
def test_log_q_of_a_flow_is_that_of_its_base_less_the_log_determinant(flows):
    head = shaken(InverseAutoregressiveFlow(3, 4, flows, hidden_size=16), 0.3)
    q = head(torch.randn(1, 3))
    e = q.base.rsample()
    z, log_det = q._push(e)
    jacobian = torch.autograd.functional.jacobian(lambda e: q._push(e)[0][0], e)[:, 0]
    torch.testing.assert_close(log_det[0], torch.linalg.slogdet(jacobian)[1], atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(q.log_prob(z), q.base.log_prob(e) - log_det, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(q._pull(z)[0], e, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("size", [1, 2])
def test_the_density_of_a_flow_integrates_to_1(size):
    q = shaken(InverseAutoregressiveFlow(3, size, 2, hidden_size=8), 0.5)(torch.randn(1, 3))
    n = 401 if size == 2 else 4001
    z = q.sample(K([5000]))[:, 0]
    edges = [torch.linspace(float(c.min()) - 3, float(c.max()) + 3, n) for c in z.T]
    grid = torch.cartesian_prod(*edges).view(-1, 1, size)
    cell = math.prod(float(e[1] - e[0]) for e in edges)
    assert float(q.log_prob(grid).exp().sum().detach() * cell) == pytest.approx(1.0, abs=0.01)


def test_log_q_of_its_own_codes_is_kept_and_equals_that_of_the_same_codes_from_elsewhere():
    q = shaken(InverseAutoregressiveFlow(3, 4, 2, hidden_size=16), 0.3)(torch.randn(6, 3))
    for z in (q.rsample(K([5])), q.sample(K([5])), q.rsample()):
        kept = q.log_prob(z)
        assert kept.shape == z.shape[:-1]
        torch.testing.assert_close(kept, q.log_prob(z.clone()), atol=1e-4, rtol=1e-4)
    every = q.log_prob(z[:, None])  # each code under each posterior
    assert every.shape == (6, 6)
    torch.testing.assert_close(every.diagonal(), kept, atol=1e-4, rtol=1e-4)


def test_the_kl_of_a_flow_is_estimated_over_k_codes_with_gradients_for_every_weight():
    head = InverseAutoregressiveFlow(3, 4, 2, hidden_size=16)
    q, p = head(torch.randn(6, 3)), StandardNormal(4)()
    rate = kl(q, p, q.rsample(K([7])))
    assert rate.shape == (6,)
    rate.sum().backward()
    assert all(w.grad is not None and w.grad.isfinite().all() for w in head.parameters())
    assert float(head.flows[0].outputs.weight.grad.abs().sum()) > 0
    with torch.no_grad():
        assert float(kl(q, p, q.sample(K([4000]))).min()) > 0


def test_a_flow_whose_gates_are_shut_is_its_base():
    head = InverseAutoregressiveFlow(3, 4, 1, hidden_size=16)
    with torch.no_grad():
        head.flows[0].outputs.weight.zero_()
        head.flows[0].outputs.bias[:4] = 0.0
        head.flows[0].outputs.bias[4:] = 30.0
    q = head(torch.randn(6, 3))
    torch.testing.assert_close(q.mean, q.base.mean.flip(-1))
    z = torch.randn(6, 4)
    torch.testing.assert_close(q.log_prob(z), q.base.log_prob(z.flip(-1)), atol=1e-5, rtol=1e-5)


def test_mutual_information_of_posteriors_that_are_all_one_flow_is_0():
    head, latent = shaken(InverseAutoregressiveFlow(3, 4, 2, hidden_size=16), 0.3), LatentStatistics()
    with torch.no_grad():
        for _ in range(3):
            q = head(torch.ones(8, 3))
            latent.add(q, q.sample())
        assert latent.mutual_information() == pytest.approx(0.0, abs=1e-3)
    assert latent.active_units() == 0


# Von Mises–Fisher


def test_the_bessel_function_is_that_of_scipy():
    x = np.array([0.1, 0.5, 1.0, 3.0, 10.0, 35.0, 80.0, 200.0, 1000.0])
    for size in range(2, 201):
        log_i, ratio = log_bessel(size / 2 - 1, torch.from_numpy(x))
        with np.errstate(divide="ignore", invalid="ignore"):
            expected = np.log(ive(size / 2 - 1, x)) + x
            quotient = ive(size / 2, x) / ive(size / 2 - 1, x)
        there = np.isfinite(expected)  # scipy underflows where the order is large and x small
        np.testing.assert_allclose(log_i.numpy()[there], expected[there], atol=2e-8)
        there = np.isfinite(quotient) & (ive(size / 2, x) > 1e-290)
        np.testing.assert_allclose(ratio.numpy()[there], quotient[there], rtol=1e-7)


def test_the_bessel_function_of_order_a_half_is_elementary():
    x = torch.tensor([1e-6, 0.01, 2.0, 50.0, 1e5], dtype=torch.float64)
    expected = 0.5 * (2 / (math.pi * x)).log() + torch.log((1 - (-2 * x).exp()) / 2) + x
    torch.testing.assert_close(log_bessel(0.5, x)[0], expected, atol=1e-7, rtol=1e-9)


def vmf(size, kappa, n=1):
    return VonMisesFisher(torch.eye(size)[:1].expand(n, size), torch.tensor(float(kappa)))


@pytest.mark.parametrize("size", [2, 3, 10])
@pytest.mark.parametrize("kappa", [0.1, 4.0, 300.0])
def test_the_density_on_the_sphere_integrates_to_1_and_its_kl_is_the_integral(size, kappa):
    theta = torch.linspace(0, math.pi, 200_001, dtype=torch.float64)
    rings = torch.zeros(len(theta), size, dtype=torch.float64)  # of points at the angle theta from the mean
    rings[:, 0], rings[:, 1] = theta.cos(), theta.sin()
    area = math.log(2) + (size - 1) / 2 * math.log(math.pi) - math.lgamma((size - 1) / 2)  # of S^(Z−2)
    q, p = vmf(size, kappa), UniformOnSphere(torch.zeros(size))
    log_q = q.log_prob(rings)
    density = (log_q + area).exp() * theta.sin() ** (size - 2)
    assert float(torch.trapezoid(density, theta)) == pytest.approx(1.0, abs=1e-4)
    divergence = torch.trapezoid(density * (log_q - p.log_prob(rings)), theta)
    assert float(kl_divergence(q, p)[0]) == pytest.approx(float(divergence), abs=2e-4)


@pytest.mark.parametrize("size", [2, 3, 32])
@pytest.mark.parametrize("kappa", [0.1, 5.0, 100.0])
def test_draws_have_length_1_and_the_mean_and_spread_of_the_distribution(size, kappa):
    q = vmf(size, kappa)
    z = q.sample(K([20_000]))[:, 0]
    torch.testing.assert_close(z.norm(dim=-1), torch.ones(len(z)), atol=1e-5, rtol=0)
    mean = float(q.resultant)
    spread = math.sqrt(max(1 - mean**2 - (size - 1) / kappa * mean, 0))
    assert float(z[:, 0].mean()) == pytest.approx(mean, abs=4 * spread / 140 + 1e-4)
    assert float(z[:, 0].std()) == pytest.approx(spread, rel=0.05)
    assert z[:, 1:].mean(0).abs().max() < 0.05
    p = UniformOnSphere(torch.zeros(size))
    closed, estimate = float(kl(q, p)[0]), float((q.log_prob(z[:, None]) - p.log_prob(z[:, None])).mean())
    assert closed == pytest.approx(estimate, abs=0.05)


@pytest.mark.parametrize("size", [2, 3, 16])
@pytest.mark.parametrize("kappa", [0.5, 20.0])
def test_pathwise_gradients_are_those_of_the_expectation(size, kappa):
    k = torch.full((1,), kappa, dtype=torch.float64, requires_grad=True)
    mu = torch.zeros(1, size, dtype=torch.float64)
    mu[0, 0] = 1.0
    mu.requires_grad_()
    z = VonMisesFisher(mu, k).rsample(K([40_000]))
    by_kappa, by_mu = torch.autograd.grad(z[..., 0].mean(), (k, mu), retain_graph=True)
    a = float(vmf(size, kappa).resultant)
    slope = 1 - a * a - (size - 1) / kappa * a  # A'(κ)
    assert float(by_kappa) == pytest.approx(slope, rel=0.05)
    (by_mu,) = torch.autograd.grad(z[..., 1].mean(), mu)  # turning μ turns the expectation A(κ) μ
    assert float(by_mu[0, 1]) == pytest.approx(a, abs=0.03)


def test_the_log_density_has_the_right_gradient_in_kappa():
    k = torch.tensor(7.0, dtype=torch.float64, requires_grad=True)
    mu = torch.eye(5).double()[:1]
    assert torch.autograd.gradcheck(lambda k: VonMisesFisher(mu, k).log_prob(mu), k, atol=1e-5)
    p = UniformOnSphere(torch.zeros(5))
    assert torch.autograd.gradcheck(lambda k: kl_divergence(VonMisesFisher(mu, k), p), k, atol=1e-5)


def test_a_learned_concentration_starts_near_the_one_given_and_is_trained():
    head = VonMisesFisherPosterior(6, 4, kappa=20.0, learned=True)
    q = head(0.1 * torch.randn(50, 6))
    assert float(q.concentration.detach().mean()) == pytest.approx(20.0, rel=0.4)
    (q.rsample(K([1]))[..., 0].sum() + kl(q, UniformOnSphere(torch.zeros(4))).sum()).backward()
    assert float(head.concentration.weight.grad.abs().sum()) > 0
    fixed = VonMisesFisherPosterior(6, 4, kappa=20.0)(torch.randn(50, 6))
    assert kl(fixed, UniformOnSphere(torch.zeros(4))).unique().numel() == 1


def test_a_draw_of_a_concentration_that_is_not_finite_ends():
    assert vmf(4, math.nan).sample().isnan().any()


@pytest.mark.parametrize("path", ["linear", "slerp"])
def test_what_reaches_the_decoder_is_on_the_sphere(path, monkeypatch):
    vae = vae_of("sentences/vmf")
    seen = []
    start = vae.model.decoder.start
    monkeypatch.setattr(vae.model.decoder, "start", lambda z: seen.append(z) or start(z))
    vae.interpolate("a dog ran", "birds sing", path=path)
    vae.sample(3)
    vae.reconstruct(["rain"], samples=2)
    vae.decode(torch.full((2, 3), 7.0))
    for z in seen:
        torch.testing.assert_close(z.norm(dim=-1), torch.ones(len(z)), atol=1e-5, rtol=0)


# All of them

POSTERIOR_RECIPES = ["bn_vae", "iaf", "vmf"]


@pytest.mark.parametrize("recipe", POSTERIOR_RECIPES)
def test_rate_and_mutual_information_are_those_of_the_posteriors(recipe):
    vae = vae_of(f"sentences/{recipe}")
    report = evaluate(vae.model, batches_of(vae, shuffle=False), 20)
    with torch.no_grad():
        q, p = vae.model.eval().posterior(batch_of(vae)), vae.model.prior()
        z = q.sample(K([4000]))
        many = (q.log_prob(z) - p.log_prob(z)).mean(0)
    assert (many > -0.05).all()
    assert report.rate == pytest.approx(float(many.mean()), abs=1.5)
    assert 0 <= report.mi <= math.log(16) + 1e-6
    assert report.nll >= report.nll_iw - 3 * report.nll_iw_stderr - 1.5


def test_the_density_of_a_bn_posterior_is_normal():
    q = BatchNormNormal(3, 2).eval()(torch.randn(4, 3))
    assert isinstance(q, Independent)
    assert isinstance(q.base_dist, Normal)


@pytest.mark.parametrize(
    ("posterior", "options", "size"),
    [
        ("batch_norm", {"gamma": 0}, 3),
        ("batch_norm", {"gamma": float("nan")}, 3),
        ("batch_norm", {}, 0),
        ("iaf", {"flows": 0}, 3),
        ("iaf", {"hidden_size": 0}, 3),
        ("iaf", {}, 0),
        ("von_mises_fisher", {"kappa": 0}, 3),
        ("von_mises_fisher", {"kappa": -3.0}, 3),
        ("von_mises_fisher", {"kappa": 1e9}, 3),
        ("von_mises_fisher", {}, 1),
    ],
)
def test_a_posterior_that_makes_no_sense_is_refused(posterior, options, size):
    given = {f"model.posterior.{k}": v for k, v in options.items()}
    with pytest.raises(RequestError):
        vae_of("sentences/lstm", {"model.posterior.name": posterior, "model.latent_size": size, **given})


def test_a_target_rate_refuses_a_posterior_whose_rate_is_fixed():
    from textvae.assembly import build_objective
    from textvae.settings import Part

    for learned in (False, True):
        vae = vae_of("sentences/vmf", {"model.posterior.learned": learned})
        objective = build_objective(Part(name="target_rate", rate=3.0))
        if learned:
            objective.attach(vae.model)
        else:
            with pytest.raises(RequestError, match="learned"):
                objective.attach(vae.model)
