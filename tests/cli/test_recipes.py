"""Every recipe of sentences by way of the commands: it trains, resumes, and its model answers."""

import json

import pytest

from tests.toys import settings_of
from textvae.recipes import recipes

SENTENCES = sorted(name for name in recipes() if name.startswith("sentences/"))


@pytest.mark.parametrize("recipe", SENTENCES)
def test_a_recipe_from_the_command_line(recipe, textvae, tmp_path):
    size = {"train.batch_size": 16, "train.epochs": 20}
    (tmp_path / "tiny.toml").write_text(settings_of(recipe, size).to_toml())
    words = ["--recipe", "tiny.toml", "--threads=1", "--out=run", "--json"]
    done = textvae("train", "toy:200", "--steps=3", *words)
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["steps"] == 3
    longer = textvae("train", "--resume", "--steps=5", "--out=run", "--json", "--threads=1")
    assert longer.exit_code == 0, longer.output
    assert json.loads(longer.stdout)["steps"] == 5
    model = ["--model=run", "--json"]
    (tmp_path / "test.txt").write_text("The man reads a book.\nDoes the girl sing?\n")
    measured = textvae("evaluate", "test.txt", "--iw-samples=3", *model)
    assert measured.exit_code == 0, measured.output
    tree = json.loads(measured.stdout)
    assert tree["sentences"] == 2
    assert tree["nll"] > 0
    sampled = textvae("sample", "-n", 2, *model)
    assert sampled.exit_code == 0, sampled.output
    assert len(json.loads(sampled.stdout)["samples"]) == 2
    path = textvae("interpolate", "The man reads a book.", "Does the girl sing?", "--steps=3", *model)
    if recipe == "sentences/language_model":
        assert path.exit_code == 2
        assert "without a code" in path.stderr
        return
    assert path.exit_code == 0, path.output
    assert len(json.loads(path.stdout)["steps"]) == 3


def test_a_method_that_does_not_go_with_the_model_is_refused_before_there_is_a_run(textvae, tmp_path):
    words = ["--recipe=sentences/lagging", "--set=model.latent_size=0", "--out=run"]
    done = textvae("train", "toy:40", *words)
    assert done.exit_code == 2
    assert "latent_size is 0" in done.stderr
    assert not list(tmp_path.iterdir())
