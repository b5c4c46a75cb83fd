"""N-grams against a slow reference that counts and backs off word by word, and the mixture that reads them."""

from collections import Counter

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from tests.toys import SENTENCES, homes, shaken, vae_of
from textvae.codecs.base import BOS, EOS, PAD
from textvae.codecs.words import WordCodec
from textvae.errors import CorruptFolder, RequestError
from textvae.latent.imputation import Imputation, _Search, parts_of
from textvae.ngram_mixture import NGramMixture
from textvae.ngrams import FILE, MOST, NGrams
from textvae.tensors import load, save, state

V = 9  # four special ids and five words
rng = np.random.default_rng(3)
CORPUS = [[BOS, *rng.integers(4, V, n).tolist(), EOS] for n in rng.integers(1, 8, 40)]


def reference(corpus, order, words, before):
    """p(word | before) by modified Kneser-Ney smoothing, from counts in dictionaries."""
    grams = {k: Counter() for k in range(1, order + 1)}
    for ids in corpus:
        for end in range(1, len(ids)):
            longest = min(order, end + 1)
            grams[longest][tuple(ids[end + 1 - longest : end + 1])] += 1
    kinds = {k: {tuple(ids[i : i + k]) for ids in corpus for i in range(len(ids) - k + 1)} for k in range(1, order + 1)}
    for k in range(1, order):
        for longer in kinds[k + 1]:
            grams[k][longer[1:]] += 1
    return {word: _p(grams, order, word, tuple(before)) for word in words}


def _p(grams, k, word, before):
    if k == 0:
        return 1 / V
    before = before[max(0, len(before) - k + 1) :]
    if len(before) < k - 1:
        return _p(grams, k - 1, word, before)
    shorter = _p(grams, k - 1, word, before)
    after = {g[-1]: n for g, n in grams[k].items() if g[:-1] == before}
    if not after:
        return shorter
    n = Counter(grams[k].values())
    y = n[1] / max(1, n[1] + 2 * n[2])
    d = {0: 0.0}
    for j in range(1, MOST + 1):
        found = j - (j + 1) * y * n[j + 1] / n[j] if n[j] else 0.5
        d[j] = min(max(found, 0.1), j - 0.05)
    left = sum(d[min(c, MOST)] for c in after.values()) / sum(after.values())
    c = after.get(word, 0)
    return max(0.0, c - d[min(c, MOST)]) / sum(after.values()) + left * shorter


@pytest.mark.parametrize("order", [2, 3, 5])
def test_probabilities_are_those_of_the_reference_and_sum_to_1(order):
    ngrams = NGrams.fit(CORPUS, V, order)
    for ids in [*CORPUS[:5], [BOS, 4, 4, 4, 4, 4, EOS], [BOS, EOS], [BOS, 8, 5, 7, 4, 6, EOS]]:
        x = torch.tensor([ids])
        p = ngrams(x)[0][0]
        for t in range(1, len(ids)):
            expected = reference(CORPUS, order, range(V), ids[:t])
            following, left = ngrams.following(x[:, :t])
            torch.testing.assert_close(following[0], torch.tensor(list(expected.values())), atol=1e-5, rtol=1e-4)
            torch.testing.assert_close(following.sum(), torch.tensor(1.0), atol=1e-5, rtol=0)
            torch.testing.assert_close(p[t - 1], following[0, ids[t]], atol=1e-6, rtol=1e-4)
            torch.testing.assert_close(ngrams(x)[1][0, t - 1], left[0], atol=1e-6, rtol=1e-4)


def test_a_held_out_word_is_as_probable_as_where_its_sentence_was_counted_without_it():
    """Of a word at the end of its sentence nothing else is counted: the rest of the corpus and its beginning are."""
    order, ids = 3, CORPUS[0]
    counts = NGrams.fit(CORPUS, V, order)
    cut = NGrams.fit([ids[:-1], *CORPUS[1:]], V, order)
    cut.discounts.copy_(counts.discounts)  # which stay as they are
    p = counts(torch.tensor([ids]), held_out=True)[0][0, -1]
    torch.testing.assert_close(p, cut.following(torch.tensor([ids[:-1]]))[0][0, EOS], atol=1e-6, rtol=1e-4)


def test_a_held_out_training_set_is_as_surprising_as_new_text():
    words = np.random.default_rng(0)
    table = words.dirichlet(np.full(5, 0.5), size=V)  # a Markov chain

    def draw():
        ids = [BOS]
        for _ in range(8):
            ids.append(int(words.choice(5, p=table[ids[-1]])) + 4)
        return [*ids, EOS]

    seen, new = ([draw() for _ in range(400)] for _ in range(2))
    ngrams = NGrams.fit(seen, V, 4)
    nll = [
        -ngrams(torch.tensor(x), held_out=held)[0].log().mean()
        for x, held in [(new, False), (seen, True), (seen, False)]
    ]
    assert abs(nll[0] - nll[1]) < 0.03
    assert nll[2] < nll[0] - 0.05


def test_neither_batch_nor_padding_changes_a_probability():
    ngrams = NGrams.fit(CORPUS, V, 4)
    longest = max(map(len, CORPUS))
    x = torch.tensor([ids + [PAD] * (longest - len(ids)) for ids in CORPUS])
    for held in (False, True):
        together = ngrams(x, held)[0]
        for row, ids in zip(together, CORPUS):
            torch.testing.assert_close(row[: len(ids) - 1], ngrams(torch.tensor([ids]), held)[0][0])
    padded = torch.tensor([[PAD, PAD, BOS], [PAD, BOS, 5]])
    for row, bare in zip(padded, ([BOS], [BOS, 5])):
        torch.testing.assert_close(ngrams.following(row[None])[0], ngrams.following(torch.tensor([bare]))[0])


def test_of_no_sentences_it_expects_the_end():
    p = NGrams.fit([], V, 3).following(torch.tensor([[BOS], [5]]))[0]
    assert p[0].argmax() == EOS
    torch.testing.assert_close(p.sum(1), torch.ones(2))


@pytest.mark.parametrize("order", [-1, 1, 9])
def test_an_order_out_of_range_is_refused(order):
    with pytest.raises(RequestError, match="from 2 to 8"):
        WordCodec.fit(SENTENCES, ngrams=order)


def test_counts_come_back_from_a_folder_and_damage_is_seen(tmp_path):
    codec = WordCodec.fit(iter(SENTENCES), vocab_size=20, ngrams=4)  # an iterator can be read but once
    codec.save(tmp_path)
    again = WordCodec.load(tmp_path, ngrams=4)
    x = codec.collate(codec.encode(SENTENCES))
    assert torch.equal(codec.ngrams(x)[0], again.ngrams(x)[0])
    assert WordCodec.load(tmp_path).ngrams is None
    good = load(tmp_path / FILE)
    keys, counts = good["keys"], good["counts"]
    for bad in (
        {"keys": keys.flip(0)},
        {"keys": keys + 10**6},
        {"keys": keys.int()},
        {"keys": keys[:0], "counts": counts[: codec.vocab_size]},
        {"keys": -keys},
        {"counts": counts[1:]},
        {"counts": -counts},
        {"counts": counts[None]},
    ):
        save(tmp_path / FILE, good | bad)
        with pytest.raises(CorruptFolder, match="n-grams"):
            WordCodec.load(tmp_path, ngrams=4)
    save(tmp_path / FILE, good)
    with pytest.raises(CorruptFolder, match="n-grams"):
        WordCodec.load(tmp_path, ngrams=3)  # deeper than its order
    (tmp_path / FILE).unlink()
    with pytest.raises(CorruptFolder, match="missing"):
        WordCodec.load(tmp_path, ngrams=4)


MIXTURE = {"model.likelihood.name": "ngram_mixture"}


def test_words_of_a_mixture_have_the_probabilities_that_generation_gives_them():
    for vae in homes("likelihood", "ngram_mixture", {})[:4]:
        model, x = vae.model.eval(), vae.batch(SENTENCES[:5])
        hidden = model.hidden(x, torch.randn(5, model.prior().event_shape[0]))
        each = torch.zeros(5)
        for t in range(1, x.shape[1]):
            before = x[:, max(0, t - model.likelihood.reads) : t]
            logits = model.likelihood.logits(hidden[:, t - 1], before)
            torch.testing.assert_close(logits.exp().sum(1), torch.ones(5), atol=1e-4, rtol=0)
            each += logits.log_softmax(-1).gather(1, x[:, t : t + 1])[:, 0] * (x[:, t] != PAD)
        torch.testing.assert_close(model.likelihood.log_prob(hidden, x), each, atol=1e-3, rtol=1e-4)


@pytest.mark.parametrize("alone", [0.0, 0.3, 1.0])
def test_what_the_network_learns_from_is_shared_between_its_own_words_and_the_mixture(alone):
    ngrams = NGrams.fit(CORPUS, V, 3)
    likelihood = NGramMixture(6, V, ngrams=ngrams, alone=alone).train()
    x, hidden = torch.tensor([CORPUS[0]]), torch.randn(1, len(CORPUS[0]) - 1, 6, requires_grad=True)
    gradient = torch.autograd.grad(-likelihood.log_prob(hidden, x).sum(), [hidden, likelihood.gate.weight])

    own = F.linear(hidden, likelihood.weight, likelihood.bias).log_softmax(-1).gather(2, x[:, 1:, None])[..., 0]
    p, left = ngrams(x, held_out=True)
    share = likelihood.gate(torch.cat([hidden.detach(), left], -1)).sigmoid()[..., 0]
    by_gate = -(share * own.detach().exp() + (1 - share) * p).log().sum()
    by_network = -(alone * own + (1 - alone) * (share.detach() * own.exp() + (1 - share.detach()) * p).log()).sum()
    torch.testing.assert_close(-likelihood.log_prob(hidden, x)[0], by_gate)
    torch.testing.assert_close(gradient[0], *torch.autograd.grad(by_network, [hidden]))
    torch.testing.assert_close(gradient[1], *torch.autograd.grad(by_gate, [likelihood.gate.weight]))
    assert not any("ngrams" in name for name in state(likelihood))


@torch.no_grad()
def test_blanks_are_filled_in_the_order_of_the_mixture_s_own_log_p():
    vae = vae_of("sentences/ptb", MIXTURE)
    shaken(vae.model.eval(), 0.5)
    how = Imputation(max_words=2, max_tokens=2, beam_size=30, codes=1, turns=1, iw_samples=1)
    search = _Search(vae, parts_of("the ___ sat on ___ mat"), how)
    z = torch.randn(1, vae.settings.model.latent_size)
    found = search.proposals(z)
    x = vae.batch([search.fill(words) for words in found])
    scores = vae.model.log_px(x, z.expand(len(x), -1)[None])[0]
    assert len(found) > 20
    assert (scores.diff() < 1e-4).all()


def test_a_mixture_without_counts_says_where_they_come_from():
    with pytest.raises(RequestError, match=r"codec\.ngrams=5"):
        NGramMixture(4, V)
    with pytest.raises(RequestError, match="from 0 to 1"):
        vae_of("sentences/lstm", {**MIXTURE, "model.likelihood.alone": 1.5})
