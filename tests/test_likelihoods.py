"""Likelihoods against torch's own distributions, and the chunked cross-entropy against the plain one."""

import math

import pytest
import torch
import torch.nn.functional as F
from torch import distributions as D
from torch import nn

from tests.toys import shaken
from textvae.errors import RequestError
from textvae.likelihoods import (
    BLOCK,
    Bernoulli,
    Categorical,
    DiagonalGaussian,
    DiscretisedLogistic,
    Gaussian,
    Multinomial,
    linear_cross_entropy,
)


def test_categorical_sums_over_words_and_end_symbols_and_not_over_padding():
    likelihood = Categorical(hidden_size=5, vocab_size=11)
    x = torch.tensor([[2, 7, 9, 3, 0, 0], [2, 4, 5, 6, 8, 3], [2, 3, 0, 0, 0, 0]])
    hidden = torch.randn(3, 5, 5)
    words = D.Categorical(logits=hidden @ likelihood.weight.T + likelihood.bias)
    scores = words.log_prob(x[:, 1:]).detach()
    by_hand = torch.stack([scores[0, :3].sum(), scores[1].sum(), scores[2, 0]])
    torch.testing.assert_close(likelihood.log_prob(hidden, x).detach(), by_hand)
    assert likelihood.units(x).tolist() == [3, 5, 1]
    hidden[0, 3:] = torch.nan  # what a decoder says of padding is never looked at
    torch.testing.assert_close(likelihood.log_prob(hidden, x).detach(), by_hand)


def test_tied_weights_are_the_embedding_behind_a_projection_where_sizes_differ():
    same, other = nn.Embedding(11, 5), nn.Embedding(11, 7)
    assert Categorical(5, 11, same, tied=True).weight is same.weight
    tied = Categorical(5, 11, other, tied=True)
    assert tied.weight is other.weight
    assert tied.projection.out_features == 7
    assert tied.logits(torch.randn(2, 5), torch.zeros(2, 1)).shape == (2, 11)
    assert Categorical(5, 11, same, tied=False).weight is not same.weight


@pytest.mark.parametrize("tied", [False, True])
def test_a_temperature_divides_the_logits_wherever_they_are_read_and_not_in_training(tied):
    embedding, x = nn.Embedding(11, 4 if tied else 5), torch.tensor([[2, 7, 9, 3], [2, 4, 5, 3]])
    plain, warm = (Categorical(5, 11, embedding, tied=tied, temperature=t) for t in (1.0, 1.7))
    plain.load_state_dict(shaken(warm).state_dict())
    hidden, before = torch.randn(2, 3, 5), torch.zeros(2, 1).long()
    torch.testing.assert_close(warm.log_prob(hidden, x), plain.log_prob(hidden, x))
    plain.eval(), warm.eval()
    logits = plain.logits(hidden.flatten(0, 1), before) / 1.7
    right = D.Categorical(logits=logits.view(2, 3, -1)).log_prob(x[:, 1:]).sum(1)
    torch.testing.assert_close(warm.log_prob(hidden, x), right)
    torch.testing.assert_close(warm.logits(hidden.flatten(0, 1), before), logits)
    for rows in (1, 8):
        with torch.no_grad():
            found = warm.stepwise_logits(rows, 4)(hidden[0, :1], before[:1])
        torch.testing.assert_close(found[:, :11], logits[:1], atol=1e-5, rtol=1e-5)
    with pytest.raises(RequestError, match="over 0; 0 is not"):
        Categorical(5, 11, temperature=0)


def test_multinomial_is_the_probability_of_the_words_in_one_order():
    likelihood = Multinomial(4, (6,))
    hidden, x = torch.randn(3, 4), torch.randint(0, 4, (3, 6)).float()
    logits = likelihood.head(hidden)
    rows = []
    for row, counts in zip(logits, x):
        full = D.Multinomial(int(counts.sum()), logits=row).log_prob(counts)
        rows.append(full - math.lgamma(counts.sum() + 1) + torch.lgamma(counts + 1).sum())
    torch.testing.assert_close(likelihood.log_prob(hidden, x), torch.stack(rows))
    assert likelihood.units(x).tolist() == x.sum(1).tolist()
    torch.testing.assert_close(likelihood.mean(hidden).sum(1), torch.ones(3))
    drawn = likelihood.draw(hidden, 5000)
    assert drawn.sum(1).tolist() == [5000] * 3
    torch.testing.assert_close(drawn / 5000, likelihood.mean(hidden).detach(), atol=0.05, rtol=0)


def test_an_empty_document_costs_nothing():
    assert Multinomial(4, (6,)).log_prob(torch.randn(1, 4), torch.zeros(1, 6)).tolist() == [0.0]


def test_bernoulli_is_torchs_on_black_and_white_and_cross_entropy_on_grey():
    likelihood = Bernoulli(4, (1, 2, 3))
    hidden = torch.randn(5, 4)
    p = likelihood.mean(hidden)
    assert p.shape == (5, 1, 2, 3)
    x = torch.rand(5, 1, 2, 3).round()
    expected = D.Bernoulli(probs=p).log_prob(x).flatten(1).sum(1)
    torch.testing.assert_close(likelihood.log_prob(hidden, x), expected, atol=1e-5, rtol=1e-5)
    grey = torch.rand(5, 1, 2, 3)
    expected = (grey * p.log() + (1 - grey) * (1 - p).log()).flatten(1).sum(1)
    torch.testing.assert_close(likelihood.log_prob(hidden, grey), expected, atol=1e-5, rtol=1e-5)
    assert set(likelihood.draw(hidden).unique().tolist()) <= {0.0, 1.0}
    assert likelihood.units(x).tolist() == [6] * 5


def test_gaussian_is_a_density_normaliser_included():
    likelihood = Gaussian(4, (3, 2, 2), scale=0.3)
    hidden, x = torch.randn(5, 4), torch.randn(5, 3, 2, 2)
    expected = D.Normal(likelihood.mean(hidden), 0.3).log_prob(x).flatten(1).sum(1)
    torch.testing.assert_close(likelihood.log_prob(hidden, x), expected)
    draws = torch.stack([likelihood.draw(hidden) for _ in range(400)])
    torch.testing.assert_close(draws.std(0), torch.full((5, 3, 2, 2), 0.3), atol=0.08, rtol=0)
    assert likelihood.log_scale.requires_grad


def test_a_diagonal_gaussian_has_a_deviation_for_each_pixel():
    likelihood = DiagonalGaussian(4, (3, 2, 2), least=0.5).requires_grad_(False)
    hidden, x = 2 * torch.randn(5, 4), torch.randn(5, 3, 2, 2)
    deviation = likelihood.log_scale(hidden).exp()
    assert deviation.shape == x.shape
    assert deviation.min() == pytest.approx(0.5)
    assert deviation.max() > 1
    expected = D.Normal(likelihood.mean(hidden), deviation).log_prob(x).flatten(1).sum(1)
    torch.testing.assert_close(likelihood.log_prob(hidden, x), expected)
    draws = torch.stack([likelihood.draw(hidden) for _ in range(400)])
    torch.testing.assert_close(draws.std(0) / deviation, torch.ones(5, 3, 2, 2), atol=0.2, rtol=0)
    with pytest.raises(RequestError, match="over 0"):
        DiagonalGaussian(4, (1, 2, 2), least=0.0)


def test_sentences_of_any_lengths_are_scored_by_products_of_few_sizes_and_their_gradients_are_torchs(monkeypatch):
    likelihood, sizes = Categorical(hidden_size=5, vocab_size=11), set()

    def watched(hidden, *others):
        sizes.add(len(hidden))
        return linear_cross_entropy(hidden, *others)

    monkeypatch.setattr("textvae.likelihoods.linear_cross_entropy", watched)
    for words in range(1, 40):
        x = torch.cat([torch.full((9, 1), 2), torch.randint(4, 11, (9, words))], 1)
        hidden = torch.randn(9, words, 5, requires_grad=True)
        expected = -F.cross_entropy(likelihood.logits(hidden, x).transpose(1, 2), x[:, 1:], reduction="none").sum(1)
        log_p, weight = likelihood.log_prob(hidden, x), torch.randn(9)
        torch.testing.assert_close(log_p, expected)
        own, plain = (torch.autograd.grad(y, [hidden, *likelihood.parameters()], weight) for y in (log_p, expected))
        torch.testing.assert_close(own, plain, atol=1e-5, rtol=1e-4)
    assert sizes == {128, 256, 384}


def test_a_multinomial_of_pictures_is_refused():
    with pytest.raises(RequestError, match="counts"):
        Multinomial(4, (1, 8, 8))


def tensors(m, v=7, h=5, dtype=torch.float64):
    hidden = torch.randn(m, h, dtype=dtype, requires_grad=True)
    weight = torch.randn(v, h, dtype=dtype, requires_grad=True)
    bias = torch.randn(v, dtype=dtype, requires_grad=True)
    return hidden, weight, bias, torch.randint(0, v, (m,))


@pytest.mark.parametrize("m", [1, 4])
def test_gradient_of_the_cross_entropy_equals_finite_differences(m):
    hidden, weight, bias, targets = tensors(m)
    assert torch.autograd.gradcheck(lambda h, w, b: linear_cross_entropy(h, w, b, targets), (hidden, weight, bias))


@pytest.mark.parametrize("kept", [0, 4 * 7, 6 * 7])
def test_gradient_equals_finite_differences_across_blocks(monkeypatch, kept):
    monkeypatch.setattr("textvae.likelihoods.BLOCK", 3)
    monkeypatch.setattr("textvae.likelihoods.STRIP", 2)
    monkeypatch.setattr("textvae.likelihoods.KEPT", kept)
    hidden, weight, bias, targets = tensors(7)
    assert torch.autograd.gradcheck(lambda h, w, b: linear_cross_entropy(h, w, b, targets), (hidden, weight, bias))


@pytest.mark.parametrize("m", [0, 1, BLOCK - 1, BLOCK, BLOCK + 1, 2 * BLOCK + 5])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_cross_entropy_and_its_gradients_equal_torchs(m, dtype):
    own, plain = tensors(m, dtype=dtype), []
    for tensor in own[:3]:
        plain.append(tensor.detach().clone().requires_grad_())
    grad = torch.randn(m, dtype=dtype)  # each row has a weight of its own
    nll = linear_cross_entropy(*own)
    expected = F.cross_entropy(F.linear(*plain), own[3], reduction="none")
    tight = {"atol": 1e-10, "rtol": 1e-8} if dtype == torch.float64 else {"atol": 2e-4, "rtol": 1e-4}
    assert nll.dtype == dtype
    torch.testing.assert_close(nll, expected, **tight)
    nll.backward(grad)
    expected.backward(grad)
    for a, b in zip(own, plain):
        torch.testing.assert_close(a.grad, b.grad, **tight)


def test_cross_entropy_of_extreme_logits_is_finite():
    hidden = torch.tensor([[1e4, -1e4]], requires_grad=True)
    nll = linear_cross_entropy(hidden, torch.eye(2), torch.zeros(2), torch.tensor([1]))
    assert nll.item() == pytest.approx(2e4)
    nll.sum().backward()
    assert hidden.grad.isfinite().all()


def test_under_bf16_autocast_it_is_close_and_the_gradients_are_float32():
    own = tensors(2 * BLOCK, v=50, h=32, dtype=torch.float32)
    with torch.no_grad():
        own[1].mul_(0.3)
    plain = [t.detach().clone().requires_grad_() for t in own[:3]]
    with torch.autocast("cpu", torch.bfloat16):
        nll = linear_cross_entropy(*own)
    assert nll.dtype == torch.float32
    expected = F.cross_entropy(F.linear(*plain), own[3], reduction="none")
    error = (nll - expected).detach()
    assert float(error.abs().max()) < 0.05
    assert float(error.mean().abs()) < 0.005
    nll.mean().backward()
    expected.mean().backward()
    for a, b in zip(own, plain):
        assert a.grad.dtype == torch.float32
        assert float((a.grad - b.grad).norm() / b.grad.norm()) < 0.02


def test_a_gaussian_of_fixed_scale_is_the_squared_error():
    likelihood = Gaussian(4, (1, 2, 3), scale=0.5**0.5, learned=False)
    hidden, x = torch.randn(5, 4), torch.rand(5, 1, 2, 3)
    error = ((x - likelihood.mean(hidden)) ** 2).flatten(1).sum(1)
    torch.testing.assert_close(-likelihood.log_prob(hidden, x), error + 3 * math.log(math.pi))
    assert not likelihood.log_scale.requires_grad


def every_byte(likelihood, hidden):
    """p of each of the 256 bytes of a one-pixel picture."""
    x = torch.arange(256).view(-1, 1, 1, 1) / 255
    return likelihood.log_prob(hidden.expand(256, -1), x).exp()


@pytest.mark.parametrize("scale", [1e-4, 0.002, 0.1, 3.0])
@pytest.mark.parametrize("middle", [-0.5, 0.0, 0.3, 1.0])
def test_the_probabilities_of_256_bytes_sum_to_one(scale, middle):
    likelihood = DiscretisedLogistic(1, (1, 1, 1), scale=scale)
    with torch.no_grad():
        likelihood.head.weight.fill_(1.0)
        likelihood.head.bias.zero_()
        p = every_byte(likelihood, torch.tensor([[middle]]))
    assert float(p.sum()) == pytest.approx(1.0, abs=1e-5)
    edges = (torch.arange(257, dtype=torch.float64) - 0.5) / 255
    edges[0], edges[-1] = -torch.inf, torch.inf
    expected = torch.sigmoid((edges - middle) / scale).diff()
    torch.testing.assert_close(p.double(), expected, atol=2e-3, rtol=1e-3)


def test_a_discretised_logistic_scores_what_is_far_off_without_infinities_and_draws_bytes():
    likelihood = DiscretisedLogistic(1, (1, 1, 1), scale=1e-3)
    hidden = torch.full((1, 1), 50.0, requires_grad=True)
    found = likelihood.log_prob(hidden, torch.full((1, 1, 1, 1), 10 / 255))
    found.sum().backward()
    assert torch.isfinite(found).all()
    assert torch.isfinite(hidden.grad).all()
    wide = DiscretisedLogistic(4, (3, 5, 5), scale=0.2)
    drawn = wide.draw(torch.randn(50, 4))
    torch.testing.assert_close(drawn * 255, (drawn * 255).round(), atol=1e-3, rtol=0)
    assert drawn.min() >= 0
    assert drawn.max() <= 1
    assert wide.log_scale.shape == (3, 1, 1)


@pytest.mark.parametrize("likelihood", [Gaussian, DiscretisedLogistic])
def test_scales_are_over_0(likelihood):
    with pytest.raises(RequestError, match="over 0"):
        likelihood(4, (1, 2, 2), scale=0.0)
