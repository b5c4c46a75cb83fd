"""Topic models: the Laplace approximation of a Dirichlet, mixtures of topics, and batch norm on a decoder's logits."""

import pytest
import torch
from torch.distributions import Dirichlet

from textvae.decoders.mlp import MLPDecoder
from textvae.decoders.topics import TopicDecoder
from textvae.errors import RequestError
from textvae.likelihoods import Multinomial, TopicMixture
from textvae.priors.logistic_normal import LogisticNormal


@pytest.mark.parametrize(("topics", "alpha"), [(3, 0.1), (50, 0.02), (50, 1.0)])
def test_the_prior_is_the_laplace_approximation_of_a_dirichlet(topics, alpha):
    a = torch.full((topics,), alpha, dtype=torch.float64)  # Srivastava & Sutton 2017, eq. 5, written out
    mean = a.log() - a.log().mean()
    variance = 1 / a * (1 - 2 / topics) + (1 / a).sum() / topics**2
    p = LogisticNormal(topics, alpha)()
    torch.testing.assert_close(p.mean.double(), mean)
    torch.testing.assert_close(p.variance.double(), variance)


def test_a_large_alpha_gives_the_dirichlets_own_spread():
    shares = LogisticNormal(40, 50.0)().sample(torch.Size([20_000])).softmax(-1)
    exact = Dirichlet(torch.full((40,), 50.0))
    torch.testing.assert_close(shares.mean(0), exact.mean, atol=0.001, rtol=0)
    torch.testing.assert_close(shares.var(0), exact.variance, atol=0, rtol=0.1)


@pytest.mark.parametrize("alpha", [0.0, -1.0, float("nan"), float("inf")])
def test_an_alpha_that_makes_no_dirichlet_is_refused(alpha):
    with pytest.raises(RequestError, match="alpha"):
        LogisticNormal(4, alpha)


def test_shares_sum_to_1_and_dropout_leaves_topics_out_in_training_only():
    decoder, z = TopicDecoder(5, dropout=0.5), torch.randn(100, 5)
    shares = decoder.eval()(z, z)
    torch.testing.assert_close(shares, z.softmax(-1))
    dropped = decoder.train()(z, z)
    assert (dropped == 0).float().mean() == pytest.approx(0.5, abs=0.1)
    assert decoder.topical
    assert decoder.simplex
    assert MLPDecoder(5, []).topical
    assert not MLPDecoder(5, [5]).topical


def test_a_mixture_of_topics_mixes_probabilities_and_a_product_mixes_logits():
    mixture, product = TopicMixture(2, (4,)), Multinomial(2, (4,))
    torch.nn.init.zeros_(product.head.bias)
    product.head.weight.data.copy_(mixture.head.weight)
    h = torch.tensor([[0.3, 0.7], [1.0, 0.0]])
    beta = mixture.head.weight.T.softmax(-1)
    torch.testing.assert_close(mixture.mean(h), h @ beta)
    torch.testing.assert_close(product.mean(h), (h @ product.head.weight.T).softmax(-1))
    torch.testing.assert_close(mixture.topics(), beta)
    torch.testing.assert_close(product.topics(), beta)
    x = torch.tensor([[2.0, 0, 1, 0], [0, 0, 0, 0]])
    torch.testing.assert_close(mixture.log_prob(h, x), torch.stack([(x[0] * (h[0] @ beta).log()).sum(), x[1].sum()]))
    torch.testing.assert_close(mixture.mean(h * 0.5), mixture.mean(h))  # what dropout leaves is shared out
    assert torch.isfinite(mixture.log_prob(torch.zeros(2, 2), x)).all()


def test_batch_norm_standardises_each_words_logits_and_keeps_its_shift():
    likelihood = Multinomial(3, (6,), batch_norm=True).train()
    likelihood.norm.shift.data = torch.arange(6.0)
    h = torch.randn(200, 3)
    logits = likelihood.norm(likelihood.head(h))
    torch.testing.assert_close(logits.mean(0), torch.arange(6.0), atol=1e-4, rtol=0)
    torch.testing.assert_close(logits.std(0, correction=0), torch.ones(6), atol=1e-3, rtol=0)
    likelihood.eval()
    torch.testing.assert_close(likelihood.mean(h[:1]), likelihood.mean(h)[:1])


def test_the_words_own_frequencies_are_there_before_training():
    shares = (0.5, 0.25, 0.0, 0.125)
    expected = torch.tensor([0.5, 0.25, 0.0625, 0.125])  # a word of no document counts as half of the rarest
    for likelihood in (Multinomial(3, (4,), shares), TopicMixture(3, (4,), shares)):
        torch.nn.init.zeros_(likelihood.head.weight) if likelihood.head.bias is not None else None
        got = likelihood.mean(torch.zeros(1, 3) if likelihood.head.bias is not None else torch.eye(3))
        close = {"atol": 1e-6} if likelihood.head.bias is not None else {"atol": 0.3}
        torch.testing.assert_close(got[0], expected / expected.sum(), rtol=0, **close)
    normed = Multinomial(3, (4,), shares, batch_norm=True)
    torch.testing.assert_close(normed.norm.shift.softmax(0), expected / expected.sum())
    assert torch.isfinite(Multinomial(3, (4,), (0.0,) * 4).head.bias).all()
