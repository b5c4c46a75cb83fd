"""No network, a cache of its own, and one tiny trained run for the whole session."""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from typer.testing import CliRunner

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("HF_DATASETS_CACHE", tempfile.mkdtemp(prefix="textvae-test-"))

SIZES = ["model.encoder.hidden_size", "model.encoder.embedding_size"]
SIZES += ["model.decoder.hidden_size", "model.decoder.embedding_size"]
TINY = [f"--set={key}=16" for key in SIZES]
TINY += ["--set=model.latent_size=4", "--set=codec.vocab_size=400", "--set=codec.max_length=20"]
TINY += ["--batch-size=16", "--precision=fp32", "--device=cpu", "--threads=1"]
ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    """Each test works in an empty folder, and without a model of the user's."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("TEXTVAE_MODEL", raising=False)


@pytest.fixture
def textvae():
    """Runs a command in this process; the result has exit_code, stdout and stderr."""
    from textvae_cli.app import app

    def run(*words, **options):
        return CliRunner().invoke(app, list(map(str, words)), **options)

    return run


def command(*words, program=("-m", "textvae_cli")):
    """The command line of another process."""
    return [sys.executable, *program, *map(str, words)]


def start(*words, program=("-m", "textvae_cli"), **options):
    """Another process that runs a command."""
    path = os.pathsep.join(str(ROOT / folder) for folder in (".", "cli", "corpora"))
    env = {**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1", **options.pop("env", {})}
    pipe = subprocess.PIPE
    return subprocess.Popen(
        command(*words, program=program), stdout=options.pop("stdout", pipe), stderr=pipe, env=env, **options
    )


@pytest.fixture(scope="session")
def tiny(tmp_path_factory):
    """A run of 60 steps on 200 toy sentences."""
    from textvae_cli.app import app

    folder = tmp_path_factory.mktemp("tiny") / "run"
    done = CliRunner().invoke(app, ["train", "toy:200", "--steps=60", f"--out={folder}", *TINY])
    assert done.exit_code == 0, done.output
    return folder


@pytest.fixture(scope="session")
def pictures(tmp_path_factory):
    """A run on ten grey pictures."""
    import numpy as np

    from textvae_cli.app import app

    folder = tmp_path_factory.mktemp("pictures")
    np.save(folder / "p.npy", np.random.default_rng(0).integers(0, 255, (10, 1, 4, 4), np.uint8))
    words = ["train", str(folder / "p.npy"), "--steps=2", f"--out={folder / 'run'}", "--precision=fp32"]
    done = CliRunner().invoke(app, words)
    assert done.exit_code == 0, done.output
    return folder
