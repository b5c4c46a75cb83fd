"""Canvases of pictures and the PNG files of them."""

import io

import numpy as np
import pytest
from PIL import Image

from textvae import pictures
from textvae.errors import RequestError


def seen(file):
    """The picture in a file, read whole."""
    with Image.open(file) as image:
        return image.copy()


def numbered(count, shape=(1, 4, 6)):
    return [np.full(shape, i + 1, np.uint8) for i in range(count)]


def test_a_canvas():
    a, b, c = numbered(3)
    paper = pictures.canvas([[a, b], [], [c]], margin=2)
    assert paper.shape == (2 + 4 + 2 + 4 + 4 + 2, 2 + 6 + 2 + 6 + 2, 1)
    assert (paper[2:6, 2:8] == 1).all()
    assert (paper[2:6, 10:16] == 2).all()
    assert (paper[12:16, 2:8] == 3).all()
    assert (paper == 255).sum() == paper.size - 3 * 24
    assert pictures.canvas([[a]], margin=0).tolist() == a.transpose(1, 2, 0).tolist()
    twice = pictures.canvas([[np.arange(6, dtype=np.uint8).reshape(1, 2, 3)]], margin=1, times=2)
    assert twice[1:-1, 1:-1, 0].tolist() == [[0, 0, 1, 1, 2, 2]] * 2 + [[3, 3, 4, 4, 5, 5]] * 2


@pytest.mark.parametrize(
    ("count", "shape", "rows"), [(64, (1, 8, 8), 8), (10, (3, 8, 8), 3), (1, (1, 9, 2), 1), (2, (1, 10, 40), 2)]
)
def test_a_square_of_pictures(count, shape, rows):
    found = pictures.square(numbered(count, shape))
    assert (len(found), sum(map(len, found))) == (rows, count)


def test_small_pictures_are_enlarged_and_wide_canvases_are_not():
    assert pictures.enlargement([numbered(2, (1, 8, 8))]) == 8
    assert pictures.enlargement([numbered(2, (1, 28, 28))]) == 2
    assert pictures.enlargement([numbered(2, (1, 300, 300))]) == 1
    assert pictures.enlargement([numbered(100, (1, 8, 8))]) == 2


@pytest.mark.parametrize("channels", [1, 3])
def test_png_keeps_every_pixel(tmp_path, channels):
    a = np.random.default_rng(0).integers(0, 256, (channels, 5, 7), np.uint8)
    image = np.asarray(seen(io.BytesIO(pictures.png(a.transpose(1, 2, 0)))))
    assert (image.reshape(5, 7, channels) == a.transpose(1, 2, 0)).all()
    pictures.save(tmp_path / "a.png", [[a, a]])
    assert seen(tmp_path / "a.png").size == (2 * 13 * 7 + 6, 13 * 5 + 4)
    assert [path.name for path in tmp_path.iterdir()] == ["a.png"]


def test_wide_canvases_are_averaged():
    pixels = np.array([[[0], [100], [200], [100]]] * 2, np.uint8)
    assert pictures.narrowed(pixels, 2).tolist() == [[[50], [150]]]
    assert pictures.narrowed(pixels, 4) is pixels


def test_no_picture_and_too_many(monkeypatch):
    monkeypatch.setattr(pictures, "LARGEST", 1000)
    with pytest.raises(RequestError, match="show fewer"):
        pictures.canvas([numbered(50)])
    with pytest.raises(RequestError, match="no picture"):
        pictures.canvas([[]])
