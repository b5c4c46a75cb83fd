"""Shapes: drawn as their factors and captions say, the same each time."""

import numpy as np
import pytest

from textvae.errors import RequestError
from textvae_corpora import load_corpus, load_examples, shapes


def colours_of(picture):
    """Names of the colours that cover whole pixels, and where: {name: mask [H, W]}."""
    found = {name: (picture == np.array(rgb)[:, None, None]).all(0) for name, rgb in shapes.COLOURS.items()}
    return {name: mask for name, mask in found.items() if mask.any()}


def area_of(picture):
    """Pixels that are covered, edges in part."""
    paper = np.array(shapes._PAPER)[:, None, None]
    (mask,) = colours_of(picture).values()
    full = picture[:, mask][:, :1, None]
    return ((picture - paper.astype(float)).sum(0) / (full - paper).sum()).sum()


def test_a_picture_has_its_factors():
    values = shapes.factors(200, seed=3)
    names = list(shapes.FACTORS)
    for picture, row in zip(shapes.draw(values), values):
        of = dict(zip(names, row.tolist()))
        ((colour, mask),) = colours_of(picture).items()
        assert colour == list(shapes.COLOURS)[of["colour"]]
        assert area_of(picture) == pytest.approx(np.pi * shapes._RADII[of["size"]] ** 2, rel=0.06)
        ys, xs = np.nonzero(mask)
        if shapes.SHAPES[of["shape"]] != "triangle":  # its box is not around its centroid
            assert (xs.min() + xs.max() + 1) / 2 == pytest.approx(shapes._PLACES[of["x"]], abs=1)
            assert (ys.min() + ys.max() + 1) / 2 == pytest.approx(shapes._PLACES[of["y"]], abs=1)
        if of["size"] >= 3:
            whole = {"circle": np.pi / 4, "square": 1, "triangle": 0.5}[shapes.SHAPES[of["shape"]]]
            box = (np.ptp(xs) + 1) * (np.ptp(ys) + 1)
            assert mask.sum() / box == pytest.approx(whole, abs=0.14)


def test_no_shape_is_cut_off():
    corners = [[s, x, y, 5, 0] for s in range(3) for x in (0, 15) for y in (0, 15)]
    for picture in shapes.draw(np.array(corners)):
        assert area_of(picture) == pytest.approx(np.pi * 36, rel=0.04)


def test_factors_are_independent_and_all_there():
    values = shapes.factors(20_000)
    assert values.min(0).tolist() == [0] * 5
    assert (values.max(0) + 1).tolist() == list(shapes.FACTORS.values())
    assert np.abs(np.corrcoef(values.T) - np.eye(5)).max() < 0.03


def drawn(count, seed):
    return shapes.draw(shapes.factors(count, seed))


@pytest.mark.parametrize("make", [drawn, lambda count, seed: shapes.captioned(count, seed)[0]])
def test_the_same_each_time(make):
    assert (make(30, 5) == make(30, 5)).all()
    assert (make(30, 5)[:10] == make(10, 5)).all()
    assert (make(30, 5) != make(30, 6)).any()


def test_captions_say_what_is_seen():
    pictures, captions, relations = shapes.captioned(300, seed=1)
    seen = 0
    converse = {"left of": "right of", "right of": "left of", "above": "below", "below": "above"}
    for picture, (caption, other), relation in zip(pictures, captions, relations):
        name = shapes.RELATIONS[relation]
        assert other == f" {converse[name]} ".join(reversed(caption.split(f" {name} ")))
        one, two = (part.split() for part in caption.split(f" {name} "))
        assert one[0] == two[0] == "a"
        found = colours_of(picture)
        assert found.keys() == {one[2], two[2]}
        if one[2] == two[2]:
            continue
        seen += 1
        (ya, xa), (yb, xb) = (np.argwhere(found[words[2]]).mean(0) for words in (one, two))
        assert {"left of": xb - xa, "right of": xa - xb, "above": yb - ya, "below": ya - yb}[name] > 10
        for words in (one, two):
            assert (found[words[2]].sum() > 40) == (words[1] == "large")
    assert seen > 200


def test_by_name():
    corpus = load_corpus("shapes:300")
    assert len(corpus.train) + len(corpus.valid) == 300
    assert corpus.train.shape[1:] == (3, 32, 32)
    assert corpus.labels == ("circle", "square", "triangle")
    examples, labels, _ = load_examples("shapes", limit=40)
    assert labels.tolist() == shapes.factors(40)[:, 0].tolist()
    assert (examples == shapes.draw(shapes.factors(40))).all()
    _, labels, _ = load_examples("captioned-shapes:50", classes=shapes.RELATIONS)
    assert labels.tolist() == shapes.captioned(50)[2].tolist()
    assert load_corpus("shapes:20", size=(16, 16)).train.shape[1:] == (3, 16, 16)


@pytest.mark.parametrize("name", ["shapes:x", "shapes:0", "captioned-shapes:99999999999", "shapes/train"])
def test_what_is_no_number_of_shapes(name):
    with pytest.raises(RequestError):
        load_corpus(name)
