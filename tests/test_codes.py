"""Codes of a trained model as what another reads: drawn, scaled, written through the first one, and kept with it."""

import json
import shutil

import numpy as np
import pytest
import torch

from tests.toys import PICTURES, codec_of, first_stage, vae_of
from textvae.codes import CodesCodec
from textvae.errors import CorruptFolder, RequestError
from textvae.text_vae import TextVAE


@pytest.fixture
def codec():
    return codec_of("codes")


def of(vae, folder):
    """A codec of the codes of a model."""
    vae.save_pretrained(folder)
    return CodesCodec.fit(PICTURES, str(folder))


def test_a_code_is_the_posterior_of_the_first_model_in_units_of_the_corpus(codec):
    m1 = TextVAE.from_pretrained(first_stage())
    with torch.no_grad():
        q = m1.model.posterior(m1.batch(PICTURES))
    mean, deviation = q.mean[:, codec.units], q.stddev[:, codec.units]
    spread = (mean.var(0, correction=0) + deviation.square().mean(0)).sqrt()
    encoded = torch.from_numpy(np.stack(codec.encode(PICTURES)))
    torch.testing.assert_close(encoded[:, 0], (mean - mean.mean(0)) / spread)
    torch.testing.assert_close(encoded[:, 1], deviation / spread)
    assert torch.equal(codec.collate(codec.encode(PICTURES)), encoded[:, 0]), "what is evaluated is the mean"


def test_each_step_of_the_training_draws_a_code_of_its_own(codec):
    examples = codec.encode(PICTURES[:2]) * 4000
    x = codec.collate(examples, np.random.default_rng(0))
    assert torch.equal(x, codec.collate(examples, np.random.default_rng(0)))
    assert not torch.equal(x, codec.collate(examples, np.random.default_rng(1)))
    for i in range(2):
        mean, deviation = torch.from_numpy(examples[i])
        error = deviation / 4000**0.5
        assert ((x[i::2].mean(0) - mean).abs() < 4 * error).all()
        assert ((x[i::2].std(0) - deviation).abs() < 4 * error).all()


def test_codes_of_the_corpus_have_mean_0_and_variance_1(codec):
    x = codec.collate(codec.encode(PICTURES) * 2000, np.random.default_rng(0))
    torch.testing.assert_close(x.mean(0), torch.zeros(x.shape[1]), atol=0.03, rtol=0)
    torch.testing.assert_close(x.std(0), torch.ones(x.shape[1]), atol=0.03, rtol=0)


def test_a_code_is_written_as_the_first_model_writes_it(codec):
    m1 = TextVAE.from_pretrained(first_stage())
    assert len(codec.units) == m1.settings.model.latent_size
    back = codec.decode(codec.collate(codec.encode(PICTURES)))
    assert np.array_equal(back, m1.decode(m1.encode(PICTURES)))
    assert codec.decode(torch.zeros(0, len(codec.units))) == []


def test_units_that_say_nothing_are_left_out(tmp_path):
    m1 = TextVAE.from_pretrained(first_stage())
    with torch.no_grad():
        m1.model.posterior_head.mean.weight[1] = 0.0
        m1.model.posterior_head.mean.bias[1] = 7.0
    codec = of(m1, tmp_path / "m1")
    assert codec.units == [0, 2]
    assert codec.dims == {"input_shape": (2,)}
    assert np.array_equal(codec.decode(codec.collate(codec.encode(PICTURES))), m1.decode(m1.encode(PICTURES)))
    with torch.no_grad():
        m1.model.posterior_head.mean.weight.zero_()
    with pytest.raises(RequestError, match=r"No unit of the codes of .* tells of these pictures"):
        of(m1, tmp_path / "silent")


def test_a_saved_model_needs_the_first_folder_no_more(tmp_path):
    shutil.copytree(first_stage(), tmp_path / "m1")
    vae = vae_of("images/m1_m2", {"codec.model": str(tmp_path / "m1")})
    vae.codec = CodesCodec.fit(PICTURES, str(tmp_path / "m1"))
    vae.save_pretrained(tmp_path / "both")
    shutil.rmtree(tmp_path / "m1")
    back = TextVAE.from_pretrained(tmp_path / "both")
    assert {file.suffix for file in (tmp_path / "both").rglob("*") if file.is_file()} <= {
        ".json",
        ".safetensors",
        ".md",
    }
    assert back.codec.fingerprint == vae.codec.fingerprint
    assert back.codec.picture_shape == PICTURES[0].shape
    one, two = ([sample.raw for sample in v.sample(3, seed=1, label="b")] for v in (vae, back))
    assert np.array_equal(one, two)
    assert one[0].shape == PICTURES[0].shape
    assert one[0].dtype == np.uint8


def test_another_first_model_is_not_the_one_that_was_saved(codec, tmp_path):
    vae = vae_of("images/m1_m2")
    vae.save_pretrained(tmp_path / "both")
    vae_of("images/vae").save_pretrained(tmp_path / "other")
    shutil.rmtree(tmp_path / "both/codes")
    shutil.copytree(tmp_path / "other", tmp_path / "both/codes")
    with pytest.raises(CorruptFolder, match="not the one that the model was saved with"):
        TextVAE.from_pretrained(tmp_path / "both")


@pytest.mark.parametrize(
    "change",
    [
        {"units": []},
        {"units": [3]},
        {"units": [1, 0]},
        {"units": [0, 0]},
        {"units": [-1]},
        {"mean": [0.0]},
        {"mean": [0.0, 0.0, float("nan")]},
        {"deviation": [1.0, 0.0, 1.0]},
        {"deviation": [1.0, 1.0, float("inf")]},
        {"deviation": None},
    ],
    ids=str,
)
def test_a_damaged_state_is_a_corrupt_folder(codec, tmp_path, change):
    codec.save(tmp_path)
    file = tmp_path / "codes.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | change))
    with pytest.raises(CorruptFolder, match=r"codes\.json is missing, or does not go with"):
        CodesCodec.load(tmp_path)


def test_a_folder_that_holds_itself_is_refused(codec, tmp_path):
    vae_of("images/m1_m2").save_pretrained(tmp_path / "both")
    shutil.rmtree(tmp_path / "both/codes")
    (tmp_path / "both/codes").symlink_to(tmp_path / "both")
    with pytest.raises(CorruptFolder, match="reads codes itself"):
        TextVAE.from_pretrained(tmp_path / "both")


@pytest.mark.parametrize(
    ("recipe", "assignments", "why"),
    [
        ("sentences/lstm", {}, "writes text, and codes are those of a model of pictures"),
        ("images/captions", {}, "writes text, and codes are those of a model of pictures"),
        ("images/m1_m2", {}, "reads codes itself"),
        ("images/classifier", {"model.latent_size": 0}, "has no code"),
        ("images/iaf", {}, "no mean and deviation of each unit"),
        ("images/semantic_hashing", {}, "no mean and deviation of each unit"),
        ("images/switches", {}, "switches"),
    ],
)
def test_a_model_that_cannot_be_the_first_is_refused(recipe, assignments, why, tmp_path):
    with pytest.raises(RequestError, match=why) as refused:
        of(vae_of(recipe, assignments), tmp_path / "m1")
    assert f"codec.model is {str(tmp_path / 'm1')!r}" in str(refused.value)
    assert "Train it first: textvae train CORPUS --recipe images/vae --out runs/m1" in str(refused.value)


def test_a_model_that_is_not_there_is_told(tmp_path):
    with pytest.raises(RequestError, match=r"no codes can be had from there.*Train it first"):
        CodesCodec.fit(PICTURES, str(tmp_path / "m1"))
    with pytest.raises(RequestError, match=r"codec\.model names the trained model"):
        CodesCodec.fit(PICTURES)
    with pytest.raises(RequestError, match="There are no pictures in this corpus"):
        CodesCodec.fit([], first_stage())
    with pytest.raises(RequestError, match=r"uint8 \[1, 5, 5\]; this model reads uint8 \[1, 4, 4\]"):
        CodesCodec.fit([np.zeros((1, 5, 5), np.uint8)], first_stage())
