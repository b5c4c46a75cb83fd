"""Penalties against closed forms and against automatic differentiation."""

import math

import pytest
import torch
from torch.distributions import Bernoulli, kl_divergence

from tests.toys import vae_of
from textvae.assembly import build_objective
from textvae.encoders.mlp import MLPEncoder
from textvae.errors import RequestError
from textvae.penalties.contractive import Contractive, jacobian
from textvae.penalties.sparse_kl import SparseKL
from textvae.penalties.sparse_l1 import SparseL1
from textvae.posteriors.batch_norm import BatchNormNormal
from textvae.posteriors.constant_variance import ConstantVariance
from textvae.posteriors.diagonal_normal import DiagonalNormal
from textvae.settings import Part

ACTIVATIONS = ["linear", "sigmoid", "tanh", "relu"]


def one_layer(activation):
    encoder, posterior = MLPEncoder((1, 3, 2), hidden_sizes=()), ConstantVariance(6, 4, activation)
    return encoder, posterior, torch.randn(5, 1, 3, 2)


def by_rows(encoder, posterior, x):
    """Σ over units and pixels of (∂z/∂x)², one example and one unit at a time."""
    totals = []
    for row in x:
        j = torch.autograd.functional.jacobian(lambda row: posterior(encoder(row[None])).mean[0], row)
        totals.append((j**2).sum())
    return torch.stack(totals).mean()


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_the_contractive_penalty_of_one_layer_is_its_jacobians_norm_and_so_is_its_gradient(activation):
    encoder, posterior, x = one_layer(activation)
    closed = Contractive(1.0)(encoder, posterior, x, torch.empty(0))
    torch.testing.assert_close(closed, by_rows(encoder, posterior, x))
    general = jacobian(encoder, posterior, x).pow(2).sum() / len(x)
    torch.testing.assert_close(closed, general)
    one, two = (torch.autograd.grad(cost, posterior.mean.weight)[0] for cost in (closed, general))
    torch.testing.assert_close(one, two)


@pytest.mark.parametrize("head", [DiagonalNormal, ConstantVariance])
def test_the_contractive_penalty_of_several_layers_is_its_jacobians_norm(head):
    encoder, posterior, x = MLPEncoder((1, 3, 2), (7, 5)), head(5, 4), torch.randn(5, 1, 3, 2)
    found = Contractive(2.0)(encoder, posterior, x, torch.empty(0))
    torch.testing.assert_close(found, 2 * by_rows(encoder, posterior, x))
    found.backward()
    assert posterior.mean.weight.grad.abs().sum() > 0
    assert encoder.layers[0].weight.grad.abs().sum() > 0


def test_counts_read_as_logarithms_have_another_jacobian_than_their_layer():
    encoder, posterior = MLPEncoder((6,), (), transform="log1p"), ConstantVariance(6, 4)
    x = torch.rand(5, 6) * 9
    torch.testing.assert_close(Contractive(1.0)(encoder, posterior, x, x), by_rows(encoder, posterior, x))


def test_the_contractive_penalty_refuses_words_and_codes_of_the_batch():
    vae = vae_of("sentences/lstm")
    with pytest.raises(RequestError, match="not words"):
        Contractive().attach(vae.model.encoder, vae.model.posterior_head)
    with pytest.raises(RequestError, match="batch norm"):
        Contractive().attach(MLPEncoder((6,)), BatchNormNormal(400, 3))


def test_sparse_kl_is_the_divergence_between_coins():
    encoder, posterior, x = one_layer("sigmoid")
    z = torch.rand(50, 4)
    found = SparseKL(3.0, 0.2)(encoder, posterior, x, z)
    torch.testing.assert_close(found, 3 * kl_divergence(Bernoulli(0.2), Bernoulli(z.mean(0))).sum())
    assert float(SparseKL(1.0, 0.25)(encoder, posterior, x, torch.full((8, 4), 0.25))) == pytest.approx(0, abs=1e-6)
    for off in (torch.zeros(8, 4), torch.ones(8, 4)):
        assert math.isfinite(SparseKL()(encoder, posterior, x, off))


def test_sparse_kl_refuses_codes_that_are_no_activities_and_targets_that_are_none():
    for posterior in (ConstantVariance(6, 4, "relu"), DiagonalNormal(6, 4)):
        with pytest.raises(RequestError, match="between 0 and 1"):
            SparseKL().attach(MLPEncoder((6,), ()), posterior)
    SparseKL().attach(MLPEncoder((6,), ()), ConstantVariance(6, 4, "sigmoid"))
    for target in (0.0, 1.0, float("nan")):
        with pytest.raises(RequestError, match="target"):
            SparseKL(target=target)


def test_sparse_l1_is_the_sum_of_absolute_values():
    encoder, posterior, x = one_layer("relu")
    z = torch.tensor([[1.0, -2.0], [0.0, 3.0]])
    assert float(SparseL1(0.5)(encoder, posterior, x, z)) == pytest.approx(0.5 * 3.0)


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_a_posterior_of_constant_variance_has_its_mean_and_scale(activation):
    posterior = ConstantVariance(6, 4, activation, scale=0.05)
    h = torch.randn(3, 6)
    q = posterior(h)
    a = posterior.mean(h)
    expected = a if activation == "linear" else getattr(torch, activation)(a)
    torch.testing.assert_close(q.mean, expected)
    assert torch.equal(q.stddev, torch.full((3, 4), 0.05))
    with pytest.raises(RequestError, match="over 0"):
        ConstantVariance(6, 4, scale=0.0)


def test_a_penalty_of_codes_that_are_told_labels_is_refused():
    vae = vae_of("images/conditional_vae")
    objective = build_objective(Part(name="autoencoder", penalty="sparse_l1"))
    with pytest.raises(RequestError, match="labels=ignore"):
        objective.attach(vae.model)
