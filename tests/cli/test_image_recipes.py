"""Every recipe of pictures by way of the commands: it trains, resumes, and its model is measured."""

import json

import numpy as np
import pytest

from tests.toys import PICTURES, settings_of
from textvae.recipes import recipes

IMAGES = sorted(name for name in recipes() if name.startswith("images/"))


@pytest.mark.parametrize("recipe", IMAGES)
def test_a_recipe_of_pictures_from_the_command_line(recipe, textvae, tmp_path):
    labels = np.array(["a", "b"] * (len(PICTURES) // 2))
    np.savez(tmp_path / "pictures.npz", images=np.stack(PICTURES), labels=labels)
    size = {"train.batch_size": 4, "train.epochs": 20}
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
