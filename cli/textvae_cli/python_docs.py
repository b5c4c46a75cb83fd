"""The index of the documentation of the Python that is installed, made on first use."""

import os
import platform
import shutil
import tempfile
from pathlib import Path

import textvae
from textvae.errors import CorruptFolder, RequestError
from textvae_cli.console import say

CORPUS, RECIPE = "python-docs", "documents/search"


def folder() -> Path:
    """Where the index and its model are kept, for each Python and each textvae: under $XDG_CACHE_HOME or ~/.cache."""
    root = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(root) / "textvae" / f"{CORPUS}-{platform.python_version()}-textvae-{textvae.__version__}"


def index() -> tuple[str, str]:
    """The index and the model that made it; both are made if they are not there, or damaged."""
    from filelock import FileLock

    from textvae.files import clear_errors
    from textvae.latent.index import Index

    place = folder()
    say(f"index: the documentation of Python {platform.python_version()} ({place})")
    with clear_errors(place):
        place.mkdir(parents=True, exist_ok=True)
        with FileLock(place / "LOCK"):  # a second process waits, and finds it made
            try:
                whole = not Index.open(place / "index").missing and (place / "model" / "config.json").exists()
            except (CorruptFolder, RequestError):
                whole = False
            if not whole:
                _make(place)
    return str(place / "index"), str(place / "model")


def _make(place: Path) -> None:
    """Train a model on the documents, as ``textvae train`` does, and index them."""
    from textvae import TextVAE
    from textvae.latent.index import Header, Indexing, remove
    from textvae.latent.means import Means
    from textvae.latent.shards import fingerprint
    from textvae_cli.render import waiting
    from textvae_corpora import load_split

    with waiting(f"first use: training {RECIPE} on {CORPUS} and indexing it, which takes some seconds"):
        shutil.rmtree(place / "model", ignore_errors=True)
        with tempfile.TemporaryDirectory(dir=place) as run:
            train(Path(run) / "run")
            shutil.move(Path(run) / "run" / "model", place / "model")
        remove(place / "index")
        vae = TextVAE.from_pretrained(place / "model")
        split = load_split(CORPUS)
        header = Header(str(place / "model"), fingerprint(vae), "text", vae.settings.model.latent_size, recipe=RECIPE)
        Indexing(place / "index", split, Means(vae), header, CORPUS, split.names).write()


def train(run: Path, seed: int = 0) -> None:
    """The run that makes the model."""
    from textvae.devices import resolve
    from textvae.recipes import load_recipe
    from textvae_cli import session

    given = {"corpus.source": CORPUS, "train.device": "cpu", "train.precision": "fp32", "train.seed": seed}
    settings = load_recipe(RECIPE).override(given)
    settings.train = resolve(settings.train)
    ready = session.prepare(settings, session.read_corpus(settings.corpus), None, say)
    with session.begun(run, ready, ["train", CORPUS, "--recipe", RECIPE]) as begun:
        for _ in ready.trainer(begun).fit():
            pass
