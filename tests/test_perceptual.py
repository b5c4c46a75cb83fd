"""The perceptual loss: the terms that the paper sums, who learns from which, and classifiers that do not fit."""

import copy

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from tests.toys import batch_of, features_folder, objective_of, settings_of, vae_of
from textvae.assembly import fit_codec
from textvae.batching import Batch
from textvae.errors import RequestError
from textvae.objectives.perceptual import Perceptual, classifier_of, feature_distance
from textvae.text_vae import TextVAE


def made(**options):
    """A tiny model and the objective of the recipe, with other options."""
    vae = vae_of("images/perceptual", {f"objective.{key}": value for key, value in options.items()})
    objective = objective_of(vae)
    objective.attach(vae.model)
    return vae.model.train(), objective.train(), batch_of(vae)


def loss_of(model, objective, x):
    torch.manual_seed(3)
    return objective(model, Batch(x), 0.5)


def test_the_loss_is_the_sum_of_its_terms():
    model, objective, x = made(weight=7.0, adversarial=2.0, schedule={"name": "constant", "beta": 0.5})
    found = loss_of(model, objective, x)
    torch.manual_seed(3)
    z = model.posterior(x).rsample(torch.Size([1]))[0]
    seen = model.likelihood.mean(model.hidden(x, z))
    there, here = (objective.classifier(picture) for picture in (x, seen))
    features = ((here - there) ** 2).sum(1) / (there**2).sum(1)
    real, fake = (torch.sigmoid(objective.discriminator(picture)[:, 0]) for picture in (x, seen))
    expected = found.distortion + 0.5 * found.rate + 7 * features
    expected = expected - real.log() - (1 - fake).log() - 2 * fake.log()
    torch.testing.assert_close(found.loss, expected.mean())
    torch.testing.assert_close(found.distortion, ((x - seen) ** 2).flatten(1).sum(1) + 8 * np.log(np.pi))


def test_without_features_and_adversary_it_is_the_bound():
    model, objective, x = made(features="", adversarial=0.0)
    assert not list(objective.parameters())
    found = loss_of(model, objective, x)
    torch.testing.assert_close(found.loss, (found.distortion + found.rate).mean())


def test_each_learns_from_its_own_term():
    grads = []
    for adversarial in (1e-9, 5.0):
        model, objective, x = made(adversarial=adversarial)
        torch.manual_seed(5)
        for parameter in [*objective.discriminator.parameters(), *model.parameters()]:
            torch.nn.init.normal_(parameter, std=0.3)
        loss_of(model, objective, x).loss.backward()
        assert all(p.grad is None for p in objective.classifier.parameters())
        grads.append(
            [
                [p.grad.clone() for p in part.parameters() if p.grad is not None]
                for part in (objective.discriminator, model)
            ]
        )
    (weak, model_weak), (strong, model_strong) = grads
    assert all(torch.equal(a, b) for a, b in zip(weak, strong)), "the discriminator does not help to be deceived"
    assert any((a - b).abs().max() > 1e-4 for a, b in zip(model_weak, model_strong))


def test_a_step_of_training_makes_pictures_pass_and_the_discriminator_tell():
    _, objective, x = made(weight=0.0, adversarial=1.0)
    fixed = torch.rand_like(x)
    optimizer = torch.optim.Adam(objective.discriminator.parameters(), 0.01)
    for _ in range(60):
        optimizer.zero_grad()
        loss = F.softplus(-objective.discriminator(x)).mean() + F.softplus(objective.discriminator(fixed)).mean()
        loss.backward()
        optimizer.step()
    assert objective.discriminator(x).mean() > objective.discriminator(fixed).mean() + 1
    picture = fixed.clone().requires_grad_()
    from textvae.objectives.perceptual import _passes

    _passes(objective.discriminator, picture).sum().backward()
    nearer = fixed - 0.1 * picture.grad.sign()
    assert objective.discriminator(nearer).mean() > objective.discriminator(fixed).mean()


def test_the_distance_of_features_is_relative():
    classifier = classifier_of(features_folder(), (1, 4, 4))
    x, other = torch.rand(5, 1, 4, 4), torch.rand(5, 1, 4, 4)
    assert feature_distance(classifier, x, x).tolist() == [0.0] * 5
    larger = copy.deepcopy(classifier)
    for layer in larger.filters[-1:]:
        layer.weight.mul_(10), layer.bias.mul_(10)
    torch.testing.assert_close(feature_distance(larger, x, other), feature_distance(classifier, x, other))


def test_the_classifier_stays_as_it_is(tmp_path):
    wanted = {"model.encoder.name": "mlp", "model.encoder.hidden_sizes": [8], "model.encoder.dropout": 0.5}
    vae_of("images/conv_classifier", wanted).save_pretrained(tmp_path / "c")
    model, objective, x = made(features=str(tmp_path / "c"))
    objective.train()
    assert not any(module.training for module in objective.classifier.modules())
    assert objective.discriminator.training
    assert loss_of(model, objective, x).loss == loss_of(model, objective, x).loss
    assert not any(p.requires_grad for p in objective.classifier.parameters())
    assert {key.split(".")[0] for key in objective.state_dict()} == {"classifier", "discriminator"}


def test_features_that_are_not_there_or_do_not_fit(tmp_path):
    vae_of("documents/vae").save_pretrained(tmp_path / "documents")
    vae_of("sentences/lstm").save_pretrained(tmp_path / "sentences")
    settings = settings_of("images/conv_classifier")
    codec = fit_codec(settings.codec, [np.zeros((3, 8, 8), np.uint8)])
    TextVAE.new(settings, codec).save_pretrained(tmp_path / "colour")
    model = vae_of("images/perceptual").model
    for name, part in {
        "nothing": "textvae train CORPUS --recipe images/conv_classifier --out .*nothing",
        "documents": "reads text",
        "sentences": "reads text",
        "colour": r"pictures \[3, 8, 8\], and this one reads pictures \[1, 4, 4\]",
    }.items():
        with pytest.raises(RequestError, match=part):
            Perceptual(features=str(tmp_path / name)).attach(model)


def test_what_is_no_perceptual_loss():
    with pytest.raises(RequestError, match="pictures"):
        Perceptual().attach(vae_of("documents/vae").model)
    with pytest.raises(RequestError, match="0 or more"):
        Perceptual(weight=-1.0)
    with pytest.raises(RequestError, match="0 or more"):
        Perceptual(adversarial=float("nan"))
