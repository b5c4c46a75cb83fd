"""Metrics of samples, by hand."""

import math

import pytest

from textvae.evaluation.judge import count_ngrams, fit_language_model
from textvae.evaluation.samples import distinct, evaluate_samples, self_bleu
from textvae.evaluation.text import perplexity

from .toys import vae_of


def test_distinct_by_hand():
    texts = ["a b a b", "a c"]
    assert distinct(texts, 1) == 3 / 6
    assert distinct(texts, 2) == 3 / 4  # ab ba ab | ac
    assert distinct(["a"], 2) == 0.0


def test_self_bleu_of_copies_is_100_and_of_strangers_is_low():
    assert self_bleu(["one two three four five"] * 3) == pytest.approx(100)
    assert self_bleu(["one two three four", "five six seven eight"]) < 10
    assert self_bleu(["alone"]) == 0.0


def test_samples_are_compared_with_the_training_split_and_judged_both_ways():
    vae = vae_of("sentences/language_model")
    training = ["the cat sleeps here", "the dog waits outside", "a bird eats at home"] * 10
    judge = count_ngrams(training, vae.codec)
    asked = []

    def fit(texts):
        asked.extend(texts)
        return judge

    samples = ["the cat sleeps here", "the cat sleeps here", "a new one", ""]
    report = evaluate_samples(samples, training[:3], iter(training), judge, fit)
    assert report.samples == 4
    assert report.unique == 3 / 4
    assert report.verbatim == 2 / 4
    assert asked == samples[:3]
    assert report.reverse_perplexity == report.text_perplexity == judge(training[:3])


def test_ngrams_find_their_own_text_more_probable_and_count_words_as_a_language_model_does():
    vae = vae_of("sentences/language_model")
    judge = count_ngrams(["the cat sleeps here", "the dog sleeps there"] * 5, vae.codec)
    assert judge(["the cat sleeps there"]) < judge(["zebras yawn quietly tonight"]) < 2 * vae.codec.vocab_size
    x = vae.batch(["the cat sleeps there", "rain"])
    log_p = vae.codec.count(["rain"], 5).log_prob(x)
    tokens = (x[:, 1:] != 0).sum()
    assert count_ngrams(["rain"], vae.codec)(["the cat sleeps there", "rain"]) == pytest.approx(
        math.exp(-float(log_p.sum()) / int(tokens))
    )


def test_a_fitted_language_model_finds_its_own_text_more_probable():
    vae = vae_of("sentences/language_model")
    own, strange = ["the cat sleeps here"] * 60, ["zebras yawn quietly tonight"]
    judge = fit_language_model(own, vae, epochs=6)
    assert judge.settings.model.latent_size == 0
    assert perplexity(judge, own[:2]) < perplexity(judge, strange)
    assert math.isfinite(perplexity(judge, strange))
