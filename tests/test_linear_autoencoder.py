"""The linear autoencoder against principal components (Baldi & Hornik 1989)."""

import math

import numpy as np
import pytest
import torch
from scipy.linalg import subspace_angles

from textvae.assembly import build_model, build_objective
from textvae.batching import Batch
from textvae.codecs.pixels import PixelCodec
from textvae.recipes import load_recipe

SHAPE, CODE = (1, 2, 4), 2


def data(n=400):
    """Pictures [n, 1, 2, 4] that vary in two directions far more than in the others, around a mean that is not 0."""
    rng = np.random.default_rng(0)
    basis, _ = np.linalg.qr(rng.standard_normal((8, 8)))
    spread = np.array([1.0, 0.7, 0.2, 0.15, 0.1, 0.1, 0.05, 0.05])
    flat = rng.standard_normal((n, 8)) * spread @ basis.T + 0.5
    return torch.from_numpy(flat.reshape(n, *SHAPE)).float()


def test_a_linear_autoencoder_recovers_the_subspace_and_the_error_of_the_principal_components():
    x = data()
    centred = x.flatten(1) - x.flatten(1).mean(0)
    components = torch.linalg.svd(centred, full_matrices=False).Vh[:CODE]
    pca_error = float(((centred - centred @ components.T @ components) ** 2).sum(1).mean())

    settings = load_recipe("images/linear").override({"model.latent_size": CODE})
    model, objective = build_model(settings.model, PixelCodec(SHAPE)), build_objective(settings.objective)
    optimizer = torch.optim.LBFGS(model.parameters(), max_iter=150, line_search_fn="strong_wolfe")

    def loss():
        optimizer.zero_grad()
        found = objective(model, Batch(x), 0.5).loss
        found.backward()
        return found

    optimizer.step(loss)
    error = float(objective(model, Batch(x), 0.5).loss.detach()) - 4 * math.log(math.pi)  # D/2 log π is no error
    assert error == pytest.approx(pca_error, rel=1e-3)
    read = model.posterior_head.mean.weight.detach().numpy().T
    written = model.likelihood.head.weight.detach().numpy()
    for weights in (read, written):
        assert np.degrees(subspace_angles(weights, components.numpy().T)).max() < 1.0
