"""A model whose log p(x) is known in closed form: z ~ N(0, I), x = W z + noise."""

import math

import numpy as np
import pytest
import torch
from torch import nn
from torch.distributions import Independent, MultivariateNormal, Normal, kl_divergence

from tests.toys import Memory
from textvae.autoencoder import Autoencoder
from textvae.batching import Batch, Batches
from textvae.corruptions.base import NoCorruption
from textvae.decoders import Decoder
from textvae.encoders import Encoder
from textvae.errors import RequestError
from textvae.evaluation.bounds import evaluate
from textvae.evaluation.latent import LatentStatistics, densities
from textvae.likelihoods import Likelihood
from textvae.objectives.base import kl
from textvae.objectives.elbo import ELBO
from textvae.posteriors import Posterior
from textvae.priors.standard_normal import StandardNormal

NOISE = 0.5
W = torch.tensor([[1.0, 0.3], [-0.2, 0.8], [0.5, -0.4]])  # [D, Z]


class Same(Encoder):
    output_size = 3

    def forward(self, x):
        return x


class Exact(Posterior):
    """The true posterior of this model, as far as ``wrong`` is 0."""

    def __init__(self, wrong=0.0):
        super().__init__()
        covariance = torch.linalg.inv(torch.eye(2) + W.T @ W / NOISE**2)
        self.register_buffer("gain", covariance @ W.T / NOISE**2)
        self.register_buffer("covariance", covariance * math.exp(wrong))
        self.wrong = wrong

    def forward(self, features):
        return MultivariateNormal(features @ self.gain.T + self.wrong, self.covariance)


class Line(Decoder):
    hidden_size = 3

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(W)

    def forward(self, z, x):
        return z @ self.weight.T


class Noise(Likelihood):
    def log_prob(self, hidden, x):
        return Normal(hidden, NOISE).log_prob(x).sum(-1)


class Standard(StandardNormal):
    def forward(self):
        return MultivariateNormal(self.zero, torch.eye(2))


def model_of(posterior):
    return Autoencoder(Same(), posterior, Standard(2), Line(), Noise(), NoCorruption(), NoCorruption()).eval()


def data(n=40):
    marginal = MultivariateNormal(torch.zeros(3), W @ W.T + NOISE**2 * torch.eye(3))
    x = marginal.sample(torch.Size([n]))
    return x, marginal.log_prob(x)


def batches(x, size=7):
    return Batches(Memory(list(x.numpy())), lambda rows: torch.from_numpy(np.stack(rows)), size, shuffle=False)


def test_under_the_exact_posterior_each_elbo_is_log_p_of_x():
    x, log_px = data()
    model = model_of(Exact())
    q = model.posterior(x)
    for _ in range(3):  # whatever z is drawn: log p(x|z) + log p(z) − log q(z|x) is constant
        z = q.rsample(torch.Size([1]))
        found = model.log_px(x, z)[0].detach() + model.prior().log_prob(z)[0] - q.log_prob(z)[0]
        torch.testing.assert_close(found, log_px, atol=1e-4, rtol=1e-4)
    z = q.rsample(torch.Size([20_000]))
    elbo = model.log_px(x, z).mean(0).detach() - kl(q, model.prior())
    torch.testing.assert_close(elbo, log_px, atol=0.05, rtol=0)


def test_the_evaluation_measures_log_p_of_x():
    x, log_px = data()
    report = evaluate(model_of(Exact()), batches(x), iw_samples=5)
    assert report.nll_iw == pytest.approx(-float(log_px.mean()), abs=1e-4)
    assert report.nll_iw_stderr == pytest.approx(0.0, abs=1e-4)
    assert report.nll == pytest.approx(report.distortion + report.rate)
    assert report.nll == pytest.approx(-float(log_px.mean()), abs=0.5)
    rate = kl_divergence(model_of(Exact()).posterior(x), Standard(2)()).mean()
    assert report.rate == pytest.approx(float(rate), 1e-4)
    assert report.sentences == 40
    assert report.tokens == 120
    assert report.perplexity_iw == pytest.approx(math.exp(-float(log_px.mean()) / 3), 1e-4)
    assert report.perplexity == pytest.approx(math.exp(report.nll / 3), 1e-6)


def test_under_a_wrong_posterior_the_bounds_rise_to_log_p_of_x():
    x, log_px = data(200)
    truth = -float(log_px.mean())
    model = model_of(Exact(0.6))
    few, many = (evaluate(model, batches(x, 50), k, mutual_information=False) for k in (10, 1000))
    gap = float(kl_divergence(model.posterior(x), model_of(Exact()).posterior(x)).mean())
    assert gap > 0.5
    assert few.nll == pytest.approx(truth + gap, abs=0.3), "the gap of the ELBO is the KL to the true posterior"
    assert few.nll > few.nll_iw > many.nll_iw > truth - 3 * many.nll_iw_stderr - 1e-3
    assert many.nll_iw == pytest.approx(truth, abs=0.05)


class Narrow(Posterior):
    """The true posterior of x = S z + noise, S diagonal, with a part of its standard deviations."""

    def __init__(self, scale, part):
        super().__init__()
        self.variance = 1 / (1 + scale**2 / NOISE**2)
        self.gain, self.part = self.variance * scale / NOISE**2, part

    def forward(self, features):
        return Independent(Normal(features[:, :2] * self.gain, self.variance.sqrt() * self.part), 1)


def test_a_narrow_posterior_widened_to_the_true_one_measures_log_p_of_x():
    scale, (x, _) = torch.tensor([1.5, 0.4]), data(200)
    model = model_of(Narrow(scale, 0.5))
    with torch.no_grad():
        model.decoder.weight.copy_(torch.cat([scale.diag(), torch.zeros(1, 2)]))
    deviations = (torch.cat([scale, torch.zeros(1)]) ** 2 + NOISE**2).sqrt()
    truth = -float(Normal(0.0, deviations).log_prob(x).sum(-1).mean())
    plain, exact = (evaluate(model, batches(x, 50), 5, widen=factor) for factor in (1.0, 2.0))
    assert exact.nll_iw == pytest.approx(truth, abs=1e-4)
    assert exact.nll_iw_stderr == pytest.approx(0.0, abs=1e-4)
    assert plain.nll_iw > truth + 0.1
    assert (exact.nll, exact.rate, exact.mi) == (plain.nll, plain.rate, plain.mi), "the rest is of the posterior itself"
    assert (plain.widen, exact.widen) == (1.0, 2.0)


@pytest.mark.parametrize(
    ("posterior", "factor", "reason"),
    [
        (Exact(), 2.0, "Only a normal"),
        (Narrow(torch.ones(2), 1.0), 0.0, "over 0"),
        (Narrow(torch.ones(2), 1.0), math.inf, "over 0"),
    ],
)
def test_what_cannot_be_widened_is_refused(posterior, factor, reason):
    x, _ = data(5)
    with pytest.raises(RequestError, match=reason):
        evaluate(model_of(posterior), batches(x), 2, widen=factor)


def test_the_error_that_is_reported_is_the_error_that_is_made():
    x, _ = data(50)
    model = model_of(Exact(0.6))
    runs = [evaluate(model, batches(x, 50), 50, mutual_information=False, seed=s) for s in range(30)]
    spread = float(torch.tensor([r.nll_iw for r in runs], dtype=torch.float64).std())
    assert spread == pytest.approx(float(np.mean([r.nll_iw_stderr for r in runs])), rel=0.5)


def test_the_loss_of_the_elbo_is_its_negative():
    x, log_px = data(2000)
    with torch.no_grad():
        terms = ELBO()(model_of(Exact()), Batch(x), 0.0)
    assert float(terms.loss) == pytest.approx(-float(log_px.mean()), abs=0.1)
    assert float(terms.loss) == pytest.approx(float((terms.distortion + terms.rate).mean()), abs=1e-5)


def test_kl_in_closed_form_equals_monte_carlo():
    q = Independent(Normal(torch.randn(4, 3), torch.rand(4, 3) + 0.3), 1)
    p = Independent(Normal(torch.tensor([0.5, -1.0, 0.0]), torch.tensor([1.0, 2.0, 0.7])), 1)
    closed = kl(q, p)
    z = q.sample(torch.Size([200_000]))
    torch.testing.assert_close(closed, (q.log_prob(z) - p.log_prob(z)).mean(0), atol=0.03, rtol=0.01)
    by_hand = (torch.log(p.stddev / q.stddev) + (q.variance + (q.mean - p.mean) ** 2) / (2 * p.variance) - 0.5).sum(-1)
    torch.testing.assert_close(closed, by_hand)


def test_kl_without_a_closed_form_is_estimated_at_the_codes_given():
    q = Independent(Normal(torch.randn(4, 3), torch.rand(4, 3) + 0.3), 1)
    p = MultivariateNormal(torch.zeros(3), torch.eye(3))  # torch has no rule for this pair
    z = q.sample(torch.Size([100_000]))
    standard = Independent(Normal(torch.zeros(3), 1.0), 1)
    torch.testing.assert_close(kl(q, p, z), kl(q, standard), atol=0.05, rtol=0.01)
    assert torch.equal(kl(q, p, z[:1]), (q.log_prob(z[0]) - p.log_prob(z[0])))
    assert kl(q, p).shape == (4,)


def statistics(means, scale, batch=10):
    latent = LatentStatistics()
    for rows in means.split(batch):
        q = Independent(Normal(rows, scale), 1)
        latent.add(q, q.sample())
    return latent


def test_mutual_information_of_a_collapsed_model_is_0_and_no_unit_is_active():
    latent = statistics(torch.zeros(50, 4), 1.0)
    assert latent.mutual_information() == pytest.approx(0.0, abs=1e-4)
    assert latent.active_units() == 0


@pytest.mark.parametrize("n", [8, 37, 100])
def test_mutual_information_of_codes_far_apart_is_the_log_of_their_number(n):
    means = torch.arange(n).float()[:, None] * 10 + torch.zeros(n, 2)
    assert statistics(means, 0.1).mutual_information() == pytest.approx(math.log(n), abs=1e-4)


def test_mutual_information_of_two_clusters_is_the_log_of_two_over_the_whole_split():
    means = torch.tensor([-50.0, 50.0]).repeat(30)[:, None]
    assert statistics(means, 1.0, batch=4).mutual_information() == pytest.approx(math.log(2), abs=1e-3)


def test_active_units_are_those_whose_means_vary_by_over_a_hundredth():
    steps = torch.linspace(-1, 1, 41)
    deviation = steps / steps.std()
    stds = torch.tensor([0.0, 0.09, 0.11, 2.0])  # variances 0, 0.0081, 0.0121, 4
    means = 100 + deviation[:, None] * stds
    for batch in (1, 7, 41):
        assert statistics(means, 1.0, batch).active_units() == 2


def test_units_of_perplexity_do_not_depend_on_how_the_split_is_cut():
    x, _ = data(23)
    one, two = (evaluate(model_of(Exact()), batches(x, size), 3) for size in (23, 5))
    assert one.tokens == two.tokens == 69
    assert one.nll_iw == pytest.approx(two.nll_iw, abs=1e-4)
    assert one.rate == pytest.approx(two.rate, rel=1e-5)


def test_evaluation_leaves_the_callers_random_numbers_alone():
    x, _ = data(10)
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    evaluate(model_of(Exact()), batches(x), 3)
    assert torch.equal(torch.rand(3), expected)


def test_gradients_do_not_flow_in_an_evaluation():
    model = model_of(Exact())
    x, _ = data(5)
    seen = []
    log_prob = model.likelihood.log_prob
    model.likelihood.log_prob = lambda hidden, x: seen.append(torch.is_grad_enabled()) or log_prob(hidden, x)
    evaluate(model, batches(x), 2)
    assert seen
    assert not any(seen)


@pytest.mark.parametrize("scale", [0.01, 1.0, 20.0])
def test_densities_under_many_posteriors_are_each_ones_own(scale):
    posteriors = [Independent(Normal(30 + torch.randn(n, 5), scale * (torch.rand(n, 5) + 0.5)), 1) for n in (3, 4)]
    z = torch.cat([q.sample() for q in posteriors])
    expected = torch.cat([q.log_prob(z[:, None]) for q in posteriors], -1)
    torch.testing.assert_close(densities(posteriors)(z).float(), expected, atol=2e-3, rtol=1e-4)
    flow = MultivariateNormal(torch.zeros(4, 5), torch.eye(5))
    torch.testing.assert_close(densities([flow])(z), flow.log_prob(z[:, None]))
