"""Registered names, the standard sets, Hugging Face datasets, and the package itself."""

import os
import subprocess
import sys

import datasets
import numpy as np
import pytest

from textvae.errors import RequestError
from textvae_corpora import NAMES, READERS, load_corpus, load_examples
from textvae_corpora.sources import resolve

DATA = os.environ.get("TEXTVAE_DATA")


def test_every_entry_resolves():
    for entry in {*(named.entry for named in NAMES.values()), *READERS.values()}:
        assert callable(resolve(entry))


def test_import_is_light():
    heavy = {"torch", "datasets", "pandas", "pyarrow", "numpy"}
    code = f"import sys, textvae_corpora; print({heavy} & set(sys.modules))"
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    out = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "set()"


def test_toy():
    corpus = load_corpus("toy")
    everything = [*corpus.train, *corpus.valid]
    assert len(set(everything)) == len(everything) == 2000
    assert corpus.labels == ("negation", "question", "statement")
    assert list(load_corpus("toy").train) == list(corpus.train)
    assert list(load_examples("toy:7")[0]) == list(load_examples("toy:2000")[0])[:7]
    assert list(load_examples("toy:7", seed=1)[0]) != list(load_examples("toy:7")[0])
    for text, kind in zip(corpus.train[:50], corpus.train_labels):
        assert text.endswith("?") == (corpus.labels[kind] == "question")


@pytest.mark.parametrize("name", ["toy:x", "toy:0", "toy:99999999999", "toy/train", "digits/test"])
def test_bad_arguments(name):
    with pytest.raises(RequestError):
        load_corpus(name)


def test_digits():
    corpus = load_corpus("digits")
    assert len(corpus.train) + len(corpus.valid) == 1797
    assert (corpus.train.dtype, corpus.train.min(), corpus.train.max()) == (np.uint8, 0, 255)
    assert corpus.labels == tuple("0123456789")


def test_without_the_data_folder(monkeypatch, tmp_path):
    monkeypatch.delenv("TEXTVAE_DATA", raising=False)
    with pytest.raises(RequestError, match="TEXTVAE_DATA names, and it is not set"):
        load_corpus("ptb")
    monkeypatch.setenv("TEXTVAE_DATA", str(tmp_path))
    with pytest.raises(RequestError, match="no folder"):
        load_corpus("mnist")
    (tmp_path / "ptb").mkdir()
    with pytest.raises(RequestError, match="no training file"):
        load_corpus("ptb")


def test_a_data_folder(monkeypatch, write, tmp_path):
    monkeypatch.setenv("TEXTVAE_DATA", str(tmp_path))
    write("trec/train.tsv", ["A:b\tone ?", "A:c\ttwo ?", "B:b\tthree ?"])
    write("trec/test.tsv", ["B:d\tfour ?"])
    write("reuters/r8.train.tsv", ["earn\ta", "acq\tb"])
    write("reuters/r52.train.tsv", ["gold\tc", "acq\td"])
    corpus = load_corpus("trec", valid="trec/test")
    assert corpus.labels == ("A", "B")
    assert (corpus.train_labels.tolist(), corpus.valid_labels.tolist()) == ([0, 0, 1], [1])
    assert load_corpus("reuters-r52").labels == ("acq", "gold")
    assert list(load_examples("reuters-r8/train")[0]) == ["a", "b"]
    with pytest.raises(RequestError, match="It has trec/test, trec/train"):
        load_corpus("trec/dev")


@pytest.mark.parametrize(
    ("name", "train", "valid", "classes"),
    [
        ("ptb", 42_068, 3_370, 0),
        ("yelp", 100_000, 10_000, 2),
        ("captions", 145_000, 5_070, 0),
        ("tatoeba", 104_830, 6_000, 0),
        ("trec", 5_179, 273, 6),
        ("newsgroups20", 10_728, 565, 20),
        ("newsgroups20-nvdm", 10_705, 563, 20),
        ("reuters-r8", 5_211, 274, 8),
        ("reuters-r52", 6_205, 327, 52),
        ("mnist", 57_000, 3_000, 10),
        ("pokemon", 752, 40, 0),
    ],
)
def test_standard_sets(name, train, valid, classes):
    if not DATA or not os.path.isdir(os.path.join(DATA, name.partition("-")[0])):
        pytest.skip(f"TEXTVAE_DATA names no folder that holds {name}")
    corpus = load_corpus(name)
    assert (len(corpus.train), len(corpus.valid), len(corpus.labels)) == (train, valid, classes)
    assert not [note for note in corpus.notes if "cut" in note or "removed" in note or "skipped" in note]


def test_hugging_face_offline():
    with pytest.raises(RequestError, match=r"no file 'someone/thing' here.*could not be reached"):
        load_corpus("someone/thing")
    with pytest.raises(RequestError, match=r"Did you mean digits.*could not be reached"):
        load_corpus("digit")


def test_hugging_face(monkeypatch):
    features = datasets.Features({"sentence": datasets.Value("string"), "label": datasets.ClassLabel(names=["n", "p"])})
    rows = {"sentence": ["a", None, "b"], "label": [1, 0, -1]}
    found = datasets.DatasetDict(
        {
            "train": datasets.Dataset.from_dict(rows, features),
            "validation": datasets.Dataset.from_dict(rows, features),
        }
    )
    monkeypatch.setattr(datasets, "load_dataset", lambda name, config: found)
    corpus = load_corpus("org/set:small")
    assert list(corpus.train) == list(corpus.valid) == ["a", "b"]
    assert corpus.labels == ("p",)
    assert corpus.train_labels.tolist() == [0, -1]
    with pytest.raises(RequestError, match="no text column"):
        load_corpus("org/set", text_column="nope")


def test_hugging_face_pictures(monkeypatch):
    from PIL import Image

    pictures = [Image.new("L", size, 40 * i) for i, size in enumerate([(6, 5), (6, 5), (60, 50)])]
    kinds = {"image": datasets.Image(), "label": datasets.ClassLabel(names=["n", "p"])}
    rows = datasets.Dataset.from_dict({"image": pictures, "label": [1, -1, 0]}, datasets.Features(kinds))
    monkeypatch.setattr(datasets, "load_dataset", lambda name, config: datasets.DatasetDict({"train": rows}))
    examples, labels, notes = load_examples("org/pictures")
    assert examples[:, 0, 2, 2].tolist() == [0, 40, 80]
    assert labels.tolist() == [1, -1, 0]
    assert "scaled and cropped to 5 x 5" in notes[1]
    assert len(load_examples("org/pictures", limit=2)[0]) == 2
    damaged = rows.cast_column("image", datasets.Image(decode=False)).map(
        lambda row, i: {"image": {"bytes": b"nothing" if i == 1 else row["image"]["bytes"], "path": None}},
        with_indices=True,
    )
    rows = damaged.cast_column("image", datasets.Image())
    with pytest.raises(RequestError, match="org/pictures:1 is not a picture"):
        load_corpus("org/pictures")


def test_hugging_face_errors_are_explained(monkeypatch):
    def fail(error):
        def load(name, config):
            raise error

        monkeypatch.setattr(datasets, "load_dataset", load)

    fail(FileNotFoundError("Dataset 'x/y' doesn't exist on the Hub"))
    with pytest.raises(RequestError, match="Hugging Face has no dataset of that name"):
        load_corpus("x/y")
    fail(ValueError("BuilderConfig 'z' not found. Available: ['a']"))
    with pytest.raises(RequestError, match=r"Available: \['a'\]"):
        load_corpus("x/y:z")
