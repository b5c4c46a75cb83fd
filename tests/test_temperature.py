"""The temperature that calibration finds, against a softmax whose right one is known and against its neighbours."""

import pytest
import torch

from tests.toys import SENTENCES, batches_of, objective_of, shaken, vae_of
from textvae.codecs.base import PAD
from textvae.errors import RequestError
from textvae.evaluation.bounds import evaluate
from textvae.evaluation.temperature import calibrate
from textvae.run_folder import RunFolder
from textvae.text_vae import TextVAE
from textvae.trainer import Trainer


def begin_with_frequencies(vae, batches, temperature):
    """Let the bias be the log frequencies of the words, times a temperature."""
    x = torch.cat([batch.x[:, 1:].flatten() for batch in batches.epoch()])
    counts = torch.bincount(x[x != PAD], minlength=vae.codec.vocab_size)
    with torch.no_grad():
        vae.model.likelihood.bias.copy_((counts / counts.sum()).clamp(min=1e-30).log() * temperature)


@pytest.mark.parametrize("temperature", [0.8, 1.0, 1.37, 1.8])
def test_words_whose_logits_are_their_log_frequencies_times_t_have_temperature_t(temperature):
    vae = vae_of("sentences/bn_vae", {"model.likelihood.tied": False})
    batches = batches_of(vae, shuffle=False)
    torch.nn.init.zeros_(vae.model.likelihood.weight)
    begin_with_frequencies(vae, batches, temperature)
    assert calibrate(vae, batches) == pytest.approx(temperature, rel=0.005)


@pytest.mark.parametrize("recipe", ["sentences/bn_vae", "sentences/ngram_mixture", "sentences/scnn"])
def test_no_other_temperature_makes_the_split_more_probable(recipe):
    vae = vae_of(recipe)
    batches = batches_of(vae, shuffle=False)
    shaken(vae.model, 0.05)
    begin_with_frequencies(vae, batches, 1.3)
    if recipe == "sentences/ngram_mixture":  # of sentences that were counted the n-grams know all
        torch.nn.init.constant_(vae.model.likelihood.gate.bias, 6.0)
    state = torch.random.get_rng_state()
    found = calibrate(vae, batches)
    assert torch.equal(torch.random.get_rng_state(), state)
    assert 0.75 < found < 1.95, "at the edge, where there is nothing to test"

    def distortion(temperature):
        vae.model.likelihood.temperature = temperature
        return evaluate(vae.model, batches).distortion

    assert distortion(found) < min(distortion(found * 1.05), distortion(found / 1.05), distortion(1.0) + 1e-9)


def test_the_model_that_is_kept_has_the_temperature_and_scores_as_it_was_measured(tmp_path, monkeypatch):
    monkeypatch.setattr(RunFolder, "board", type("Board", (), {"add_scalar": lambda *args: None})())
    vae = vae_of("sentences/ptb", {"train.calibrate": True, "train.average": 0.9})
    run = RunFolder(tmp_path)
    run.checkpoints.mkdir(parents=True)
    valid = batches_of(vae, shuffle=False, n=8)
    records = list(Trainer(vae, objective_of(vae), batches_of(vae), valid, run).fit())
    best = [r for r in records if r.kind == "valid" and r.values["best"]][-1]
    loaded = TextVAE.from_pretrained(tmp_path)
    temperature = loaded.settings.model.likelihood.options["temperature"]
    assert temperature != 1
    assert loaded.model.likelihood.temperature == temperature
    assert evaluate(loaded.model, valid).nll == pytest.approx(best.values["nll"], rel=1e-5)
    again = TextVAE.new(loaded.settings, loaded.codec)
    assert again.model.likelihood.temperature == temperature
    assert loaded.sample(2, seed=1) == TextVAE.from_pretrained(tmp_path).sample(2, seed=1)
    assert len(loaded.reconstruct(SENTENCES[:2])) == 2


def test_a_likelihood_without_a_temperature_is_refused_before_training(tmp_path):
    vae = vae_of("images/vae", {"train.calibrate": True})
    with pytest.raises(RequestError, match="calibrate looks for"):
        Trainer(vae, objective_of(vae), batches_of(vae), batches_of(vae), RunFolder(tmp_path))
