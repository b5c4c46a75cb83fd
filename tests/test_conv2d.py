"""Convolutions of pictures: any size comes back, deconvolution is one, and switches go where the maxima stood."""

import itertools

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from tests.toys import batch_of, raw_of, vae_of
from textvae.decoders.conv2d import Conv2dDecoder
from textvae.encoders.conv2d import Conv2dEncoder
from textvae.encoders.mlp import MLPEncoder
from textvae.errors import RequestError
from textvae.likelihoods import Bernoulli

UNPOOLING = ["transposed", "repeat", "switches"]


def parts(shape, channels=(3, 5), unpooling="transposed", kernel=3):
    pooling = "max" if unpooling == "switches" else "stride"
    encoder = Conv2dEncoder(shape, channels, kernel, pooling)
    return encoder, Conv2dDecoder(4, shape, encoder, channels, kernel, unpooling)


@pytest.mark.parametrize("shape", [(1, 28, 28), (3, 7, 10), (1, 1, 1), (2, 5, 3), (3, 13, 40)])
@pytest.mark.parametrize("unpooling", UNPOOLING)
def test_a_picture_of_any_size_comes_back_at_that_size(shape, unpooling):
    for channels, kernel in itertools.product([(3,), (3, 5), (2, 3, 4)], (1, 3, 5)):
        encoder, decoder = parts(shape, channels, unpooling, kernel)
        x = torch.rand(2, *shape)
        assert encoder(x).shape == (2, encoder.output_size)
        hidden = decoder(torch.randn(2, 4), x)
        assert hidden.shape == (2, *decoder.grid, decoder.hidden_size)
        assert Bernoulli(decoder.hidden_size, shape, decoder.grid).mean(hidden).shape == x.shape


@pytest.mark.parametrize("pooling", ["stride", "max", "mean"])
def test_pooling_halves_and_rounds_up(pooling):
    encoder = Conv2dEncoder((1, 7, 10), (3, 5), pooling=pooling)
    assert encoder.sizes == [(7, 10), (4, 5), (2, 3)]
    assert encoder(torch.rand(2, 1, 7, 10)).shape == (2, 5 * 2 * 3)


@pytest.mark.parametrize("shape", [(1, 12, 12), (1, 7, 9)])
def test_a_deconvolution_is_a_convolution_of_the_map_with_zeros_between_its_places(shape):
    layer = parts(shape, (3, 5))[1].filters[0]
    assert isinstance(layer, nn.ConvTranspose2d)
    maps = torch.randn(2, 5, 3, 3)
    stuffed = torch.zeros(2, 5, *[2 * n - 1 for n in maps.shape[2:]])
    stuffed[..., ::2, ::2] = maps
    reach = layer.kernel_size[0] - 1 - layer.padding[0]
    more = layer.output_padding
    stuffed = F.pad(stuffed, (reach, reach + more[1], reach, reach + more[0]))
    kernel = layer.weight.flip(2, 3).transpose(0, 1)  # [out, in, k, k], turned half round
    torch.testing.assert_close(layer(maps), F.conv2d(stuffed, kernel, layer.bias), atol=1e-5, rtol=1e-5)


def test_a_deconvolution_is_the_transpose_of_the_convolution_with_its_kernel():
    layer = parts((1, 12, 12), (3, 5))[1].filters[0]
    small, large = torch.randn(2, 5, 3, 3), torch.randn(2, 3, 6, 6)
    forward = F.conv2d(large, layer.weight, stride=2, padding=layer.padding)
    there = (forward * small).sum()
    back = ((layer(small) - layer.bias[:, None, None]) * large).sum()
    torch.testing.assert_close(there, back, atol=1e-4, rtol=1e-4)


def test_patches_of_pixels_are_a_deconvolution_without_overlap():
    head = Bernoulli(5, (2, 6, 8), (3, 4))
    hidden = torch.randn(2, 3, 4, 5)
    kernel = head.head.weight.view(2, 2, 2, 5).permute(3, 0, 1, 2)  # [in, out, 2, 2]
    expected = F.conv_transpose2d(hidden.permute(0, 3, 1, 2), kernel, stride=2) + head.head.bias.view(2, 2, 2).repeat(
        1, 3, 4
    )
    torch.testing.assert_close(head.pixels(hidden), expected, atol=1e-5, rtol=1e-5)


def test_values_go_back_to_where_the_maxima_stood():
    encoder, decoder = parts((1, 4, 4), (1,), "switches", kernel=1)
    with torch.no_grad():
        for layer in (encoder.filters[0], decoder.filters[0]):
            layer.weight.fill_(1.0)
            layer.bias.zero_()
        decoder.start.weight.zero_()
        decoder.start.bias.copy_(torch.tensor([1.0, 2.0, 3.0, 4.0]))
    x = torch.zeros(1, 1, 4, 4)
    x[0, 0, [1, 0, 3, 2], [0, 3, 1, 2]] = 0.5
    hidden = decoder(torch.zeros(1, 4), x)[..., 0]
    expected = torch.zeros(1, 4, 4)
    expected[0, [1, 0, 3, 2], [0, 3, 1, 2]] = torch.tensor([1.0, 2.0, 3.0, 4.0])
    assert torch.equal(hidden, expected)


def test_switches_reconstruct_and_do_not_sample():
    vae = vae_of("images/switches")
    raw = raw_of("pixels")[:3]
    shown = vae.reconstruct(raw, samples=1)
    assert [len(row) for row in shown] == [2, 2, 2]
    with torch.no_grad():
        x, q = batch_of(vae, 3), vae.model.posterior(batch_of(vae, 3))
        mean = vae.model.likelihood.mean(vae.model.hidden(x, q.mean))
    assert (shown[1][0] == vae.codec.decode(mean)[1]).all()
    with pytest.raises(RequestError, match="unpooling=repeat"):
        vae.sample(1)
    with pytest.raises(RequestError, match="unpooling=repeat"):
        vae.interpolate(*raw[:2])


def test_switches_need_maxima_of_the_same_layers():
    for encoder in (MLPEncoder((1, 4, 4)), Conv2dEncoder((1, 4, 4), (3,)), Conv2dEncoder((1, 4, 4), (4,), 3, "max")):
        with pytest.raises(RequestError):
            Conv2dDecoder(2, (1, 4, 4), encoder, (3,), unpooling="switches")


@pytest.mark.parametrize(
    ("shape", "options"),
    [((9,), {}), ((1, 4, 4), {"channels": ()}), ((1, 4, 4), {"channels": (0,)}), ((1, 4, 4), {"kernel": 2})],
)
def test_layers_that_make_no_sense_are_refused(shape, options):
    with pytest.raises(RequestError):
        Conv2dEncoder(shape, **options)
