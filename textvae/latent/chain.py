"""Corrupt and denoise in turn: the Markov chain of a generative denoising autoencoder (Bengio et al. 2013)."""

from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from textvae.autoencoder import Autoencoder
from textvae.errors import RequestError


class Link(NamedTuple):
    """One step of the chain: the x that was drawn, and the mean that it was drawn around, both [B, …]."""

    x: Tensor
    mean: Tensor


@torch.no_grad()
def chain(model: Autoencoder, x: Tensor, steps: int) -> Iterator[Link]:
    """``steps`` links from x [B, …]: x̃ ~ C(·|x) with ``encoder_noise``, z ~ q(z|x̃), x ~ p(x|z), and so on.

    Where the model was trained to denoise, these are in the end draws from what it has learned (Bengio et al.
    2013, theorem 1); of a variational autoencoder without noise, it is a chain too (Rezende et al. 2014, app. F).
    Raises RequestError for a model of words, whose likelihood does not draw x at once.
    """
    if not model.likelihood.draws:
        raise RequestError("A chain that corrupts and denoises is for pictures and counts: this model writes words.")
    model.eval()
    for _ in range(steps):
        z = model.posterior(model.encoder_noise.corrupt(x)).sample()
        hidden = model.hidden(x, z)
        x = model.likelihood.draw(hidden)
        yield Link(x, model.likelihood.mean(hidden))
