"""The convolutional and inputless decoders: what they see, what they do not, and what a step costs."""

import pytest
import torch

from tests.toys import batch_of, vae_of
from textvae.decoders.dilated_conv import SIZES, DilatedConvDecoder
from textvae.errors import RequestError
from textvae.layers import MAX_LAYERS

CONTEXTS = {"small": 15, "medium": 63, "large": 125, "very_large": 187}


def decoder_of(vocab=256, **options):
    torch.manual_seed(0)
    sizes = {"embedding_size": 16, "hidden_size": 24, "internal_size": 24}
    return DilatedConvDecoder(vocab, 3, **sizes, **options).double().eval()


def seen_from(decoder, position, length):
    """The input positions that the hidden state at ``position`` depends on, by its gradient."""
    x = torch.arange(length + 1)[None]  # each word once, so that a row of the embedding's gradient is a position
    hidden = decoder(torch.randn(1, 3).double(), x)
    decoder.zero_grad()
    (hidden[0, position] * torch.randn(decoder.hidden_size)).sum().backward()
    return decoder.embedding.weight.grad.abs().sum(1).nonzero()[:, 0].tolist()


@pytest.mark.parametrize("size", list(SIZES))
def test_it_sees_as_many_words_as_the_paper_says_and_none_ahead(size):
    decoder = decoder_of(size=size)
    assert decoder.context_size == CONTEXTS[size]
    assert seen_from(decoder, 200, 210) == list(range(201 - CONTEXTS[size], 201))
    assert seen_from(decoder, 5, 210) == list(range(6))


def test_dilations_of_ones_own():
    decoder = decoder_of(dilations=[3, 1])
    assert decoder.context_size == 9
    # The taps of 3 and 1 overlap to all positions from -8 to 0.
    assert seen_from(decoder, 20, 30) == list(range(12, 21))
    assert seen_from(decoder_of(dilations=[4]), 20, 30) == [12, 16, 20]


@pytest.mark.parametrize("dilations", [[], [0], [-1], [1] * (MAX_LAYERS + 1), [10**12]])
def test_dilations_that_make_no_decoder_are_refused(dilations):
    with pytest.raises(RequestError, match="dilations"):
        decoder_of(dilations=dilations)


@pytest.mark.parametrize("size", list(SIZES))
def test_words_one_by_one_equal_the_whole_beyond_the_context_at_a_constant_size(size):
    decoder = decoder_of(size=size).float()
    x, z = torch.randint(0, 256, (2, 202)), torch.randn(2, 3)
    whole, state = decoder(z, x), decoder.start(z)
    shapes = [part.shape for part in state]
    with torch.no_grad():
        for t in range(x.shape[1] - 1):
            before = [part.clone() for part in state]
            hidden, following = decoder.step(x[:, t], state)
            assert all(torch.equal(a, b) for a, b in zip(before, state)), "a step changed the state it was given"
            assert [part.shape for part in following] == shapes
            torch.testing.assert_close(hidden, whole[:, t].detach(), atol=1e-5, rtol=1e-5)
            state = following


def test_the_code_reaches_every_position():
    decoder, x = decoder_of(), torch.randint(0, 256, (1, 40))
    one, two = (decoder(torch.full((1, 3), value).double(), x) for value in (0.0, 1.0))
    assert ((one - two).abs().amax(-1) > 1e-6).all()


def test_the_recipes_are_the_four_sizes_of_the_paper():
    for recipe, size in zip(("scnn", "mcnn", "lcnn", "vlcnn"), SIZES):
        decoder = vae_of(f"sentences/{recipe}").model.decoder
        assert isinstance(decoder, DilatedConvDecoder)
        assert decoder.context_size == CONTEXTS[size]


@pytest.mark.parametrize("training", [True, False])
def test_the_inputless_decoder_knows_no_word(training):
    vae = vae_of("sentences/inputless", {"model.decoder.dropout": 0.0})
    decoder, x = vae.model.decoder.train(training), batch_of(vae)
    z, words = torch.randn(len(x), 3), x > 3
    other = torch.where(words, 5, x)
    assert not torch.equal(x, other)
    assert torch.equal(decoder(z, x), decoder(z, other))
    assert not torch.allclose(decoder(z, x), decoder(z + 1, x))
    vae.model.eval()
    assert not torch.equal(vae.model.log_px(x, z[None]), vae.model.log_px(other, z[None])), "the score forgot x"
