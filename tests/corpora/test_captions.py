"""Captions beside the pictures of a folder: whose they are, and what is said where that cannot be told."""

import json

import numpy as np
import pytest
from PIL import Image

from textvae.errors import RequestError
from textvae_corpora import load_corpus, load_split, shapes
from textvae_corpora.captions import pairs

ROWS = [("a.png", "a red cat"), ("sub dir/b.png", "two dogs, one large"), ("a.png", "a cat"), ("c.png", "rain")]


@pytest.fixture
def photos(tmp_path):
    """Four pictures, each of a colour of its own."""
    (tmp_path / "sub dir").mkdir()
    for i, name in enumerate(["a.png", "c.png", "d.png", "sub dir/b.png"]):
        Image.new("L", (4, 4), 60 * i).save(tmp_path / name)
    return tmp_path


def written(folder, kind, header=("file", "caption")):
    """The rows in a file of that kind."""
    if kind == "jsonl":
        lines = [json.dumps(dict(zip(header, row))) for row in ROWS]
    elif kind == "csv":
        lines = [",".join(header), *(f'{file},"{text}"' for file, text in ROWS)]
    else:
        lines = ["\t".join(row) for row in ([header, *ROWS] if header else ROWS)]
    (folder / f"captions.{kind}").write_text("\n".join(lines) + "\n")


@pytest.mark.parametrize("kind", ["tsv", "csv", "jsonl"])
@pytest.mark.parametrize("header", [("file", "caption"), ("file_name", "text"), ("Image", "what is said")])
def test_each_picture_has_all_its_captions(photos, kind, header):
    written(photos, kind, header)
    split = load_split(str(photos))
    said = dict(zip(split.names, split.captions))
    assert said == {
        "a.png": ["a red cat", "a cat"],
        "c.png": ["rain"],
        "d.png": [],
        "sub dir/b.png": ["two dogs, one large"],
    }
    assert "1 picture without a caption" in split.notes
    assert not any("skipped" in note for note in split.notes)
    found, labels = pairs("photos", split.examples, split.captions, np.arange(4))
    assert [one.captions for one in found] == [said[name] for name in ("a.png", "c.png", "sub dir/b.png")]
    assert [int(one.picture.max()) for one in found] == [0, 60, 180]
    assert labels.tolist() == [0, 1, 3]


def test_a_table_without_a_header_and_a_limit(photos):
    written(photos, "tsv", None)
    split = load_split(str(photos), limit=2)
    assert dict(zip(split.names, split.captions)) == {"a.png": ["a red cat", "a cat"], "c.png": ["rain"]}


def test_a_column_by_its_name(photos):
    written(photos, "csv", ("which one", "caption"))
    with pytest.raises(RequestError, match=r"which column names the picture.* which one, caption.*--label-column"):
        load_split(str(photos))
    assert load_split(str(photos), label_column="which one").captions[0] == ["a red cat", "a cat"]


@pytest.mark.parametrize(
    ("content", "part"),
    [
        ("file\tcaption\nx.png\tno such\ny.png\tnone\n", r"speaks of x\.png, and 1 others, .*no such picture"),
        ("file\tcaption\n../a.png\toutside\n", r"speaks of \.\./a\.png"),
        ("file\tcaption\n", "no sentences found"),
        ("file\tcaption\na.png\t \n", "blank"),
        ("just lines\n", "does not say whose"),
        ("file\tcaption\na.png\tb\tc\n", "3 cells"),
        ("\x89PNG\r\n", "PNG picture"),
    ],
)
def test_a_file_that_does_not_say_what_is_expected(photos, content, part):
    (photos / "captions.tsv").write_bytes(content.encode("latin-1"))
    with pytest.raises(RequestError, match=part):
        load_split(str(photos))


def test_a_line_that_is_not_json(photos):
    (photos / "captions.jsonl").write_text('{"file": "a.png", "caption": "x"}\n{"file"\n')
    with pytest.raises(RequestError, match="line 2 is not JSON"):
        load_split(str(photos))


def test_pictures_without_any(photos):
    split = load_split(str(photos))
    assert split.captions is None
    with pytest.raises(RequestError, match=r"photos has no captions.*captions\.tsv"):
        pairs("photos", split.examples, split.captions)


def test_what_is_held_out_keeps_its_captions_and_new_ones_are_another_corpus(photos):
    written(photos, "tsv")
    corpus = load_corpus(str(photos), valid_fraction=0.5)
    expected = {int(one.max()): said for one, said in zip(*(load_split(str(photos)).examples, CAPTIONS))}
    for pictures, captions in ((corpus.train, corpus.train_captions), (corpus.valid, corpus.valid_captions)):
        assert [expected[int(one.max())] for one in pictures] == list(captions)
    written(photos, "tsv", ("file", "text"))
    assert load_corpus(str(photos), valid_fraction=0.5).fingerprint == corpus.fingerprint
    (photos / "captions.tsv").write_text("a.png\tsomething else\n")
    assert load_corpus(str(photos), valid_fraction=0.5).fingerprint != corpus.fingerprint


CAPTIONS = [["a red cat", "a cat"], ["rain"], [], ["two dogs, one large"]]


def test_the_shapes_are_captioned_by_name():
    split = load_split("captioned-shapes:30")
    pictures, captions, _ = shapes.captioned(30)
    assert (split.examples == pictures).all()
    assert list(split.captions) == captions
