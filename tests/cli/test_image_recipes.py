"""Every recipe of pictures by way of the commands: it trains, resumes, and its model is measured."""

import json
import math

import numpy as np
import pytest

from tests.toys import PICTURES, settings_of
from textvae.recipes import load_recipe, recipes

# Captions and codes have tests of their own.
IMAGES = sorted(name for name in recipes() if load_recipe(name).codec.name == "pixels")


@pytest.mark.parametrize("recipe", IMAGES)
def test_a_recipe_of_pictures_from_the_command_line(recipe, textvae, tmp_path):
    labels = np.array(["a", "b"] * (len(PICTURES) // 2))
    np.savez(tmp_path / "pictures.npz", images=np.stack(PICTURES), labels=labels)
    binarise = load_recipe(recipe).codec.options.get("binarise", "none")
    size = {"train.batch_size": 4, "train.epochs": 20, "codec.binarise": binarise}
    (tmp_path / "tiny.toml").write_text(settings_of(recipe, size).to_toml())
    words = ["--recipe", "tiny.toml", "--threads=1", "--out=run", "--json"]
    done = textvae("train", "pictures.npz", "--steps=3", *words)
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["steps"] == 3
    longer = textvae("train", "--resume", "--steps=5", "--out=run", "--json", "--threads=1")
    assert longer.exit_code == 0, longer.output
    measured = textvae("evaluate", "pictures.npz", "--iw-samples=3", "--model=run", "--json")
    assert measured.exit_code == 0, measured.output
    tree = json.loads(measured.stdout)
    assert np.isfinite(tree["nll"])
    assert np.isfinite(tree["nll_iw"])
    assert tree["squared_error"] > 0
    assert tree["binarise"] == binarise
    if recipe == "images/bytes":
        assert tree["bits_per_dimension"] == pytest.approx(tree["nll"] / (16 * math.log(2)))
    table = textvae("evaluate", "pictures.npz", "--model=run")
    assert table.exit_code == 0, table.output
    assert "squared_error" in table.stdout
    assert "binarise" in table.stdout
