"""How near pictures come back, and how sparse their codes are."""

import torch
from torch import Tensor

from textvae.autoencoder import Autoencoder
from textvae.batching import Batches


@torch.no_grad()
def squared_error(model: Autoencoder, batches: Batches) -> float:
    """Σ (x − x̂)² over the pixels of a picture in [0, 1], the mean over the pictures.

    x̂ is the expected picture at the posterior's mean (the convention of Hinton & Salakhutdinov 2006).
    """
    training = model.training
    model.eval()
    total, n = 0.0, 0
    for batch in batches.epoch():
        x = batch.x.to(model.device)
        back = model.likelihood.mean(model.hidden(x, model.posterior(x).mean))
        total += float((x - back).square().double().sum())
        n += len(x)
    model.train(training)
    return total / n


def sparsity(activity: Tensor, dim: int) -> float:
    """How unevenly activities [N, Z] are spread over the examples (``dim`` 0, lifetime) or units (1, population).

    (1 − (Σ|r|/n)² / (Σ r²/n)) / (1 − 1/n), the mean over the rest: 0 where all n are as active, 1 where one alone is
    (Vinje & Gallant 2000, after Rolls & Tovee 1995). What is never active is left out.
    """
    r, n = activity.double().abs(), activity.shape[dim]
    squares = r.square().mean(dim)
    ever = squares > 0
    uneven = (1 - r.mean(dim)[ever] ** 2 / squares[ever]) / (1 - 1 / n)
    return float(uneven.mean()) if bool(ever.any()) else 0.0
