"""A classifier, and then a perceptual loss by its features, as they are typed."""

import json
import shutil

import numpy as np
import pytest

SIZES = ["--set=model.encoder.channels=[4]", "--set=train.batch_size=4", "--precision=fp32", "--threads=1"]
SMALL = [*SIZES, "--set=model.decoder.channels=[4]", "--set=model.latent_size=3", "--recipe=images/perceptual"]


@pytest.fixture
def classifier(textvae, tmp_path):
    """Trains a classifier of pictures.npz with that seed in the folder c."""
    images = np.random.default_rng(0).integers(0, 256, (12, 8, 8), np.uint8)
    np.savez(tmp_path / "pictures.npz", images=images, labels=np.repeat(["a", "b"], 6))

    def train(seed):
        shutil.rmtree("c", ignore_errors=True)
        words = ["--recipe=images/conv_classifier", "--steps=3", "--out=c", "--set=model.latent_size=3", "--json"]
        done = textvae("train", "pictures.npz", *words, *SIZES, "--seed", seed)
        assert done.exit_code == 0, done.stderr

    train(0)
    return train


def test_a_resumed_run_is_the_same_run_whatever_became_of_the_classifier(textvae, classifier, tmp_path):
    words = ["train", "pictures.npz", *SMALL, "--set=objective.features=c", "--set=train.evaluate_every=100"]
    words += ["--set=train.decay=constant", "--set=train.warmup=0"]  # so that a longer plan is the same at first
    for run, steps in (("whole", 6), ("halved", 3)):
        done = textvae(*words, f"--out={run}", "--steps", steps)
        assert done.exit_code == 0, done.stderr
    classifier(1)
    resumed = textvae("train", "--resume", "--out=halved", "--steps=6", "--threads=1", "--json")
    assert resumed.exit_code == 0, resumed.stderr
    assert json.loads(resumed.stdout)["steps"] == 6
    one, two = (tmp_path / run / "checkpoints/last/model.safetensors" for run in ("whole", "halved"))
    assert one.read_bytes() == two.read_bytes()
    assert textvae("sample", "-n", 2, "--model=halved", "--grid=s.png").exit_code == 0
    shutil.rmtree("c")
    gone = textvae("train", "--resume", "--out=halved", "--steps=9")
    assert gone.exit_code == 2
    assert "textvae train CORPUS --recipe images/conv_classifier --out c" in gone.stderr


def test_without_a_classifier_nothing_is_begun(textvae, classifier, tmp_path):
    before = sorted(tmp_path.iterdir())
    done = textvae("train", "pictures.npz", *SMALL, "--out=run")
    assert done.exit_code == 2
    assert "objective.features is './runs/classifier', and no features can be had from there" in done.stderr
    assert "textvae train CORPUS --recipe images/conv_classifier --out ./runs/classifier" in done.stderr
    other = textvae("train", "pictures.npz", *SMALL, "--out=run", "--set=objective.features=c", "--size=6")
    assert other.exit_code == 2
    assert "reads pictures [1, 8, 8], and this one reads pictures [1, 6, 6]" in other.stderr
    assert sorted(tmp_path.iterdir()) == before
