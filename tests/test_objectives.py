"""Objectives, schedules and paths between codes at values worked out by hand."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tests.toys import batch_of, vae_of
from textvae.assembly import build_objective
from textvae.batching import Batch
from textvae.errors import RequestError
from textvae.latent.homotopy import homotopy
from textvae.objectives.autoencoder import PlainAutoencoder
from textvae.objectives.elbo import ELBO
from textvae.objectives.free_bits import FreeBits, floored
from textvae.objectives.target_rate import TargetRate
from textvae.schedules import SCHEDULES, Constant, Cyclical, Linear, Logistic
from textvae.settings import Part


def test_free_bits_floor_each_dimension_on_the_mean_of_the_batch():
    each = torch.tensor([[0.0, 1.0], [0.4, 3.0]])
    assert float(floored(each, 0.5, over_batch=True)) == pytest.approx(0.5 + 2.0)
    assert float(floored(each, 0.1, over_batch=True)) == pytest.approx(0.2 + 2.0)


def test_free_bits_floor_each_dimension_of_each_example():
    each = torch.tensor([[0.0, 1.0], [0.4, 3.0]])
    assert float(floored(each, 0.5, over_batch=False)) == pytest.approx((0.5 + 1.0 + 0.5 + 3.0) / 2)


@pytest.mark.parametrize("per", ["dimension", "example", "batch"])
def test_below_the_floor_the_rate_has_no_gradient_and_above_it_costs_what_it_is(per):
    vae = vae_of("sentences/free_bits")
    batch = Batch(batch_of(vae))
    for nats, pays in ((1000.0, False), (0.0, True)):
        torch.manual_seed(0)
        terms = FreeBits(nats, per)(vae.model.eval(), batch, 1.0)
        cost = terms.loss - terms.distortion.mean()
        gradient = torch.autograd.grad(cost, vae.model.posterior_head.mean.weight, allow_unused=True)[0]
        assert (gradient is not None and float(gradient.abs().sum()) > 1e-3) == pays
        if pays:
            torch.testing.assert_close(cost, terms.rate.mean(), atol=1e-4, rtol=1e-4)
        else:
            floor = nats if per == "batch" else nats * vae.settings.model.latent_size
            assert cost.detach().item() == pytest.approx(floor, rel=1e-4)


def test_the_multiplier_rises_over_the_target_and_falls_under_it_within_bounds():
    vae = vae_of("sentences/free_bits")
    batch = Batch(batch_of(vae))
    rate = float(TargetRate(1.0, "multiplier").eval()(vae.model.eval(), batch, 0.5).rate.detach().mean())
    over, under, at = (TargetRate(rate * k, "multiplier").train() for k in (0.25, 4.0, 1.0))
    for objective, sign in ((over, 1), (under, -1), (at, 0)):
        with torch.no_grad():
            beta = float(objective(vae.model.eval(), batch, 0.5).beta)
        assert beta == 1.0, "the multiplier of this step is the one before its ascent"
        moved = float(objective.log_multiplier)
        assert moved == pytest.approx(0.0, abs=1e-6) if not sign else moved * sign > 0
        for _ in range(3000):
            objective._ascend(torch.tensor(rate))
        assert -6.0 <= float(objective.log_multiplier) <= 4.0
    frozen = TargetRate(rate * 4, "multiplier").eval()
    frozen(vae.model, batch, 0.5)
    assert float(frozen.log_multiplier) == 0.0, "evaluation moves the multiplier"


@pytest.mark.parametrize(("method", "samples"), [("multiplier", 1), ("multiplier", 4), ("minimum", 1)])
def test_a_target_rate_is_reached(method, samples):
    vae = vae_of("sentences/ptb", {"model.decoder.dropout": 0.0, "model.encoder.dropout": 0.0})
    objective = TargetRate(2.0, method, speed=0.05, samples=samples)
    optimizer = torch.optim.Adam(vae.model.parameters(), 0.02)
    batch = Batch(batch_of(vae))
    rates = []
    for step in range(250):
        torch.manual_seed(step)
        terms = objective.train()(vae.model.train(), batch, 0.5)
        optimizer.zero_grad()
        terms.loss.backward()
        optimizer.step()
        rates.append(float(terms.rate.detach().mean()))
    assert sum(rates[-50:]) / 50 == pytest.approx(2.0, abs=0.5)


@pytest.mark.parametrize(("method", "samples"), [("multiplier", 0), ("minimum", 2)])
def test_samples_that_do_not_go_with_a_target_rate_are_refused(method, samples):
    with pytest.raises(RequestError, match=f"method=multiplier; {samples} do not"):
        TargetRate(2.0, method, samples=samples)


def test_minimum_rate_pays_only_for_what_is_over_each_dimensions_share():
    vae = vae_of("sentences/free_bits")
    terms = TargetRate(3000.0, "minimum")(vae.model.eval(), Batch(batch_of(vae)), 0.5)
    assert (terms.loss - terms.distortion.mean()).detach().item() == pytest.approx(3000.0, rel=1e-4)


def test_the_plain_autoencoder_pays_nothing_for_its_rate_and_draws_no_noise():
    vae = vae_of("images/vae")
    batch = Batch(batch_of(vae))
    one, two = (PlainAutoencoder()(vae.model.eval(), batch, 0.5) for _ in range(2))
    assert torch.equal(one.distortion, two.distortion)
    assert torch.equal(one.loss, one.distortion.mean())
    assert not one.rate.requires_grad
    assert PlainAutoencoder().criterion(10.0, 99.0) == 10.0


def test_the_elbo_is_settled_once_beta_is():
    objective = ELBO(Linear(0.2))
    assert [objective.settled(p) for p in (0.0, 0.1, 0.2, 1.0)] == [False, False, True, True]
    assert ELBO(Constant(4.0)).settled(0.0)


SCHEDULE_VALUES = [
    (Constant(), {0.0: 1.0, 0.7: 1.0}),
    (Constant(4.0), {0.0: 4.0, 1.0: 4.0}),
    (Linear(0.2), {0.0: 0.0, 0.1: 0.5, 0.2: 1.0, 1.0: 1.0}),
    (Linear(0.5, start=0.1), {0.0: 0.1, 0.25: 0.55, 0.5: 1.0}),
    (Linear(0.5, beta=4.0), {0.0: 0.0, 0.25: 2.0, 0.5: 4.0, 1.0: 4.0}),
    (Linear(0.0), {0.0: 1.0}),
    (Logistic(0.5, 0.2), {0.3: 0.0024726, 0.5: 0.5, 0.7: 0.9975274}),
    (Logistic(0.5, 0.0), {0.4999: 0.0, 0.5: 0.5, 0.5001: 1.0}),
    (Cyclical(4, 0.5), {0.0: 0.0, 0.0625: 0.5, 0.125: 1.0, 0.2: 1.0, 0.25: 0.0, 0.3125: 0.5, 1.0: 1.0}),
    (Cyclical(1, 1.0), {0.0: 0.0, 0.5: 0.5, 1.0: 1.0}),
]


@pytest.mark.parametrize(("schedule", "values"), SCHEDULE_VALUES)
def test_schedules_have_the_values_of_their_papers(schedule, values):
    for progress, beta in values.items():
        assert schedule(progress) == pytest.approx(beta, abs=1e-6)


@pytest.mark.parametrize("name", list(SCHEDULES))
@given(progress=st.floats(0, 1))
def test_every_schedule_is_a_weight_and_ends_at_1(name, progress):
    schedule = SCHEDULES.build(name, {})
    assert 0 <= schedule(progress) <= 1
    assert schedule(1.0) == pytest.approx(1.0, abs=1e-6)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("elbo", {"schedule": {"name": "linear", "warmup": 1.5}}),
        ("elbo", {"schedule": {"name": "cyclical", "cycles": 0}}),
        ("elbo", {"schedule": {"name": "linaer"}}),
        ("elbo", {"schedule": {"warmup": 0.1}}),
        ("elbo", {"schedule": 3}),
        ("elbo", {"schedule": {"name": "linear", "warm_up": 0.1}}),
        ("elbo", {"schedule": {"name": "constant", "beta": float("nan")}}),
        ("elbo", {"beta": 0.1}),
        ("free_bits", {"nats": -1}),
        ("free_bits", {"nats": float("nan")}),
        ("free_bits", {"per": "dimensions"}),
        ("target_rate", {"rate": 0}),
        ("target_rate", {"rate": float("inf")}),
        ("target_rate", {"rate": "eight"}),
        ("target_rate", {"method": "minumum"}),
        ("target_rate", {"start": 0}),
        ("target_rates", {}),
    ],
)
def test_an_objective_that_makes_no_sense_is_refused(name, options):
    with pytest.raises(RequestError):
        build_objective(Part(name=name, **options))


def test_a_schedule_may_be_given_by_its_name_alone():
    assert isinstance(build_objective(Part(name="elbo", schedule="cyclical")).schedule, Cyclical)


@pytest.mark.parametrize("path", ["linear", "slerp"])
@pytest.mark.parametrize("steps", [2, 5])
def test_a_path_starts_and_ends_at_its_ends(path, steps):
    a, b = torch.randn(6), torch.randn(6)
    z = homotopy(a, b, steps, path)
    assert z.shape == (steps, 6)
    torch.testing.assert_close(z[0], a)
    torch.testing.assert_close(z[-1], b)


def test_the_straight_line_moves_evenly():
    z = homotopy(torch.zeros(2), torch.tensor([1.0, 2.0]), 5)
    torch.testing.assert_close(z[:, 1], torch.tensor([0.0, 0.5, 1.0, 1.5, 2.0]))


def test_slerp_keeps_to_the_shell_and_turns_evenly():
    a, b = torch.tensor([3.0, 0.0, 0.0]), torch.tensor([0.0, 5.0, 0.0])
    z = homotopy(a, b, 9, "slerp")
    torch.testing.assert_close(z.norm(dim=1), torch.linspace(3, 5, 9))
    angles = torch.atan2(z[:, 1], z[:, 0])
    torch.testing.assert_close(angles, torch.linspace(0, math.pi / 2, 9))


@pytest.mark.parametrize("scale", [1.0, -1.0, 2.0, -0.5, 0.0])
def test_slerp_between_parallel_antiparallel_or_no_directions_is_finite_and_ends_right(scale):
    for a in [torch.eye(32)[0], *torch.randn(50, 32)]:
        z = homotopy(a, scale * a, 7, "slerp")
        assert z.isfinite().all()
        torch.testing.assert_close(z[0], a)
        torch.testing.assert_close(z[-1], scale * a)
        if scale:
            torch.testing.assert_close(z, homotopy(a, scale * a, 7))


def test_an_unknown_path_is_refused():
    with pytest.raises(RequestError, match="linear"):
        homotopy(torch.zeros(2), torch.ones(2), 3, "spline")


def test_models_are_not_compared_while_the_multiplier_finds_its_level():
    assert not TargetRate(8.0, "multiplier").settled(0.1)
    assert TargetRate(8.0, "multiplier").settled(0.5)
    assert TargetRate(8.0, "minimum").settled(0.0)
