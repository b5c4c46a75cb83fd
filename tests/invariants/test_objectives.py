"""What holds of every objective on every family: it trains, and it reports at β = 1 under the prior that is used."""

import itertools

import pytest
import torch
from torch.distributions import Independent, Normal, kl_divergence

from tests.toys import FAMILIES, attached, batch_of, equal, vae_of, variants, whole_batch
from textvae.assembly import build_objective
from textvae.errors import RequestError
from textvae.objectives import OBJECTIVES, kl
from textvae.priors import Prior
from textvae.schedules import SCHEDULES
from textvae.settings import Part

PAIRS = [
    pytest.param(recipe, *p.values, id=f"{recipe}-{p.id}")
    for recipe, p in itertools.product(FAMILIES, variants(OBJECTIVES))
]
SCHEDULED = [p for p in variants(OBJECTIVES) if "schedule" in OBJECTIVES.options(p.values[0])]


class Elsewhere(Prior):
    """N(3, 4 I)."""

    def __init__(self, size):
        super().__init__()
        self.register_buffer("mean", torch.full((size,), 3.0))

    def forward(self):
        return Independent(Normal(self.mean, 2.0), 1)


def terms(vae, objective, progress=0.5, seed=7, y=None):
    torch.manual_seed(seed)
    return objective(vae.model, whole_batch(vae)._replace(y=y), progress)


def has_closed_kl(model, x):
    """Whether the rate is a KL in closed form, and not an estimate, which may fall below 0."""
    try:
        kl_divergence(model.posterior(x), model.prior())
    except NotImplementedError:
        return False
    return True


def drawn(q, n, seed=7):
    """The codes [n, B, Z] that an objective draws first."""
    torch.manual_seed(seed)
    return q.rsample(torch.Size([n]))


@pytest.mark.parametrize(("recipe", "name", "options"), PAIRS)
def test_terms_are_per_example_and_the_loss_falls(recipe, name, options):
    vae = vae_of(recipe)
    objective = attached(vae, name, **options)
    vae.model.train()
    parameters = [*vae.model.parameters(), *objective.parameters()]
    optimizer = torch.optim.Adam(parameters, 0.02)
    batch = whole_batch(vae)
    closed = has_closed_kl(vae.model, batch.x)
    y = None if vae.model.classifier is None else torch.arange(len(batch.x)) % 2
    losses: list[float] = []
    distortions: list[float] = []
    for step in range(12):
        found = terms(vae, objective, 0.9, seed=step % 3, y=y)  # the first and the last three under the same noise
        assert found.loss.shape == ()
        assert found.distortion.shape == found.rate.shape == (len(batch.x),)
        assert (found.rate >= -1e-5).all() or not closed
        optimizer.zero_grad()
        found.loss.backward()
        held = {id(p) for p in objective.held_back(vae.model, 0.9)}
        used = [p for p in vae.model.parameters() if p.grad is not None and p.numel() and id(p) not in held]
        assert any(p.grad.abs().sum() > 0 for p in used)
        optimizer.step()
        losses.append(float(found.loss.detach()))
        distortions.append(float(found.distortion.mean().detach()))
    falls = [sum(values[-3:]) < sum(values[:3]) for values in (losses, distortions)]
    assert any(falls) if name == "adversarial" else falls[0], losses  # what a discriminator gains, the encoder loses


@pytest.mark.parametrize(("recipe", "name", "options"), PAIRS)
def test_distortion_is_the_score_of_x_and_rate_the_kl_to_the_prior_given(recipe, name, options):
    vae = vae_of(recipe)
    model = vae.model.eval()
    size = vae.settings.model.latent_size
    model.prior = Elsewhere(size)
    found = terms(vae, attached(vae, name, **options).eval())
    q = model.posterior(batch_of(vae))
    codes = [drawn(q, 1), drawn(q, 5), q.mean[None]]
    if has_closed_kl(model, batch_of(vae)):
        torch.testing.assert_close(found.rate, kl_divergence(q, model.prior()).detach(), check_stride=False)
        if size:
            assert (found.rate > 0.5).all()
    elif name not in ("autoencoder", "walkback"):  # which draw a code for their rate, and score another
        rates = [kl(q, model.prior(), z) for z in codes]
        assert any(torch.allclose(found.rate, rate, atol=1e-4) for rate in rates)
    scores = [-model.log_px(whole_batch(vae).scored, z[:1])[0] for z in codes]
    assert any(torch.allclose(found.distortion, score, atol=1e-4) for score in scores)


@pytest.mark.parametrize("recipe", FAMILIES)
@pytest.mark.parametrize("schedule", list(SCHEDULES))
@pytest.mark.parametrize(("name", "options"), SCHEDULED)
def test_what_is_reported_does_not_know_the_schedule(recipe, schedule, name, options):
    vae = vae_of(recipe)
    vae.model.eval()
    full = attached(vae, name, schedule={"name": "constant", "beta": 1.0}, **options).eval()
    other = attached(vae, name, schedule=schedule, **options).eval()
    one, two = (terms(vae, objective, 0.02) for objective in (full, other))
    assert torch.equal(one.distortion, two.distortion)
    assert torch.equal(one.rate, two.rate)
    beta = SCHEDULES.build(schedule, {})(0.02)
    assert float(one.beta) == 1.0
    assert float(two.beta) == pytest.approx(beta)
    cost = (one.loss - one.distortion.mean()).detach()
    torch.testing.assert_close(two.loss.detach(), one.distortion.mean().detach() + beta * cost, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(("name", "options"), variants(OBJECTIVES))
def test_every_objective_goes_with_words_noisy_pictures_documents_or_layers_and_may_be_attached_twice(name, options):
    objective = build_objective(Part(name=name, **options))
    for recipe in ("sentences/free_bits", "images/denoising", "documents/autoencoder", "images/top_down"):
        vae = vae_of(recipe, {"model.labels": "predict", "model.classes": ["a", "b"]})
        try:
            objective.attach(vae.model)
        except RequestError:
            continue
        break
    else:
        pytest.fail("The objective goes with none of them.")
    before = {key: value.clone() for key, value in objective.state_dict().items()}
    objective.attach(vae.model)
    assert equal(before, objective.state_dict())


@pytest.mark.parametrize(("name", "options"), variants(OBJECTIVES))
def test_the_criterion_falls_with_the_distortion_and_settles_by_the_end(name, options):
    objective = build_objective(Part(name=name, **options))
    assert objective.criterion(10.0, 2.0) < objective.criterion(11.0, 2.0)
    assert objective.settled(1.0)
