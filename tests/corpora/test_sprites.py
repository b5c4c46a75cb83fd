"""Sprites: no two alike, made of their factors, sharp at larger sizes, the same each time."""

import numpy as np
import pytest

from textvae.errors import RequestError
from textvae_corpora import load_corpus, load_examples, sprites


def test_no_two_are_alike():
    values = sprites.factors(sprites.MOST, seed=4)
    assert len(np.unique(values, axis=0)) == sprites.MOST == 38_400
    assert values.min(0).tolist() == [0] * 7
    assert (values.max(0) + 1).tolist() == list(sprites.FACTORS.values())
    drawn = sprites.draw(values)
    assert drawn.shape == (sprites.MOST, 3, 16, 16)
    assert len({picture.tobytes() for picture in drawn}) == sprites.MOST


@pytest.mark.parametrize("factor", list(sprites.FACTORS))
def test_a_factor_changes_its_part_and_no_other(factor):
    column = list(sprites.FACTORS).index(factor)
    values = np.tile([0, 1, 2, 0, 3, 1, 0], (sprites.FACTORS[factor], 1))
    values[:, column] = range(len(values))
    drawn = sprites.draw(values).astype(int)
    where = np.argwhere((drawn != drawn[:1]).any((0, 1)))
    (top, left), (bottom, right) = where.min(0), where.max(0)
    rows = {"hair": (0, 9), "hair colour": (0, 5), "step": (11, 15)}.get(factor, (0, 15))
    assert rows[0] <= top <= bottom <= rows[1]
    assert (left >= 11) == (factor == "weapon")
    assert right <= 15


def test_sprites_are_outlined_and_stand_free():
    drawn = sprites.draw(sprites.factors(500))
    paper = np.array(sprites._PAPER)[:, None]
    edges = np.concatenate([drawn[..., 0, :], drawn[..., -1, :], drawn[..., :, 0], drawn[..., :, -1]], 2)
    outline = np.array(sprites._OUTLINE)[:, None]
    assert ((edges == paper).all(1) | (edges == outline).all(1)).all(), "nothing is cut off at the border"


def test_the_same_each_time_and_more_only_adds():
    assert (sprites.factors(30, 5) == sprites.factors(30, 5)).all()
    assert (sprites.factors(30, 5)[:10] == sprites.factors(10, 5)).all()
    assert (sprites.factors(30, 5) != sprites.factors(30, 6)).any()


def test_by_name():
    corpus = load_corpus("sprites:300")
    assert len(corpus.train) + len(corpus.valid) == 300
    assert corpus.train.shape[1:] == (3, 16, 16)
    assert corpus.labels == tuple(sorted(sprites.WEAPONS))
    _, labels, _ = load_examples("sprites", limit=40, classes=sprites.WEAPONS)
    assert labels.tolist() == sprites.factors(40)[:, 5].tolist()
    large = load_corpus("sprites:300", size=(48, 48)).train
    assert (large[:, :, ::3, ::3] == corpus.train).all()
    assert (large.reshape(-1, 3, 16, 3, 16, 3) == corpus.train[:, :, :, None, :, None]).all()
    odd, _, notes = load_examples("sprites:2", size=(20, 12))
    assert odd.shape == (2, 3, 20, 12)
    assert "scaled and cropped from 16 x 16 to 12 x 20" in notes[-1]


@pytest.mark.parametrize("name", ["sprites:x", "sprites:0", "sprites:38401", "sprites/train"])
def test_what_is_no_number_of_sprites(name):
    with pytest.raises(RequestError):
        load_corpus(name)


def test_sprites_that_fit_no_memory_are_refused_before_they_are_drawn():
    with pytest.raises(RequestError, match="bytes"):
        load_corpus("sprites:38400", size=(4096, 4096))
