"""Fully connected encoders and decoders: what the first layer reads, and what noise the decoder gets."""

import math

import pytest
import torch

from tests.toys import vae_of
from textvae.decoders.mlp import MLPDecoder
from textvae.encoders.mlp import MLPEncoder
from textvae.errors import RequestError

COUNTS = torch.tensor([[2.0, 0.0, 1.0, 1.0], [0.0, 0.0, 0.0, 0.0]])


def test_word_probabilities_sum_to_1_and_an_empty_document_has_none():
    inputs = MLPEncoder((4,), transform="probabilities").inputs(COUNTS)
    assert inputs.tolist() == [[0.5, 0.0, 0.25, 0.25], [0.0, 0.0, 0.0, 0.0]]


def test_log_counts():
    torch.testing.assert_close(MLPEncoder((4,), transform="log1p").inputs(COUNTS), (1 + COUNTS).log())


def test_tf_idf_has_a_mean_square_of_1_and_takes_rare_words_to_say_more():
    inputs = MLPEncoder((4,), transform="tf_idf", document_frequency=[1.0, 0.5, 0.1, 0.0]).inputs(COUNTS)
    expected = torch.tensor([1 + math.log(2), 0.0, 1 + math.log(10), 0.0])
    torch.testing.assert_close(inputs, torch.stack([2 * expected / expected.norm(), torch.zeros(4)]))


def test_tf_idf_is_refused_without_document_frequencies():
    with pytest.raises(RequestError, match="frequencies"):
        MLPEncoder((4,), transform="tf_idf")


def test_the_activation_is_the_one_asked_for():
    x = torch.randn(5, 4)
    for name, function in (("sigmoid", torch.sigmoid), ("tanh", torch.tanh), ("relu", torch.relu)):
        encoder = MLPEncoder((4,), (3,), activation=name)
        torch.testing.assert_close(encoder(x), function(encoder.layers[0](x)))
    with pytest.raises(RequestError, match="activation"):
        vae_of("documents/vae", {"model.encoder.activation": "step"})


def test_transforms_of_counts_are_refused_for_pictures():
    with pytest.raises(RequestError, match="counts"):
        vae_of("images/vae", {"model.encoder.transform": "probabilities"})


def test_a_decoders_noise_has_its_scale_in_training_alone():
    decoder = MLPDecoder(6, (), noise=0.5)
    z = torch.randn(4000, 6)
    assert (decoder.train()(z, z) - z).std() == pytest.approx(0.5, abs=0.02)
    assert torch.equal(decoder.eval()(z, z), z)
