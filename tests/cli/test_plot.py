"""``textvae plot`` as it is typed."""

import json
import os
import sys
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("matplotlib", reason="matplotlib is not installed")


def size_of(path):
    from PIL import Image

    with Image.open(path) as image:
        return image.size


@pytest.mark.parametrize("method", ["pca", "tsne"])
def test_codes_of_pictures_stand_beside_their_pixels(method, textvae, pictures):
    done = textvae(
        "plot", "codes", pictures / "p.npy", "--out", "a/codes.png", "--model", pictures / "run", "--method", method
    )
    assert done.exit_code == 0, done.stderr
    assert done.stdout == ""
    assert "a/codes.png: 10 of 10" in done.stderr
    width, height = size_of("a/codes.png")
    assert width > 1.5 * height


def test_codes_of_sentences_are_drawn_at_random_and_said(textvae, tiny):
    words = ["plot", "codes", "toy:90", "--model", tiny, "--points", "40", "--json"]
    done = textvae(*words, "--out", "codes.png")
    tree = json.loads(done.stdout)
    assert (tree["points"], tree["of"]) == (40, 90)
    assert [panel.partition(" (")[0] for panel in tree["panels"]] == ["PCA of the codes"]
    textvae(*words, "--out", "same.png")
    textvae(*words, "--out", "other.png", "--seed", "1")
    same, codes, other = (Path(f"{name}.png").read_bytes() for name in ("same", "codes", "other"))
    assert same == codes != other
    for suffix in ("pdf", "svg"):
        assert textvae(*words, "--out", f"codes.{suffix}").exit_code == 0
        assert os.path.getsize(f"codes.{suffix}") > 1000


def test_a_code_of_two_dimensions_is_drawn_as_it_is(textvae, tmp_path):
    np.save("p.npy", np.random.default_rng(0).integers(0, 255, (12, 1, 4, 4), np.uint8))
    words = ["train", "p.npy", "--steps=2", "--out=run", "--precision=fp32", "--set=model.latent_size=2"]
    assert textvae(*words).exit_code == 0
    done = textvae("plot", "codes", "--out", "codes.png", "--model", "run", "--json")  # of what it was trained on
    assert json.loads(done.stdout)["panels"][0] == "the code"


def test_curves_of_a_run(textvae, tiny, tmp_path):
    done = textvae("plot", "run", tiny, "--out", "curves.png", "--json")
    assert done.exit_code == 0, done.stderr
    assert "KL, nats" in json.loads(done.stdout)["panels"]
    assert size_of("curves.png")[0] > 600


def test_features_are_a_picture_for_each_unit(textvae, pictures, tiny):
    words = ["plot", "features", "--model", pictures / "run", "--out", "features.png"]
    done = textvae(*words, "--points", "9", "--json")
    assert json.loads(done.stdout)["features"] == 9
    assert size_of("features.png") == (3 * 66 + 2, 3 * 66 + 2)
    assert "is for pictures" in textvae("plot", "features", "--model", tiny, "--out", "f.png").stderr
    assert "to .png" in textvae(*words[:-1], "f.pdf").stderr


def test_wrong_requests_are_told(textvae, tiny, tmp_path, monkeypatch):
    (tmp_path / "folder.png").mkdir()
    (tmp_path / "two.txt").write_text("A cat.\nA dog.\n")
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "metrics.jsonl").write_text("")
    model = ["--model", tiny]
    wrong = {
        ("plot", "codes", "toy:9", "--out", "codes.txt", *model): "written to .png",
        ("plot", "codes", "toy:9", "--out", "folder.png", *model): "is a folder",
        ("plot", "codes", "two.txt", "--out", "two.png", *model): "3 points or more",
        ("plot", "codes", "missing.txt", "--out", "c.png", *model): "no file",
        ("plot", "run", "--out", "c.png"): "not a run",
        ("plot", "run", "two.txt", "--out", "c.png"): "not a run",
        ("plot", "run", "run", "--out", "c.png"): "nothing to draw",
        ("plot", "shape", "--out", "c.png"): "shape",
    }
    for words, part in wrong.items():
        done = textvae(*words)
        assert done.exit_code == 2, (words, done.output)
        assert part in done.stderr, (words, done.stderr)
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    done = textvae("plot", "codes", "toy:9", "--out", "c.png", *model)
    assert done.exit_code == 2
    assert "pip install 'textvae[plot]'" in done.stderr


@pytest.mark.parametrize("n", [1, 2, 8, 10, 20, 24])
def test_colours_can_be_told_apart_and_seen_on_white(n):
    from textvae_cli.figures import palette

    colours = np.array([[int(colour[i : i + 2], 16) for i in (1, 3, 5)] for colour in palette(n)], float)
    apart = np.linalg.norm(colours[:, None] - colours[None], axis=-1) + 999 * np.eye(n)
    assert apart.min() > 40
    assert np.linalg.norm(255 - colours, axis=1).min() > 90


def test_the_most_frequent_classes_have_colours_and_the_others_are_grey():
    from textvae_cli.figures import MOST_CLASSES, _classes

    labels = [f"c{i}" for i in range(40) for _ in range(i + 1)] + [None]
    found = _classes(labels)
    assert len(found) == MOST_CLASSES
    assert set(found) == {f"c{i}" for i in range(40 - MOST_CLASSES, 40)}
    assert list(_classes(["10", "9", "1"])) == ["1", "9", "10"]
    assert _classes(None) == {}
