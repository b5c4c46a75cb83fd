"""``textvae chain`` as it is typed."""

import json
import shutil
from itertools import pairwise

import numpy as np
import pytest
from PIL import Image


@pytest.fixture(scope="session")
def denoiser(tmp_path_factory):
    """A denoising run on twelve pictures of two classes, black and white."""
    from typer.testing import CliRunner

    from textvae_cli.app import app

    folder = tmp_path_factory.mktemp("denoiser")
    pictures = np.repeat(np.array([0, 255], np.uint8), 6)[:, None, None] * np.ones((12, 4, 4), np.uint8)
    np.savez(folder / "p.npz", images=pictures, labels=np.repeat(["black", "white"], 6))
    words = ["train", str(folder / "p.npz"), "--recipe=images/walkback", "--steps=60", f"--out={folder / 'run'}"]
    words += ["--set=model.encoder.hidden_sizes=[8]", "--set=model.decoder.hidden_sizes=[8]"]
    words += ["--set=model.latent_size=3", "--precision=fp32", "--threads=1", "--set=train.learning_rate=0.03"]
    done = CliRunner().invoke(app, words)
    assert done.exit_code == 0, done.output
    return folder


def size_of(file):
    with Image.open(file) as image:
        return image.size


def test_a_chain_is_a_strip_and_its_mixing_is_told(textvae, denoiser, tmp_path):
    words = ["chain", "-n", 3, "--steps", 20, "--seed", 1, "--model", denoiser / "run", "--out", "s.png"]
    done = textvae(*words, "--json")
    assert done.exit_code == 0, done.stderr
    tree = json.loads(done.stdout)
    assert (tree["chains"], tree["steps"], tree["measured_from_step"], tree["out"]) == (3, 20, 5, "s.png")
    assert tree["autocorrelation"][0] == 1.0
    assert len(tree["autocorrelation"]) == 16 // 2 + 1
    assert tree["autocorrelation_time"] * tree["independent_draws"] == pytest.approx(3 * 16)
    assert [len(row) for row in tree["labels"]] == [16] * 3
    assert 0 <= tree["distance"] < 2
    assert {label for row in tree["labels"] for label in row} <= {"black", "white"}
    changes = sum(a != b for row in tree["labels"] for a, b in pairwise(row))
    assert tree["steps_to_another_class"] == (3 * 15 / changes if changes else None)
    assert tree["steps_of_independent_draws"] == pytest.approx(2, abs=0.1)
    width, height = size_of("s.png")
    tile = (width - 2) / 21
    assert tile == (height - 2) / 3
    strip = (tmp_path / "s.png").read_bytes()
    again = textvae(*words)
    assert (tmp_path / "s.png").read_bytes() == strip
    assert again.stdout.splitlines()[0].startswith("chains\t3\tof 20 steps")
    assert "of independent draws" in again.stdout


def test_a_chain_begins_with_the_pictures_that_are_named(textvae, denoiser):
    words = ["chain", f"{denoiser / 'p.npz'}:0-1", f"{denoiser / 'p.npz'}:11", "--model", denoiser / "run"]
    done = textvae(*words, "--steps", 120, "--out", "s.png", "--json")
    assert json.loads(done.stdout)["chains"] == 3
    assert "shown: 50 of the 120 steps" in done.stderr
    with Image.open("s.png") as image:
        strip = np.asarray(image)
    tile = (strip.shape[1] - 2) // 51
    assert (strip[2:tile, 2:tile] == 0).all()
    assert (strip[2 + 2 * tile : 3 * tile, 2:tile] == 255).all()


def test_a_chain_without_noise_or_training_pictures(textvae, denoiser, pictures, tmp_path):
    shutil.copytree(pictures / "run", "moved")
    text = (tmp_path / "moved/model/config.json").read_text()
    (tmp_path / "moved/model/config.json").write_text(text.replace(str(pictures / "p.npy"), "gone.npy"))
    done = textvae("chain", "--steps", 1, "-n", 1, "--model", "moved", "--out", "s.png", "--json")
    assert done.exit_code == 0, done.stderr
    assert "without noise on what it reads" in done.stderr
    assert "distances and classes are left out" in done.stderr
    assert not {"labels", "distance"} & json.loads(done.stdout).keys()


@pytest.mark.parametrize(
    ("words", "part"),
    [
        ([], "add --out strip.png"),
        (["--out", "s.jpg"], "ends in .jpg"),
        (["nope.png", "--out", "s.png"], "no picture 'nope.png'"),
        (["-n", "10000", "--steps", "100000", "--out", "s.png"], "--steps 1,677 at most"),
        (["--steps", "0", "--out", "s.png"], "--steps"),
    ],
)
def test_what_is_no_chain(textvae, denoiser, words, part, tmp_path):
    done = textvae("chain", *words, "--model", denoiser / "run")
    assert done.exit_code == 2
    assert part in done.stderr
    assert not list(tmp_path.iterdir())


def test_a_chain_of_sentences_is_refused(textvae, tiny):
    done = textvae("chain", "--model", tiny)
    assert done.exit_code == 2
    assert "is for pictures" in done.stderr
