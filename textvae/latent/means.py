"""Posterior means of many examples, near in length together, in the order in which they came."""

import time
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from textvae.batching import Batches, ListExamples
from textvae.devices import autocast
from textvae.text_vae import TextVAE

BATCH = 512  # examples
TOKENS = 16_384  # padded, in a batch


class Means:
    """Raw examples to the means of q(z|x), a list at a time; counts what the model itself takes of the time."""

    def __init__(self, vae: TextVAE, precision: str = "fp32"):
        self.vae, self.precision = vae, precision
        self.examples, self.seconds, self.in_model = 0, 0.0, 0.0

    @property
    def share(self) -> float:
        """The share of the time that was spent inside the model; the rest is reading, tokens and order."""
        return self.in_model / max(self.seconds, 1e-9)

    @torch.no_grad()
    def __call__(self, raw: Sequence[Any]) -> np.ndarray:
        """N examples to float32 [N, Z]; row i belongs to example i."""
        begin = time.perf_counter()
        model, codec = self.vae.model.eval(), self.vae.codec
        batches = Batches(ListExamples(codec.encode(raw)), codec.collate, BATCH, shuffle=False, max_tokens=TOKENS)
        z = np.empty((len(raw), self.vae.settings.model.latent_size), np.float32)
        for rows in batches.plan():
            x = batches.take(rows).x
            start = time.perf_counter()
            with autocast(model.device, self.precision):
                mean = model.posterior(x.to(model.device)).mean
            z[rows] = mean.float().cpu().numpy()
            self.in_model += time.perf_counter() - start
        self.examples += len(raw)
        self.seconds += time.perf_counter() - begin
        return z
