"""How near pictures come back, how sparse their codes are, and what the units that read the pixels look for."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from textvae.autoencoder import Autoencoder
from textvae.batching import Batches
from textvae.errors import RequestError


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
        q, y = model.infer(x)
        back = model.likelihood.mean(model.hidden(x, q.mean, y))
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


def features(model: Autoencoder, shape: Sequence[int]) -> Tensor:
    """The weights [U, C, h, w] of the layer that reads pictures of ``shape`` [C, H, W], one picture for each unit.

    Those of a fully connected layer are as large as the pictures, those of a convolution as its kernel.
    Raises RequestError for a model without such a layer.
    """
    layers = (layer for part in (model.encoder, model.posterior_head) for layer in part.modules())
    first = next((layer for layer in layers if isinstance(layer, nn.Linear | nn.Conv2d)), None)
    if first is None or (isinstance(first, nn.Linear) and first.in_features != math.prod(shape)):
        raise RequestError("This model has no layer that reads pixels.")
    weight = first.weight.detach()
    return weight if isinstance(first, nn.Conv2d) else weight.view(-1, *shape)
