"""What holds of every penalty: it costs something, the encoder feels it, and no report knows of it."""

import pytest
import torch

from tests.toys import FAMILIES, batch_of, vae_of, variants, whole_batch
from textvae.assembly import build_objective
from textvae.errors import RequestError
from textvae.penalties import PENALTIES
from textvae.settings import Part


def homes_of(penalty):
    """Tiny models of every family that a penalty goes with, each with the objective; there is at least one."""
    found = []
    for recipe in FAMILIES:
        vae = vae_of(recipe)
        objective = build_objective(Part(name="autoencoder", penalty=penalty))
        try:
            objective.attach(vae.model)
        except RequestError:
            continue
        found.append((vae, objective))
    assert found
    return found


def terms(vae, objective):
    torch.manual_seed(7)
    return objective(vae.model.eval(), whole_batch(vae), 0.5)


@pytest.mark.parametrize(("name", "options"), variants(PENALTIES))
def test_a_penalty_enters_the_loss_and_no_report(name, options):
    for vae, objective in homes_of({"name": name, "weight": 0.5, **options}):
        plain = terms(vae, build_objective(Part(name="autoencoder")))
        found = terms(vae, objective)
        assert torch.equal(found.distortion, plain.distortion)
        assert torch.equal(found.rate, plain.rate)
        cost = found.loss - plain.loss
        assert cost.shape == ()
        assert torch.isfinite(cost)
        assert cost > 0 or not vae.settings.model.latent_size
        objective.penalty.weight = 1.0
        again = terms(vae, objective).loss - plain.loss
        torch.testing.assert_close(again, 2 * cost, atol=1e-3, rtol=1e-3)


@pytest.mark.parametrize(("name", "options"), variants(PENALTIES))
def test_the_encoder_is_moved_by_a_penalty_and_the_decoder_is_not(name, options):
    for vae, objective in homes_of({"name": name, **options}):
        model, x = vae.model, batch_of(vae)
        if not vae.settings.model.latent_size:
            continue
        z = model.posterior(x).mean
        objective.penalty(model.encoder, model.posterior_head, x, z).backward()
        assert any(p.grad is not None and p.grad.abs().sum() > 0 for p in model.posterior_head.parameters())
        assert all(p.grad is None for p in [*model.decoder.parameters(), *model.likelihood.parameters()])


@pytest.mark.parametrize("name", list(PENALTIES))
def test_a_weight_that_makes_no_sense_is_refused(name):
    for weight in (-1.0, float("nan")):
        with pytest.raises(RequestError, match="weight"):
            PENALTIES.get(name)(weight=weight)
    with pytest.raises(RequestError, match="no option"):
        build_objective(Part(name="autoencoder", penalty={"name": name, "wieght": 1.0}))


def test_a_penalty_needs_a_name_and_a_known_one():
    with pytest.raises(RequestError, match="sparse_l1"):
        build_objective(Part(name="autoencoder", penalty={"weight": 1.0}))
    with pytest.raises(RequestError, match="contractive"):
        build_objective(Part(name="autoencoder", penalty="contractiv"))
    assert build_objective(Part(name="autoencoder", penalty="sparse_l1")).penalty.weight == 0.01
