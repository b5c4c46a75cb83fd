"""Points in the plane: principal components against the singular value decomposition, words as LSA reads them."""

import math

import numpy as np
import pytest
import torch

from tests.toys import PICTURES, SENTENCES, vae_of
from textvae.errors import RequestError
from textvae.latent.plane import inputs, pca, tsne


def exact(x, size=2):
    centred = x - x.mean(0)
    u, s, _ = torch.linalg.svd(centred.double(), full_matrices=False)
    return (u * s)[:, :size], float(s[:size].square().sum() / s.square().sum())


@pytest.mark.parametrize("sparse", [False, True])
@pytest.mark.parametrize("shape", [(40, 30), (12, 50), (30, 2), (9, 3)])
def test_principal_components_are_those_of_the_decomposition(shape, sparse):
    torch.manual_seed(0)
    x = torch.randn(shape) * torch.linspace(3, 0.1, shape[1]) + 5
    x[x < 4] = 0
    points, share = pca(x.to_sparse() if sparse else x)
    expected, part = exact(x)
    signs = (points.double() * expected).sum(0).sign()
    torch.testing.assert_close(points.double(), expected * signs, atol=2e-3, rtol=1e-3)
    assert share == pytest.approx(part, abs=1e-4)
    again, _ = pca(x.to_sparse() if sparse else x)
    assert torch.equal(points, again)


def test_a_single_dimension_and_points_that_are_all_alike():
    points, share = pca(torch.arange(5.0)[:, None])
    assert share == pytest.approx(1)
    assert points.shape == (5, 2)
    assert points[:, 1].abs().max() == 0
    points, share = pca(torch.ones(5, 4))
    assert share == 1
    assert points.abs().max() < 1e-5
    with pytest.raises(RequestError, match="3 points or more"):
        pca(torch.ones(2, 4))


def test_tsne_keeps_two_heaps_apart_and_can_be_repeated():
    pytest.importorskip("sklearn", reason="scikit-learn is not installed")
    torch.manual_seed(0)
    x = torch.randn(30, 60) + 9 * (torch.arange(30) < 15)[:, None]
    points = tsne(x, seed=1)
    assert torch.equal(points, tsne(x, seed=1))
    apart = (points[:15].mean(0) - points[15:].mean(0)).norm()
    assert apart > (points[:15] - points[:15].mean(0)).norm(dim=1).mean()


def test_inputs_are_pixels_or_words_or_nothing():
    pixels = inputs(vae_of("images/vae"), PICTURES[:3])
    assert torch.equal(pixels, torch.from_numpy(np.stack(PICTURES[:3])).flatten(1) / 255)
    assert inputs(vae_of("sentences/lstm"), SENTENCES) is None
    vae = vae_of("documents/vae")
    words = inputs(vae, ["dog dog garden", "", "tea"]).to_dense()
    codec = vae.codec
    weight = {w: 1 + math.log(codec.documents / codec.found_in[codec.words.index(w)]) for w in ("dog", "garden")}
    ratio = (1 + math.log(2)) * weight["dog"] / weight["garden"]
    assert float(words[0, codec.words.index("dog")] / words[0, codec.words.index("garden")]) == pytest.approx(ratio)
    torch.testing.assert_close(words.norm(dim=1), torch.tensor([1.0, 0.0, 1.0]))
