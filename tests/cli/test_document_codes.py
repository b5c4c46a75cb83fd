"""Deep autoencoders and semantic hashing from the command line: trained, evaluated by labels, encoded, searched."""

import json

import numpy as np
import pytest

from tests.cli.test_documents import rows
from textvae.model_folder import CONFIG

RECIPES = {
    "autoencoder": (10, False),
    "spherical": (10, False),
    "semantic_hashing": (32, True),
    "nash": (32, True),
    "vdsh": (32, False),
}


@pytest.mark.parametrize("recipe", list(RECIPES))
def test_documents_are_coded_and_found(recipe, textvae, tmp_path):
    size, binary = RECIPES[recipe]
    (tmp_path / "train.tsv").write_text("\n".join(rows(60)) + "\n")
    small = [f"--set=model.latent_size={size}", "--set=train.batch_size=8", "--device=cpu", "--steps=12"]
    done = textvae("train", "train.tsv", f"--recipe=documents/{recipe}", "--out=run", *small)
    assert done.exit_code == 0, done.output
    assert (tmp_path / "run" / "model" / CONFIG).exists()
    measured = textvae("evaluate", "train.tsv", "--model=run", "--json")
    assert measured.exit_code == 0, measured.output
    assert 0 < json.loads(measured.stdout)["map"] <= 1
    coded = textvae("encode", "train.tsv", "--model=run", "--out=z.npy")
    assert coded.exit_code == 0, coded.output
    codes = np.load("z.npy")
    assert codes.shape == (60, size)
    assert bool(set(np.unique(codes)) <= {0, 1}) == binary
    assert textvae("index", "train.tsv", "--model=run", "--out=idx").exit_code == 0
    found = textvae("search", "idx", "planet orbit", "-k", 3, "--json")
    assert found.exit_code == 0, found.output


def test_a_stack_that_does_not_mirror_itself_is_refused_before_there_is_a_run(textvae, tmp_path):
    (tmp_path / "train.tsv").write_text("\n".join(rows(60)) + "\n")
    words = ["--recipe=documents/autoencoder", "--set=model.decoder.hidden_sizes=[500]", "--out=run"]
    done = textvae("train", "train.tsv", *words)
    assert done.exit_code == 2
    assert "hidden_sizes=[125, 250, 500]" in done.stderr
    assert not (tmp_path / "run").exists()
