"""Classifiers: the loss of labels, what they begin with, and which of them is kept."""

import dataclasses
import json

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from tests.toys import Memory, batch_of, raw_of, settings_of, vae_of
from textvae.batching import Batch, Batches
from textvae.errors import RequestError
from textvae.evaluation.bounds import evaluate
from textvae.objectives.classification import Classification
from textvae.tensors import state
from textvae.text_vae import TextVAE

RECIPE = "images/classifier"


def test_the_loss_is_the_cross_entropy_of_what_is_labelled_and_moves_no_decoder():
    vae = vae_of(RECIPE)
    model, x = vae.model, batch_of(vae, 4)
    found = Classification()(model, Batch(x, torch.tensor([0, -1, 1, -1])), 0.5)
    logits = model.label_logits(model.features(x[[0, 2]]))
    torch.testing.assert_close(found.loss, F.cross_entropy(logits, torch.tensor([0, 1])))
    found.loss.backward()
    assert all(p.grad is None for p in [*model.decoder.parameters(), *model.likelihood.parameters()])
    assert all(p.grad is not None for p in [*model.encoder.parameters(), *model.classifier.parameters()])
    nothing = Classification()(model, Batch(x), 0.5)
    assert float(nothing.loss.detach()) == 0.0


def test_the_best_classifier_is_the_one_with_the_fewest_errors():
    vae = vae_of(RECIPE)
    examples = Memory(vae.codec.encode(raw_of("pixels")), labels=[0, 1] * 8)
    report = evaluate(vae.model, Batches(examples, vae.codec.collate, 4, shuffle=False))
    objective = Classification()
    assert objective.compared(report) == 1 - report.accuracy
    one, two = (dataclasses.replace(report, accuracy=share, nll=nll) for share, nll in ((0.9, 5.0), (0.8, 1.0)))
    assert objective.compared(one) < objective.compared(two)
    assert objective.compared(dataclasses.replace(report, accuracy=None)) == report.distortion + report.rate


def test_a_model_that_tells_no_labels_is_refused():
    with pytest.raises(RequestError, match="tells labels"):
        Classification().attach(vae_of("images/vae").model)


CLASSIFIER = {"model.labels": "predict", "model.classes": ["a", "b"], "model.encoder_noise.name": "none"}


@pytest.mark.parametrize("recipe", ["images/denoising", "images/contractive"])
def test_a_classifier_begins_with_the_code_of_a_one_layer_autoencoder(recipe, tmp_path):
    source = vae_of(recipe, {"train.seed": 5})
    source.save_pretrained(tmp_path / "m")
    vae = vae_of(recipe, {**CLASSIFIER, "model.encoder_from": str(tmp_path / "m")})
    (said,) = vae.facts["begun_with"]
    assert said.startswith("the encoder begins with 2 of its 2 tensors")
    one, two = state(vae.model), state(source.model)
    taken = [key for key in one if key in two and torch.equal(one[key], two[key])]
    assert {"posterior_head.mean.weight", "posterior_head.mean.bias"} <= set(taken)
    x = batch_of(vae)
    assert torch.equal(vae.model.eval().posterior(x).mean, source.model.eval().posterior(x).mean)


@pytest.mark.parametrize(
    "other", [{"model.latent_size": 5}, {"model.posterior.activation": "tanh"}, {"model.posterior.name": "iaf"}]
)
def test_the_layer_of_another_kind_of_code_is_not_taken(other, tmp_path):
    source = vae_of(RECIPE, {"train.seed": 5, **other})
    source.save_pretrained(tmp_path / "m")
    vae = vae_of(RECIPE, {"model.encoder_from": str(tmp_path / "m")})
    one, two = state(vae.model), state(source.model)
    assert all(torch.equal(one[key], two[key]) for key in one if key.startswith("encoder."))
    heads = [key for key in one if key.startswith("posterior_head.") and key in two]
    assert not any(torch.equal(one[key], two[key]) for key in heads)


ENOUGH = {"model.latent_size": 16, "train.learning_rate": 0.05, "train.batch_size": 16, "train.evaluate_every": 75}


def test_from_layers_to_a_classifier_on_the_command_line(tmp_path, monkeypatch):
    from typer.testing import CliRunner

    from textvae_cli.app import app

    monkeypatch.chdir(tmp_path)
    pictures = np.stack(raw_of("pixels"))
    np.savez("p.npz", images=pictures, labels=np.array(["a", "b"]).repeat(8))
    (tmp_path / "tiny.toml").write_text(settings_of(RECIPE, ENOUGH).to_toml())
    words = ["train", "p.npz", "--valid", "p.npz", "--recipe", "tiny.toml", "--threads=1", "--json"]
    layers = ["--set=objective.name=layerwise", "--set=objective.share=0.8", "--steps=10", "--out=stack"]
    done = CliRunner().invoke(app, [*words, *layers])
    assert done.exit_code == 0, done.output
    done = CliRunner().invoke(app, [*words, "--set=model.encoder_from=stack", "--steps=150", "--out=run"])
    assert done.exit_code == 0, done.output
    assert "begins with 4 of its 4 tensors from stack" in done.stderr
    assert json.loads(done.stdout)["validation"]["accuracy"] > 0.8
    assert "accuracy" in done.stderr
    measured = CliRunner().invoke(app, ["evaluate", "p.npz", "--model=run", "--json"])
    assert json.loads(measured.stdout)["accuracy"] > 0.8
    assert TextVAE.from_pretrained("run").settings.model.classes == ["a", "b"]
