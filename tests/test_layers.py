"""Freezing: gradients flow through what is frozen, none to it, and nothing stays frozen that was not."""

import pytest
import torch

from tests.toys import batch_of, vae_of
from textvae import likelihoods
from textvae.layers import frozen


@pytest.mark.parametrize("recipe", ["sentences/free_bits", "sentences/scnn"])
@pytest.mark.parametrize("kept", [2**25, 0], ids=["softmax kept", "softmax made again"])
def test_the_gradient_of_a_code_is_the_same_and_weights_get_none(recipe, kept, monkeypatch):
    monkeypatch.setattr("textvae.recurrence.WIDE", 1)  # the route of wide layers under bf16
    monkeypatch.setattr(likelihoods, "KEPT", kept)
    vae = vae_of(recipe, {"model.decoder.dropout": 0.0})
    model, x = vae.model.train(), batch_of(vae)

    def gradient():
        z = torch.ones(len(x), vae.settings.model.latent_size, requires_grad=True)
        with torch.autocast("cpu", torch.bfloat16):
            log_px = model.log_px(x, z[None])
        log_px.sum().backward()
        return z.grad

    with frozen(model.parameters()):
        without = gradient()
    assert all(parameter.grad is None for parameter in model.parameters())
    assert torch.equal(without, gradient())
    assert all(parameter.grad is not None for parameter in model.decoder.parameters())


def test_only_what_was_not_frozen_before_thaws_after_an_error_too():
    layer = torch.nn.Linear(2, 2)
    layer.bias.requires_grad_(False)
    with pytest.raises(ZeroDivisionError), frozen(layer.parameters()):
        divmod(1, layer.weight.requires_grad)
    assert layer.weight.requires_grad
    assert not layer.bias.requires_grad
