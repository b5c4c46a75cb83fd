"""The temperature of a softmax of words that suits text never seen (Guo et al. 2017)."""

import numpy as np
import torch

from textvae import distributed
from textvae.batching import Batches
from textvae.devices import fold
from textvae.errors import RequestError
from textvae.likelihoods import Categorical
from textvae.text_vae import TextVAE

GRID = 1.1 ** np.arange(-3.0, 8.0)
ENOUGH = 10_000  # words that it is chosen on, about


def need_temperature(vae: TextVAE) -> None:
    """RequestError for a model whose likelihood has no temperature."""
    if not isinstance(vae.model.likelihood, Categorical):
        raise RequestError(
            "train.calibrate looks for the temperature of a softmax of words, which the likelihood "
            f"{vae.settings.model.likelihood.name!r} does not have: leave it out."
        )


@torch.no_grad()
def calibrate(vae: TextVAE, batches: Batches, seed: int = 0) -> float:
    """Give the model the temperature at which −log p(x|z) of the split is least, with one code for each example.

    It is read off a parabola in log T through the best of ``GRID`` and its neighbours, on batches spread over the
    split. The model's settings then say it too. Several processes, which all call this, take the batches in turns.
    """
    need_temperature(vae)
    model, likelihood = vae.model, vae.model.likelihood
    assert isinstance(likelihood, Categorical)
    training, sums = model.training, torch.zeros(len(GRID), dtype=torch.float64)
    model.eval()
    words = int(batches.examples.lengths.sum())
    with torch.random.fork_rng():
        for number, rows in enumerate(list(batches.plan())[:: max(1, words // ENOUGH)]):
            if number % distributed.size() != distributed.rank():
                continue
            torch.manual_seed(fold(seed, number))
            batch = batches.take(rows).to(model.device)
            q, y = model.infer(batch.x)
            hidden = model.hidden(batch.scored, q.sample(), batch.y if y is None else y)
            for i, likelihood.temperature in enumerate(GRID.tolist()):
                sums[i] -= likelihood.log_prob(hidden, batch.scored).double().sum().cpu()
    model.train(training)
    nats = distributed.total(sums).numpy()
    best = min(max(int(nats.argmin()), 1), len(GRID) - 2)
    below, at, above = nats[best - 1 : best + 2]
    bend = below - 2 * at + above
    shift = (below - above) / (2 * bend) if bend > 0 else 0.0
    temperature = round(float(GRID[best] * 1.1 ** np.clip(shift, -1, 1)), 3)
    likelihood.temperature = temperature
    vae.settings = vae.settings.override({"model.likelihood.temperature": temperature})
    return temperature
