"""Posteriors moved by gradient steps: to the exact one where it is known, and never past what a bound allows."""

import pytest
import torch

from tests.toys import batches_of, vae_of
from textvae.errors import RequestError
from textvae.evaluation.bounds import evaluate
from textvae.objectives.base import kl
from textvae.refinement import Step, gradient_through, normal, parameters_of, refine


def test_the_exact_posterior_of_a_linear_gaussian_is_found():
    """x = z + noise of variance s: q(z|x) = N(x / (1 + s), s / (1 + s)), from wherever the steps begin."""
    x, s = torch.tensor([[1.0, -2.0], [0.5, 3.0]]), 0.5
    prior = normal(torch.zeros(2, 2, 2))

    def loss(q):
        distortion = ((x - q.mean) ** 2 + q.variance).sum(-1) / (2 * s)  # in expectation: no noise
        return distortion + kl(q, prior)

    found = normal(refine(loss, torch.zeros(2, 2, 2), steps=2000))
    torch.testing.assert_close(found.mean, x / (1 + s), atol=1e-3, rtol=1e-3)
    torch.testing.assert_close(found.variance, torch.full_like(x, s / (1 + s)), atol=1e-3, rtol=1e-3)


def test_an_example_moves_as_if_it_were_alone_and_by_a_bounded_step():
    start = torch.randn(2, 3, 4)

    def loss(q):
        return 1e4 * (q.mean**2).sum(-1) + q.variance.sum(-1)

    together = refine(loss, start, steps=3, speed=0.1, clip=2.0)
    alone = torch.cat([refine(loss, start[:, i : i + 1], steps=3, speed=0.1, clip=2.0) for i in range(3)], 1)
    torch.testing.assert_close(together, alone)
    one = refine(loss, start, steps=1, speed=0.1, clip=2.0)
    assert ((one - start).transpose(0, 1).flatten(1).norm(dim=1) < 0.2 + 1e-5).all()


@pytest.mark.parametrize("clip", [0.3, 100.0])
def test_the_gradient_through_the_steps_is_that_of_backpropagation(clip):
    torch.manual_seed(0)
    start, theta = torch.randn(2, 3, 4, dtype=torch.float64), torch.randn(4, 4, dtype=torch.float64)
    start, theta = start.requires_grad_(), theta.requires_grad_()

    def loss(_, q):
        return (torch.tanh(q.mean @ theta) ** 2).sum(-1) + (q.variance * theta[0] ** 2).sum(-1) + kl(q, prior)

    prior = normal(torch.zeros(2, 3, 4, dtype=torch.float64))
    taken: list[Step] = []
    end = refine(lambda q: loss(0, q), start, 4, 0.1, clip, taken)
    end.requires_grad_()
    last = loss(0, normal(end)).sum()
    gradient, share = gradient_through(loss, taken, torch.autograd.grad(last, end, retain_graph=True)[0])
    (found,) = torch.autograd.grad(last + share, theta, retain_graph=True)
    assert share.detach() == 0

    at = start
    for step in taken:
        (slope,) = torch.autograd.grad(loss(0, normal(at)).sum(), at, create_graph=True)
        at = at - step.size[:, None] * slope
    expected = torch.autograd.grad(loss(0, normal(at)).sum(), [start, theta])
    torch.testing.assert_close(gradient, expected[0], rtol=1e-3, atol=1e-4)
    torch.testing.assert_close(found, expected[1], rtol=1e-3, atol=1e-4)
    assert not torch.allclose(torch.autograd.grad(last, theta)[0], expected[1], rtol=0.02), "the steps do not matter"


def test_parameters_and_back():
    start = torch.randn(2, 3, 4)
    torch.testing.assert_close(parameters_of(normal(start)), start)


def test_evaluation_with_refined_posteriors_is_tighter_and_leaves_the_model_as_it_was():
    vae = vae_of("documents/vae")
    torch.nn.init.normal_(vae.model.posterior_head.mean.weight, std=3.0)  # an encoder that is badly wrong
    before = {key: value.clone() for key, value in vae.model.state_dict().items()}
    plain, refined = (evaluate(vae.model, batches_of(vae, shuffle=False), 5, steps) for steps in (0, 50))
    assert refined.nll < plain.nll - 0.1
    assert refined.nll_iw < plain.nll_iw
    assert all(torch.equal(value, before[key]) for key, value in vae.model.state_dict().items())
    assert all(p.grad is None for p in vae.model.parameters())


def test_a_posterior_without_means_and_variances_is_refused():
    vae = vae_of("sentences/vmf")
    with pytest.raises(RequestError, match="diagonal_normal"):
        evaluate(vae.model, batches_of(vae, shuffle=False), refinement=1)
