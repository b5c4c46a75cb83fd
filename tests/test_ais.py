"""Annealed importance sampling on the model whose log p(x) is known."""

from itertools import pairwise

import pytest
import torch

from tests.test_linear_gaussian import Exact, batches, data, model_of
from tests.toys import batch_of, vae_of
from textvae.errors import RequestError
from textvae.evaluation.ais import annealed_importance_sampling, schedule
from textvae.evaluation.bounds import evaluate


def test_the_bound_the_importance_weighted_bound_and_annealing_are_in_order_below_the_evidence():
    x, log_px = data(60)
    model = model_of(Exact(0.6))
    report = evaluate(model, batches(x, 60), iw_samples=10, mutual_information=False)
    found = annealed_importance_sampling(model, x, steps=100, chains=16, leapfrogs=5)
    truth = float(log_px.mean())
    annealed = float(found.log_px.mean())
    assert -report.nll < -report.nll_iw < annealed
    assert annealed == pytest.approx(truth, abs=0.03)
    error = float(found.variance.sum().sqrt()) / len(x)
    assert abs(annealed - truth) < 4 * error
    assert 0.5 < found.acceptance < 0.9


def test_more_steps_come_closer():
    x, log_px = data(60)
    few, many = (annealed_importance_sampling(model_of(Exact()), x, steps, 16, 3).log_px.mean() for steps in (2, 80))
    assert float(few) < float(many) - 0.3
    assert float(many) == pytest.approx(float(log_px.mean()), abs=0.1)


def test_the_chains_end_in_the_true_posterior():
    x, _ = data(3)
    model = model_of(Exact())
    found = annealed_importance_sampling(model, x, steps=60, chains=800, leapfrogs=5)
    q = model.posterior(x)
    torch.testing.assert_close(found.z.mean(0), q.mean, atol=0.08, rtol=0)
    covariance = torch.stack([torch.cov(found.z[:, i].T) for i in range(3)])
    torch.testing.assert_close(covariance, q.covariance_matrix.expand(3, 2, 2), atol=0.06, rtol=0)


def test_the_schedule_rises_from_0_to_1_and_is_slow_at_both_ends():
    betas = schedule(50)
    assert betas[0] == 0
    assert betas[-1] == pytest.approx(1)
    steps = [b - a for a, b in pairwise(betas)]
    assert min(steps) > 0
    assert max(steps[0], steps[-1]) < 0.3 * steps[25]


def test_it_is_repeatable_and_leaves_the_callers_random_numbers_and_gradients_alone():
    vae = vae_of("images/vae")
    x = batch_of(vae, 4)
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    one = annealed_importance_sampling(vae.model, x, 5, 2, 2, seed=1)
    assert torch.equal(torch.rand(3), expected)
    assert torch.equal(one.log_px, annealed_importance_sampling(vae.model, x, 5, 2, 2, seed=1).log_px)
    assert all(p.grad is None for p in vae.model.parameters())
    assert one.z.shape == (2, 4, 3)


def test_codes_that_cannot_move_are_refused():
    for recipe in ("sentences/vmf", "sentences/language_model", "documents/nash"):
        vae = vae_of(recipe)
        with pytest.raises(RequestError, match=r"R\^Z"):
            annealed_importance_sampling(vae.model, batch_of(vae, 2))
    with pytest.raises(RequestError, match="1 step"):
        annealed_importance_sampling(vae_of("images/vae").model, torch.rand(2, 1, 4, 4), steps=0)
