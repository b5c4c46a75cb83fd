"""Priors at values worked out by hand, which go with which posterior, and the VampPrior's link to the model."""

import copy
import math

import pytest
import torch
from torch.distributions import Normal

from tests.toys import batch_of, batches_of, equal, settings_of, vae_of
from textvae import tensors
from textvae.assembly import build_objective
from textvae.errors import RequestError
from textvae.evaluation.bounds import evaluate
from textvae.objectives.base import kl
from textvae.posteriors.diagonal_normal import DiagonalNormal
from textvae.priors.mixture import Mixture
from textvae.priors.uniform_sphere import UniformOnSphere
from textvae.priors.vamp import VampPrior
from textvae.settings import Part
from textvae.text_vae import TextVAE

K = torch.Size
RECIPES = ["mixture_prior", "vamp", "vmf"]


def test_the_mixture_has_the_density_of_its_components():
    prior = Mixture(1, 2)
    with torch.no_grad():
        prior.logits.copy_(torch.tensor([0.25, 0.75]).log() + 3)
        prior.mean.copy_(torch.tensor([[-2.0], [1.0]]))
        prior.log_variance.copy_(torch.tensor([[0.0], [1.0]]))
    z = torch.linspace(-5, 5, 11)[:, None]
    one, two = Normal(-2.0, 1.0).log_prob(z).exp(), Normal(1.0, math.exp(0.5)).log_prob(z).exp()
    torch.testing.assert_close(prior().log_prob(z).exp(), (0.25 * one + 0.75 * two)[:, 0])
    draws = prior().sample(K([20_000]))
    assert draws.shape == (20_000, 1)
    assert float(draws.mean()) == pytest.approx(0.25 * -2 + 0.75, abs=0.05)


def test_a_mixture_of_one_standard_normal_is_one():
    prior = Mixture(3, 1)
    with torch.no_grad():
        prior.mean.zero_()
    q = DiagonalNormal(4, 3)(torch.randn(5, 4))
    z = q.sample(K([50_000]))
    closed = kl(q, vae_of("sentences/free_bits").model.prior())
    torch.testing.assert_close(kl(q, prior(), z), closed, atol=0.05, rtol=0.05)


def test_the_vamp_prior_is_the_mixture_of_the_posteriors_at_its_pseudo_inputs():
    head = DiagonalNormal(4, 3)
    prior = VampPrior(head, 4, 6)
    z = torch.randn(7, 2, 3)
    q = head(prior.features)
    each = q.log_prob(z[..., None, :])  # [7, 2, 6]
    torch.testing.assert_close(prior().log_prob(z), each.logsumexp(-1) - math.log(6))
    prior().log_prob(z).sum().backward()
    assert float(head.mean.weight.grad.abs().sum()) > 0, "the head is trained through the prior too"
    assert float(prior.features.grad.abs().sum()) > 0


def test_the_vamp_prior_at_the_data_is_the_aggregate_posterior_which_no_code_is_far_from():
    vae = vae_of("sentences/vamp", {"model.prior.pseudo_inputs": 16})
    model = vae.model.eval()
    x = batch_of(vae)
    with torch.no_grad():
        model.prior.features.copy_(model.encoder(x))
    report = evaluate(model, batches_of(vae, shuffle=False), 0)
    # Against the aggregate posterior the rate is the mutual information (Hoffman & Johnson 2016).
    assert report.rate == pytest.approx(report.mi, abs=1e-4)


def test_the_head_belongs_to_the_model_alone(tmp_path):
    vae = vae_of("sentences/vamp")
    model = vae.model
    assert not any(key.startswith("prior.") and "_head" in key for key in model.state_dict())
    assert {key for key in model.state_dict() if key.startswith("prior.")} == {"prior.logits", "prior.features"}
    assert len(tensors.aliases(model)) - len(set(tensors.aliases(model).values())) == 1  # the tied embedding
    vae.save_pretrained(tmp_path / "model")
    back = TextVAE.from_pretrained(tmp_path / "model").model
    z = torch.randn(3, vae.settings.model.latent_size)
    for copied in (back, copy.deepcopy(model)):
        assert copied.prior._head[0] is copied.posterior_head
        assert copied.posterior_head is not model.posterior_head
        torch.testing.assert_close(copied.prior().log_prob(z), model.prior().log_prob(z))
    tensors.copy_into(back, {k: torch.zeros_like(t) for k, t in tensors.state(back).items()})
    torch.testing.assert_close(back.prior().log_prob(z), vae_of("sentences/free_bits").model.prior().log_prob(z))


@pytest.mark.parametrize("posterior", ["diagonal_normal", "iaf", "von_mises_fisher"])
def test_the_vamp_prior_is_made_of_whatever_the_posterior_is(posterior):
    vae = vae_of("sentences/vamp", {"model.posterior.name": posterior})
    p = vae.model.prior()
    z = p.sample(K([4]))
    assert z.shape == (4, 3)
    assert p.log_prob(z).isfinite().all()
    assert vae.model.prior.support is vae.model.posterior_head.support
    assert len(vae.sample(2)) == 2
    report = evaluate(vae.model, batches_of(vae, shuffle=False), 4)
    assert math.isfinite(report.nll_iw)


@pytest.mark.parametrize("size", [2, 3, 8])
def test_the_uniform_prior_is_uniform_on_the_sphere(size):
    p = UniformOnSphere(torch.zeros(size))
    z = p.sample(K([20_000]))
    torch.testing.assert_close(z.norm(dim=-1), torch.ones(len(z)))
    assert z.mean(0).abs().max() < 0.03
    torch.testing.assert_close(z.var(0), torch.full((size,), 1 / size), atol=0.02, rtol=0.05)
    area = {2: 2 * math.pi, 3: 4 * math.pi, 8: math.pi**4 / 3}[size]
    torch.testing.assert_close(p.log_prob(z[:2]), torch.full((2,), -math.log(area)))


@pytest.mark.parametrize("recipe", RECIPES)
def test_the_elbo_is_under_the_importance_weighted_bound_and_the_rate_over_0(recipe):
    vae = vae_of(f"sentences/{recipe}")
    reports = [evaluate(vae.model, batches_of(vae, shuffle=False), 50, seed=s) for s in range(8)]
    nll, iw, rate = (sum(getattr(r, key) for r in reports) / 8 for key in ("nll", "nll_iw", "rate"))
    assert iw <= nll + 0.3
    assert rate > -0.1
    with torch.no_grad():
        q, p = vae.model.eval().posterior(batch_of(vae)), vae.model.prior()
        z = q.sample(K([3000]))
        many = (q.log_prob(z) - p.log_prob(z)).mean(0)
    assert (many > -0.05).all()
    assert rate == pytest.approx(float(many.mean()), abs=0.5)


@pytest.mark.parametrize(
    ("posterior", "prior"),
    [
        ("von_mises_fisher", "standard_normal"),
        ("von_mises_fisher", "mixture"),
        ("diagonal_normal", "uniform_sphere"),
        ("iaf", "uniform_sphere"),
        ("batch_norm", "uniform_sphere"),
    ],
)
def test_codes_from_different_sets_are_refused_with_the_reason(posterior, prior):
    names = {"model.posterior.name": posterior, "model.prior.name": prior}
    with pytest.raises(RequestError, match=r"sphere in R\^Z.*there is no KL between them.*Priors for this posterior"):
        vae_of("sentences/free_bits", names)


def test_batch_norm_under_a_vamp_prior_is_refused_with_the_reason():
    with pytest.raises(RequestError, match="pseudo-inputs as if they were data"):
        vae_of("sentences/vamp", {"model.posterior.name": "batch_norm"})


@pytest.mark.parametrize("recipe", ["vmf", "iaf", "mixture_prior", "vamp"])
@pytest.mark.parametrize(
    ("name", "options"),
    [("free_bits", {}), ("free_bits", {"per": "example"}), ("target_rate", {"method": "minimum"})],
)
def test_a_floor_on_each_dimension_is_refused_where_dimensions_have_no_kl(recipe, name, options):
    objective = build_objective(Part(name=name, **options))
    with pytest.raises(RequestError, match="KL of each dimension"):
        objective.attach(vae_of(f"sentences/{recipe}").model)
    build_objective(Part(name="free_bits", per="batch")).attach(vae_of(f"sentences/{recipe}").model)
    objective.attach(vae_of("sentences/bn_vae").model)


@pytest.mark.parametrize(
    ("prior", "options"),
    [("mixture", {"components": 0}), ("mixture", {"components": 10**9}), ("vamp", {"pseudo_inputs": -1})],
)
def test_a_prior_that_makes_no_sense_is_refused(prior, options):
    given = {f"model.prior.{k}": v for k, v in options.items()}
    with pytest.raises(RequestError, match="components"):
        vae_of("sentences/free_bits", {"model.prior.name": prior, **given})


def test_a_sphere_of_no_dimension_is_refused():
    with pytest.raises(RequestError, match="2 dimensions"):
        vae_of("sentences/vmf", {"model.latent_size": 1})


@pytest.mark.parametrize("recipe", RECIPES)
def test_the_same_seed_builds_the_same_model(recipe):
    settings = settings_of(f"sentences/{recipe}")
    one, two = (vae_of(f"sentences/{recipe}") for _ in range(2))
    assert settings == one.settings
    assert equal(tensors.state(one.model), tensors.state(two.model))
