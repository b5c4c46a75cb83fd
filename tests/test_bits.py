"""Codes of bits: their distribution, its gradients, and what is near in Hamming distance."""

import itertools

import numpy as np
import pytest
import torch
from torch.distributions import Bernoulli, Independent, kl_divergence

from tests.toys import batch_of, vae_of
from textvae.errors import RequestError
from textvae.latent.bits import bits, hamming, medians
from textvae.posteriors.bernoulli import BernoulliPosterior, Bits, LogisticCode
from textvae.supports import Support


def test_the_kl_is_that_over_all_codes_one_by_one():
    q = Independent(Bits(logits=torch.tensor([[0.3, -2.0, 5.0], [1.0, 0.0, -1.0]])), 1)
    p = Independent(Bernoulli(logits=torch.tensor([0.5, 0.0, -0.7])), 1)
    codes = torch.tensor(list(itertools.product([0.0, 1.0], repeat=3)))[:, None]
    log_q, log_p = q.log_prob(codes), p.log_prob(codes)
    torch.testing.assert_close(kl_divergence(q, p), (log_q.exp() * (log_q - log_p)).sum(0))


def test_sure_bits_have_a_finite_kl():
    q = Independent(Bits(logits=torch.tensor([[200.0, -200.0]], requires_grad=True)), 1)
    rate = kl_divergence(q, Independent(Bernoulli(logits=torch.zeros(2)), 1))
    torch.testing.assert_close(rate, torch.tensor([2 * np.log(2)], dtype=torch.float32))
    rate.sum().backward()


def test_draws_are_bits_as_often_as_they_are_probable_and_pass_gradients_straight_through():
    logits = torch.tensor([-1.0, 0.5, 3.0], requires_grad=True)
    q = Bits(logits=logits)
    drawn = q.rsample(torch.Size([4000]))
    assert set(drawn.detach().unique().tolist()) == {0.0, 1.0}
    torch.testing.assert_close(drawn.detach().mean(0), logits.detach().sigmoid(), atol=0.03, rtol=0)
    assert q.mean.tolist() == [0.0, 1.0, 1.0]
    weight = torch.tensor([1.0, 2.0, 3.0])
    for code in (q.mean, drawn[0]):
        (slope,) = torch.autograd.grad((code * weight).sum(), logits, retain_graph=True)
        p = logits.detach().sigmoid()
        torch.testing.assert_close(slope, weight * p * (1 - p))


def test_a_logistic_code_is_real_while_it_trains_and_bits_afterwards():
    head = BernoulliPosterior(5, 3, code="logistic", noise=2.0)
    features = torch.randn(7, 5)
    one, two = (head.train()(features) for _ in range(2))
    assert isinstance(one.base_dist, LogisticCode)
    assert not torch.equal(one.mean, two.mean)
    assert torch.equal(one.mean, one.rsample(torch.Size([2]))[1])
    assert ((one.mean > 0) & (one.mean < 1)).all()
    evaluated = head.eval()(features).mean
    assert torch.equal(evaluated, (head.logits(features) > 0).float())


@pytest.mark.parametrize("recipe", ["documents/semantic_hashing", "documents/nash"])
def test_encode_gives_bits_and_decode_takes_any_code_to_its_nearest(recipe):
    vae = vae_of(recipe)
    texts = ["the cat sat", "a dog ran", "", "rain " * 1000]
    codes = vae.encode(texts)
    assert set(codes.unique().tolist()) <= {0.0, 1.0}
    assert bits(codes).shape == (4, 1)
    assert vae.decode(0.9 * codes + 0.05) == vae.decode(codes)
    assert torch.equal(Support.BITS.project(0.9 * codes + 0.05), codes)
    assert len(vae.sample(3)) == 3


def test_the_prior_may_be_learned():
    assert not list(vae_of("documents/nash").model.prior.parameters())
    vae = vae_of("documents/nash", {"model.prior.learned": True})
    q, p = vae.model.posterior(batch_of(vae)), vae.model.prior()
    kl_divergence(q, p).sum().backward()
    assert vae.model.prior.logits.grad.abs().sum() > 0


def test_codes_are_packed_eight_to_a_byte():
    assert bits([[1, 0, 0, 0, 0, 0, 0, 1, 1], [0] * 9]).tolist() == [[129, 128], [0, 0]]
    codes = np.array([[0.0, 5.0], [1.0, 7.0], [3.0, 6.0]])
    assert medians(codes).tolist() == [1.0, 6.0]
    assert bits(codes, medians(codes)).tolist() == [[0], [64], [128]]


def test_hamming_distances_are_those_of_the_bits():
    rng = np.random.default_rng(0)
    queries, database = rng.integers(0, 2, (4, 19)), rng.integers(0, 2, (50, 19))
    expected = (queries[:, None] != database).sum(-1)
    assert np.array_equal(hamming(bits(queries), bits(database)), expected)
    with pytest.raises(RequestError, match="24 and of 8 bits"):
        hamming(bits(queries), bits(database)[:, :1])


def test_noise_below_0_is_refused():
    with pytest.raises(RequestError):
        BernoulliPosterior(4, 2, noise=-1.0)
    with pytest.raises(RequestError):
        vae_of("documents/nash", {"model.decoder.noise": -0.1})
