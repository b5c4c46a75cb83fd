"""Measures of pictures and of sparse codes at values worked out by hand, and principal components."""

import os
from pathlib import Path

import pytest
import torch

from tests.toys import batch_of, batches_of, vae_of
from textvae.errors import RequestError
from textvae.evaluation.images import features, sparsity, squared_error
from textvae.latent.pca import principal_components


def test_squared_error_is_summed_over_pixels_and_a_mean_over_pictures():
    vae = vae_of("images/vae")
    model, x = vae.model.eval(), batch_of(vae)
    with torch.no_grad():
        back = model.likelihood.mean(model.hidden(x, model.posterior(x).mean))
    expected = float((x - back).square().flatten(1).sum(1).mean())
    model.train()
    assert squared_error(model, batches_of(vae, shuffle=False)) == pytest.approx(expected, rel=1e-5)
    assert model.training


def test_sparsity_is_0_where_all_are_as_active_and_1_where_one_alone_is():
    assert sparsity(torch.full((5, 3), 2.0), 0) == pytest.approx(0.0)
    assert sparsity(torch.eye(4), 0) == pytest.approx(1.0)
    assert sparsity(torch.eye(4), 1) == pytest.approx(1.0)
    codes = torch.tensor([[1.0, 0.0, 0.0, 0.0], [-1.0, 1.0, 0.0, 0.0]])
    assert sparsity(codes, 1) == pytest.approx((1 + (1 - 0.5) / 0.75) / 2)
    assert sparsity(codes, 0) == pytest.approx((0 + 1) / 2), "two units were never active"
    assert sparsity(torch.zeros(3, 3), 0) == 0.0


def test_features_are_the_weights_of_what_reads_the_pixels():
    flat = vae_of("images/vae").model
    assert torch.equal(features(flat, (1, 4, 4))[3].flatten(), flat.encoder.layers[0].weight[3])
    shallow = vae_of("images/sparse_l1").model
    assert torch.equal(features(shallow, (1, 4, 4)).flatten(1), shallow.posterior_head.mean.weight)
    assert features(vae_of("images/conv_vae").model, (1, 4, 4)).shape[1:] == (1, 3, 3)


def test_principal_components_are_those_of_the_singular_value_decomposition():
    x = torch.randn(50, 2, 3, dtype=torch.float64) * torch.tensor([1.0, 3.0, 0.2]) + 5
    found = principal_components(x, 4)
    flat = x.flatten(1)
    expected = torch.linalg.svd(flat - flat.mean(0), full_matrices=False).Vh[:4]
    torch.testing.assert_close(found.directions.abs(), expected.abs())
    torch.testing.assert_close(found.mean, flat.mean(0))
    whole = principal_components(x, 6)
    torch.testing.assert_close(whole.decode(whole.encode(x)), flat)
    for size in (0, 7):
        with pytest.raises(RequestError, match="from 1 to 6"):
            principal_components(x, size)


@pytest.mark.skipif("TEXTVAE_DATA" not in os.environ, reason="MNIST is not here: TEXTVAE_DATA is not set")
def test_pca_of_mnist_has_the_error_that_is_published():
    if not (Path(os.environ["TEXTVAE_DATA"]) / "mnist").is_dir():
        pytest.skip("MNIST is not in TEXTVAE_DATA")
    from textvae_corpora import load_examples

    train, test = (torch.tensor(load_examples(f"mnist/{part}")[0]).float() / 255 for part in ("train", "test"))
    found = principal_components(train, 30)
    error = (test.flatten(1) - found.decode(found.encode(test))).square().sum(1).mean()
    assert float(error) == pytest.approx(13.866, abs=0.005)
