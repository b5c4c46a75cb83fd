"""Every example runs; one that is not listed here fails the test."""

import os
import runpy
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.toys import SENTENCES, vae_of

FOLDER = Path(__file__).parent.parent / "examples"
SAID = {
    "interpolate.py": ["0.00 ", "0.50 ", "1.00 "],
    "train_sentences.py": ["train 3", "valid 3", "end 3"],
    "own_objective.py": ["distortion ", " nats"],
}


def arguments(name, tmp_path):
    """Tiny arguments for the example of that name."""
    if name == "interpolate.py":
        vae_of("sentences/lstm").save_pretrained(tmp_path / "model")
        return [tmp_path / "model"]
    if name == "train_sentences.py":
        (tmp_path / "own.txt").write_text("\n".join(SENTENCES))
        return [tmp_path / "own.txt", tmp_path / "run", 3]
    return []


def test_every_example_is_run_here_and_is_short():
    found = sorted(FOLDER.glob("*.py"))
    assert {path.name for path in found} == set(SAID)
    assert all(len(path.read_text().splitlines()) < 40 for path in found)


@pytest.mark.parametrize("name", sorted(SAID))
def test_an_example_runs_and_says_what_it_should(name, tmp_path, monkeypatch, capsys):
    from textvae.objectives import OBJECTIVES

    monkeypatch.setattr(OBJECTIVES, "_entries", dict(OBJECTIVES._entries))
    monkeypatch.setattr(sys, "argv", [str(FOLDER / name), *map(str, arguments(name, tmp_path))])
    monkeypatch.chdir(tmp_path)
    runpy.run_path(str(FOLDER / name), run_name="__main__")
    said = capsys.readouterr().out
    assert all(part in said for part in SAID[name]), said
    if name == "train_sentences.py":
        assert (tmp_path / "run" / "model" / "config.json").exists()
        assert (tmp_path / "run" / "config.toml").exists()


def test_two_workers_encode_a_file_in_parts(tmp_path):
    vae_of("sentences/lstm").save_pretrained(tmp_path / "model")
    (tmp_path / "own.txt").write_text("\n".join(SENTENCES))
    script, out = FOLDER / "encode_in_parts.sh", tmp_path / "z.npy"
    words = ["sh", str(script), str(tmp_path / "own.txt"), str(out), str(tmp_path / "model")]
    known = {"PYTHON": sys.executable, "PYTHONPATH": os.pathsep.join(sys.path), "HF_HOME": str(tmp_path)}
    subprocess.run(words, check=True, env=os.environ | known, timeout=120)
    assert np.load(out).shape == (len(SENTENCES), 3)
