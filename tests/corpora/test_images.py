"""Pictures: folders, idx files, numpy files, and what lies about its size."""

import gzip
import struct

import numpy as np
import pytest
from PIL import Image

from textvae.errors import RequestError
from textvae_corpora import arrays, load_corpus, load_examples


def save(path, size=(5, 4), mode="RGB", value=0):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new(mode, size, value).save(path)


def test_folder_of_pictures(tmp_path):
    for i, name in enumerate(["a.png", "b.jpg", "c.png"]):
        save(tmp_path / name, value=(i, i, i))
    examples, labels, _ = load_examples(str(tmp_path))
    assert (examples.shape, examples.dtype, labels) == ((3, 3, 4, 5), np.uint8, None)
    corpus = load_corpus(str(tmp_path), valid_fraction=0.4)
    assert (corpus.kind, len(corpus.train), len(corpus.valid)) == ("image", 2, 1)


def test_grey_stays_grey_and_folders_are_classes(tmp_path):
    for name in ("cat/1.png", "cat/2.png", "dog/1.png"):
        save(tmp_path / name, mode="L", value=7)
    corpus = load_corpus(str(tmp_path), valid=str(tmp_path))
    assert corpus.train[0].shape == (1, 4, 5)
    assert corpus.train[0][0, 0, 0] == 7
    assert corpus.labels == ("cat", "dog")
    assert corpus.train_labels.tolist() == [0, 0, 1]


def test_transparent_becomes_white(tmp_path):
    save(tmp_path / "a.png", mode="RGBA", value=(0, 0, 0, 0))
    save(tmp_path / "b.png", mode="L", value=9)
    examples = load_examples(str(tmp_path))[0]
    assert examples[0].min() == 255
    assert (examples[1] == 9).all()


def test_pictures_of_several_sizes_are_brought_to_one(tmp_path):
    for i, size in enumerate([(50, 40), (30, 30), (200, 300), (70, 90)]):
        save(tmp_path / f"{i}.png", size, "L", 9)
    examples, _, notes = load_examples(str(tmp_path))
    assert examples.shape == (4, 1, 55, 55)  # the median of the short sides
    assert (examples == 9).all()
    assert notes == (
        "the pictures have 4 sizes, from 30 x 30 to 200 x 300: scaled and cropped to 55 x 55; --size N takes another "
        "size",
    )
    assert load_corpus(str(tmp_path), size=(8, 6)).train.shape == (3, 1, 8, 6)


def test_large_pictures_of_one_size_are_made_small(tmp_path):
    for i in range(2):
        save(tmp_path / f"{i}.jpg", (400, 300), value=(0, 200, 0))
    examples, _, notes = load_examples(str(tmp_path))
    assert examples.shape == (2, 3, 64, 64)
    assert "the pictures are 400 x 300 each: scaled and cropped to 64 x 64" in notes[0]


def test_the_middle_is_kept(tmp_path):
    picture = np.zeros((20, 60), np.uint8)
    picture[:, 20:40] = 255
    Image.fromarray(picture).save(tmp_path / "a.png")
    (cropped,), *_ = load_examples(str(tmp_path), size=(10, 10))
    assert cropped[0, :, 1:-1].min() > 240


def test_damaged_and_oversized_pictures(tmp_path, monkeypatch):
    (tmp_path / "a.png").write_bytes(b"no picture")
    with pytest.raises(RequestError, match=r"a\.png is not a picture"):
        load_corpus(str(tmp_path))
    save(tmp_path / "a.png", (100, 100))
    whole = (tmp_path / "a.png").read_bytes()
    (tmp_path / "a.png").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(RequestError, match=r"a\.png"):
        load_corpus(str(tmp_path))
    save(tmp_path / "a.png", (100, 100))
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 6000)  # 10,000 pixels: a warning of pillow, to us an error
    with pytest.raises(RequestError, match="is refused"):
        load_corpus(str(tmp_path))


def test_folder_of_documents(write, tmp_path):
    write("x/one.txt", ["first line", "second line"])
    write("y/two.txt", "a" * 20_000)
    examples, labels, notes = load_examples(str(tmp_path))
    assert list(examples) == ["first line second line", "a" * 20_000]
    assert labels.tolist() == [0, 1]
    assert notes == ()


def test_a_folder_of_nothing(tmp_path):
    with pytest.raises(RequestError, match="no documents found"):
        load_corpus(str(tmp_path))


def idx(shape, content):
    return b"\0\0\x08" + bytes([len(shape)]) + struct.pack(f">{len(shape)}I", *shape) + content


@pytest.mark.parametrize(("packed", "end"), [(gzip.compress, ".gz"), (bytes, "")])
def test_idx(write, tmp_path, packed, end):
    for name, count in (("train", 6), ("t10k", 2)):
        write(f"{name}-images-idx3-ubyte{end}", packed(idx((count, 2, 3), bytes(range(count * 6)))))
        write(f"{name}-labels-idx1-ubyte{end}", packed(idx((count,), bytes(range(count)))))
    corpus = load_corpus(str(tmp_path))
    assert (len(corpus.train), len(corpus.valid), corpus.train[0].shape) == (5, 1, (1, 2, 3))
    assert corpus.labels == tuple("012345")
    examples, labels, notes = load_examples(str(tmp_path))
    assert (len(examples), labels.tolist()) == (2, [0, 1])
    assert "the test split" in notes[0]
    assert len(load_examples(str(tmp_path / f"train-images-idx3-ubyte{end}"))[0]) == 6


@pytest.mark.parametrize("packed", [gzip.compress, bytes])
@pytest.mark.parametrize(
    ("content", "message"),
    [
        (idx((3, 2, 2), bytes(11)), "holds only 11"),
        (idx((3, 2, 2), bytes(13)), "holds more"),
        (idx((60_000, 28, 28), bytes(10)), "damaged"),
        (idx((2**32 - 1,) * 3, bytes(10)), "says it holds"),
        (idx((0, 2, 2), b""), "says it holds"),
        (idx((3, 2, 2), bytes(12))[:9], "cut off"),
        (b"not idx at all", "not an idx file"),
        (b"", "not an idx file"),
    ],
)
def test_lying_idx(write, packed, content, message):
    with pytest.raises(RequestError, match=message):
        load_corpus(write("a-images-idx3-ubyte", packed(content)))


@pytest.mark.parametrize(
    ("array", "shape"),
    [
        (np.zeros((4, 5, 6), np.uint8), (1, 5, 6)),
        (np.zeros((4, 5, 6, 3), np.uint8), (3, 5, 6)),
        (np.zeros((4, 3, 5, 6), np.uint8), (3, 5, 6)),
        (np.ones((4, 5, 6), np.float64), (1, 5, 6)),
        (np.ones((4, 5, 6), bool), (1, 5, 6)),
        (np.full((4, 5, 6), 255, np.int32), (1, 5, 6)),
    ],
)
def test_numpy_files(tmp_path, array, shape):
    np.save(tmp_path / "a.npy", array)
    np.savez_compressed(tmp_path / "b.npz", images=array, labels=np.arange(4))
    for name in ("a.npy", "b.npz"):
        examples, labels, _ = load_examples(str(tmp_path / name))
        assert (examples[0].shape, examples.dtype) == (shape, np.uint8)
        assert set(np.unique(examples)) <= {0, 255}
        assert (labels is None) == (name == "a.npy")


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.full((4, 5, 6), 1.5), "from 1.5 to 1.5"),
        (np.full((4, 5, 6), np.nan), "nan"),
        (np.full((4, 5, 6), -1), "from -1"),
        (np.zeros((4, 5), np.uint8), "of shape"),
        (np.zeros((4, 5, 6, 7), np.uint8), "of shape"),
        (np.zeros((0, 5, 6), np.uint8), "says it holds"),
        (np.array(["a"]), "no pictures"),
        (np.array([[[None]]]), "not a numpy file"),
    ],
)
def test_refused_arrays(tmp_path, array, message):
    np.save(tmp_path / "a.npy", array, allow_pickle=True)
    with pytest.raises(RequestError, match=message):
        load_corpus(str(tmp_path / "a.npy"))


def test_refused_numpy_files(tmp_path, write, monkeypatch):
    np.savez(tmp_path / "a.npz", p=np.zeros((2, 2, 2)), q=np.zeros(3))
    with pytest.raises(RequestError, match="It has p, q"):
        load_corpus(str(tmp_path / "a.npz"))
    np.savez(tmp_path / "b.npz", images=np.zeros((2, 2, 2)), labels=np.zeros(3))
    with pytest.raises(RequestError, match="2 pictures and labels"):
        load_corpus(str(tmp_path / "b.npz"))
    for name, content in (("c.npy", b"nonsense"), ("d.npz", b"PK\x03\x04nonsense"), ("e.npy", b"")):
        with pytest.raises(RequestError, match="not a numpy file"):
            load_corpus(write(name, content))
    monkeypatch.setattr(arrays, "MOST_BYTES", 1000)
    np.savez_compressed(tmp_path / "bomb.npz", images=np.zeros((100, 28, 28), np.uint8))
    with pytest.raises(RequestError, match="says it holds 78,400 bytes"):
        load_corpus(str(tmp_path / "bomb.npz"))
