"""Word vectors from counts: a slow reference, what a new model begins with, and what it keeps as it was drawn."""

import numpy as np
import pytest
import torch

from tests.toys import SENTENCES, batches_of, codec_of, objective_of, settings_of, vae_of
from textvae.codecs.words import WordCodec
from textvae.run_folder import RunFolder
from textvae.tensors import state
from textvae.text_vae import TextVAE
from textvae.trainer import Trainer
from textvae.word_vectors import APART, SMOOTHED, word_vectors

LM = "sentences/language_model"
WORDS = {"codec.name": "words"}


def laid_out(encoded):
    """Encoded sentences one after the other, and the place of each token in its sentence."""
    return np.concatenate(encoded).astype(np.int64), np.concatenate([np.arange(len(ids)) for ids in encoded])


def reference(encoded, vocab_size):
    """U √S of the positive pointwise mutual information, pair by pair, each row of length 1; and which are not 0."""
    near = np.zeros((2, vocab_size, vocab_size))  # the words before, and those after
    for ids in encoded:
        for i in range(len(ids)):
            for j in range(len(ids)):
                if 0 < abs(i - j) <= APART:
                    near[int(j > i), ids[i], ids[j]] += 1 / abs(i - j)
    total = near.sum((0, 2))
    around = near.sum(1) ** SMOOTHED
    expected = total[:, None] * (around / around.sum(1, keepdims=True) / 2)[:, None]
    with np.errstate(divide="ignore", invalid="ignore"):
        ppmi = np.nan_to_num(np.maximum(np.log(near / expected), 0.0), neginf=0.0)
    u, s, _ = np.linalg.svd(np.concatenate(ppmi, 1), full_matrices=False)
    rows = u * np.sqrt(s)
    known = total > 0
    return rows[known] / np.linalg.norm(rows[known], axis=1, keepdims=True), known


def test_words_are_as_alike_as_a_slow_reference_says():
    codec = WordCodec.fit(SENTENCES)
    encoded = codec.encode(SENTENCES)
    expected, known = reference(encoded, codec.vocab_size)
    vectors = word_vectors(*laid_out(encoded), codec.vocab_size, size=codec.vocab_size)
    assert (vectors.any(1).numpy() == known).all()
    own = vectors[torch.from_numpy(known)] / codec.vocab_size**0.5
    torch.testing.assert_close(own @ own.T, torch.from_numpy(expected @ expected.T).float(), atol=1e-4, rtol=0)


@pytest.mark.parametrize("size", [4, 400])
def test_elements_have_variance_one_in_fewer_and_in_more_dimensions_than_words(size):
    codec = WordCodec.fit(SENTENCES)
    vectors = word_vectors(*laid_out(codec.encode(SENTENCES)), codec.vocab_size, size)
    lengths = vectors.norm(dim=1)
    torch.testing.assert_close(lengths[lengths > 0], torch.full((int((lengths > 0).sum()),), size**0.5))


def test_words_of_one_company_have_one_vector():
    codec = WordCodec.fit(texts := ["a red cat sat", "a red dog sat", "one two three", "two one four"])
    vectors = word_vectors(*laid_out(codec.encode(texts)), codec.vocab_size, 8)
    cat, dog, two = (vectors[codec.encode([word])[0][1]] / 8**0.5 for word in ("cat", "dog", "two"))
    assert cat @ dog == pytest.approx(1.0, abs=1e-4)
    assert cat @ two < 0.5


@pytest.mark.parametrize("recipe", [LM, "sentences/lstm", "sentences/scnn"])
def test_a_new_model_expects_words_as_often_as_they_come(recipe):
    vae = vae_of(recipe, WORDS)
    examples = batches_of(vae).examples
    vae.begin(examples)
    counts = np.bincount(
        np.concatenate([examples[i][1:] for i in range(len(examples))]), minlength=vae.codec.vocab_size
    )
    shares = torch.from_numpy(counts / counts.sum()).float()
    expected = vae.model.likelihood.bias.softmax(0)
    torch.testing.assert_close(expected[counts > 0] / expected[counts > 0].sum(), shares[counts > 0])
    assert (expected[counts == 0] < expected[counts > 0].min()).all()


def test_embeddings_begin_with_the_vectors_and_unknown_words_as_drawn():
    settings = settings_of("sentences/lstm", WORDS)
    codec = WordCodec.fit(["never seen", *SENTENCES])
    vae, drawn = TextVAE.new(settings, codec), TextVAE.new(settings, codec)
    examples = codec.encode(SENTENCES)
    vae.begin(examples)
    vectors = word_vectors(*laid_out(examples), codec.vocab_size, vae.model.decoder.embedding.embedding_dim)
    known = vectors.any(1)
    assert not known[codec.encode(["never"])[0][1]]
    for side in ("encoder", "decoder"):
        new, old = (getattr(v.model, side).embedding.weight for v in (vae, drawn))
        assert torch.equal(new[~known], old[~known])
        cosines = torch.cosine_similarity(new[known], vectors[known])
        torch.testing.assert_close(cosines, torch.ones_like(cosines))


def test_counting_tells_a_model_much_of_its_corpus():
    vae = vae_of(LM, WORDS)
    x = vae.batch(SENTENCES)
    before = vae.model.eval().log_px(x, torch.zeros(1, len(x), 0)).sum()
    vae.begin(batches_of(vae).examples)
    assert vae.model.log_px(x, torch.zeros(1, len(x), 0)).sum() > before + len(x)


@pytest.mark.parametrize("recipe", ["images/vae", "documents/nvdm"])
def test_what_reads_no_sentences_stays_as_drawn(recipe):
    vae, drawn = vae_of(recipe), vae_of(recipe)
    vae.begin(batches_of(vae).examples)
    assert all(torch.equal(a, b) for a, b in zip(state(vae.model).values(), state(drawn.model).values()))


def test_a_setting_leaves_all_as_drawn():
    vae, drawn = (vae_of(LM, WORDS | {"model.word_vectors": False}) for _ in range(2))
    vae.begin(batches_of(vae).examples)
    assert torch.equal(vae.model.decoder.embedding.weight, drawn.model.decoder.embedding.weight)
    assert torch.equal(vae.model.likelihood.bias, drawn.model.likelihood.bias)


def test_what_is_taken_from_another_model_stays(tmp_path):
    lm = vae_of(LM, {"train.seed": 5})
    lm.save_pretrained(tmp_path / "lm")
    vae = vae_of("sentences/lstm", {"model.decoder_from": str(tmp_path / "lm")})
    drawn = vae.model.encoder.embedding.weight.clone()
    vae.begin(codec_of(vae.settings.codec.name).encode(SENTENCES))
    assert torch.equal(vae.model.decoder.embedding.weight, lm.model.decoder.embedding.weight)
    assert torch.equal(vae.model.likelihood.bias, lm.model.likelihood.bias)
    assert not torch.equal(vae.model.encoder.embedding.weight, drawn)


def test_a_decoder_that_training_draws_anew_begins_so_too(tmp_path):
    vae = vae_of("sentences/pretrained_autoencoder", WORDS)
    batches = batches_of(vae)
    trainer = Trainer(vae, objective_of(vae), batches, batches, RunFolder(tmp_path))
    vae.begin(batches.examples)
    assert torch.equal(trainer._fresh().likelihood.bias, vae.model.likelihood.bias)
