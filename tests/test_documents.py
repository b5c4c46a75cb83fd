"""What is measured of documents, against numbers worked out by hand."""

import math

import numpy as np
import pytest
import torch

from tests.toys import Memory, batches_of, vae_of
from textvae.batching import Batches
from textvae.errors import RequestError
from textvae.evaluation.bounds import evaluate
from textvae.evaluation.documents import Topics, codes, diversity, npmi, shares, topics, unigram_perplexity


def bag(**counts):
    """A document over the words a, b, c, d."""
    return np.array([["abcd".index(word) for word in counts], list(counts.values())], np.uint32)


DOCUMENTS = [bag(a=1, b=2), bag(a=3, b=1), bag(a=1), bag(c=1), np.zeros((2, 0), np.uint32)]


def test_npmi_by_hand():
    p_a, p_b, p_ab = 3 / 5, 2 / 5, 2 / 5
    expected = math.log(p_ab / (p_a * p_b)) / -math.log(p_ab)
    assert npmi(torch.tensor([[0, 1]]), DOCUMENTS) == pytest.approx(expected)
    assert npmi(torch.tensor([[0, 2]]), DOCUMENTS) == -1, "they never meet"
    assert npmi(torch.tensor([[0, 3]]), DOCUMENTS) == -1, "a word that is in none of them"
    assert npmi(torch.tensor([[0, 1], [2, 0]]), DOCUMENTS) == pytest.approx((expected - 1) / 2)
    assert npmi(torch.tensor([[0, 1, 2]]), DOCUMENTS) == pytest.approx((expected - 2) / 3)
    assert npmi(torch.tensor([[0, 1]]), DOCUMENTS * 2_000) == pytest.approx(expected), "counted piece by piece"


def test_npmi_of_words_that_always_come_together_is_1_and_of_words_of_every_document_0():
    pair = [bag(a=1, b=1), bag(a=1, b=1), bag(c=1)]
    assert npmi(torch.tensor([[0, 1]]), pair) == pytest.approx(1)
    assert npmi(torch.tensor([[0, 1]]), pair[:2]) == 0
    assert npmi(torch.tensor([[0, 1]]), []) == -1


def test_diversity_is_the_share_of_different_words():
    assert diversity(torch.tensor([[0, 1], [1, 2]])) == 0.75
    assert diversity(torch.tensor([[0, 1], [0, 1]])) == 0.5


def test_words_are_ranked_by_relevance():
    found = Topics(torch.tensor([[0.5, 0.4, 0.1]]), torch.tensor([0.8, 0.1, 0.1]))
    expected = [0.6 * math.log(p) + 0.4 * math.log(p / q) for p, q in ((0.5, 0.8), (0.4, 0.1), (0.1, 0.1))]
    assert found.relevance()[0].tolist() == pytest.approx(expected, abs=1e-5)
    assert found.first(2).tolist() == [[1, 0]]
    assert found.first(25).tolist() == [[1, 0, 2]]


def test_the_unigram_model_by_hand():
    # a: 5, b: 3, c: 1, d: 0, each once more, of 13
    expected = math.exp(-(2 * math.log(6 / 13) + math.log(1 / 13)) / 3)
    held = Memory([bag(a=2, d=1), DOCUMENTS[-1]])
    assert unigram_perplexity(Memory(DOCUMENTS), held, 4) == pytest.approx(expected)


def test_perplexity_of_documents_and_of_the_corpus():
    vae = vae_of("documents/vae")
    with torch.no_grad():  # a code that says nothing: the distortion is that of one distribution, the rate 0
        for p in vae.model.parameters():
            p.zero_()
        share = torch.arange(1.0, len(vae.codec.words) + 1)
        vae.model.likelihood.head.bias.copy_(share.log())
    share = share / share.sum()
    x = [np.array([[0], [3]], np.uint32), np.array([[5], [1]], np.uint32), np.zeros((2, 0), np.uint32)]
    report = evaluate(vae.model, Batches(Memory(x), vae.codec.collate, 2, shuffle=False))
    assert report.rate == 0
    assert report.tokens == 4
    assert report.empty == 1
    corpus = -(3 * share[0].log() + share[5].log()) / 4
    document = -(share[0].log() + share[5].log()) / 2
    assert report.perplexity == pytest.approx(float(corpus.exp()), rel=1e-5)
    assert report.perplexity_document == pytest.approx(float(document.exp()), rel=1e-5)


@pytest.mark.parametrize("recipe", ["documents/nvdm", "documents/prodlda", "documents/nvlda"])
def test_topics_are_distributions_of_words_and_codes_stand_in_the_order_of_the_documents(recipe):
    vae = vae_of(recipe)
    found = topics(vae.model)
    assert found.words.shape == (3, len(vae.codec.words))
    torch.testing.assert_close(found.words.sum(1), torch.ones(3))
    torch.testing.assert_close(found.background.sum(), torch.tensor(1.0))
    batches = batches_of(vae, shuffle=False)
    vae.model.train()
    z = codes(vae.model, batches)
    assert vae.model.training
    one = vae.encode(vae.codec.decode(vae.codec.collate([batches.examples[5]])))[0]
    torch.testing.assert_close(z[5], one)
    of_topics = shares(vae.model, batches)[5]
    torch.testing.assert_close(of_topics, one.softmax(-1) if vae.model.decoder.simplex else one)


@pytest.mark.parametrize(
    ("recipe", "assignments"), [("documents/vae", {"model.decoder.hidden_sizes": [4]}), ("images/vae", {})]
)
def test_a_model_without_topics_says_so(recipe, assignments):
    with pytest.raises(RequestError, match="has no topics"):
        topics(vae_of(recipe, assignments).model)
