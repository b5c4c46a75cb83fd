"""Pictures of coloured shapes, drawn from known factors: for disentanglement, conditions and captions."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from textvae.errors import RequestError
from textvae_corpora import captions
from textvae_corpora.arrays import pictures
from textvae_corpora.base import Options, Split, Splits

SIDE = 32
DEFAULT, MOST = 10_000, 200_000
SHAPES = ("circle", "square", "triangle")
COLOURS: Mapping[str, tuple[int, int, int]] = {
    "red": (228, 68, 62),
    "yellow": (247, 201, 72),
    "green": (76, 176, 92),
    "blue": (66, 120, 226),
    "purple": (160, 84, 200),
    "white": (240, 240, 236),
}
FACTORS: Mapping[str, int] = {"shape": len(SHAPES), "x": 16, "y": 16, "size": 6, "colour": len(COLOURS)}
"""What a picture of ``shapes`` is made of, and how many values each takes, all equally likely and independent."""
RELATIONS = ("left of", "right of", "above", "below")

_PAPER = (24, 26, 32)
_PLACES = np.linspace(9.5, SIDE - 9.5, FACTORS["x"], dtype=np.float32)  # a shape lies wholly in the picture
_RADII = np.linspace(3.0, 6.0, FACTORS["size"], dtype=np.float32)
_SMALL, _LARGE = 3.0, 5.0
_CHUNK = 256


def factors(count: int, seed: int = 0) -> np.ndarray:
    """The factors of ``count`` pictures, int64 [N, 5] in the order of ``FACTORS``; more only adds pictures."""
    if not 1 <= count <= MOST:
        raise RequestError(f"From 1 to {MOST:,} pictures of shapes can be drawn, not {count:,}.")
    return np.random.default_rng(seed).integers(0, list(FACTORS.values()), (count, len(FACTORS)))


def draw(values: np.ndarray) -> np.ndarray:
    """The pictures uint8 [N, 3, 32, 32] of factors [N, 5]."""
    shape, x, y, size, colour = values.T
    return _paint([(shape, _PLACES[x], _PLACES[y], _RADII[size], colour)])


def captioned(count: int, seed: int = 0) -> tuple[np.ndarray, list[tuple[str, str]], np.ndarray]:
    """Pictures uint8 [N, 3, 32, 32] of two shapes, two captions of each, and the number of the first's relation [N].

    A caption is like "a small red square left of a large blue circle"; the other one names the circle first.
    """
    if not 1 <= count <= MOST:
        raise RequestError(f"From 1 to {MOST:,} pictures of shapes can be drawn, not {count:,}.")
    most = [len(SHAPES), 2, len(COLOURS)] * 2 + [len(RELATIONS)]
    kinds = np.random.default_rng([seed, 0]).integers(0, most, (count, len(most)))
    noise = np.random.default_rng([seed, 1]).uniform(-1, 1, (count, 4)).astype(np.float32)
    relation = kinds[:, 6]
    # Across the relation the shapes stand in two halves; along it they are about level.
    near, far = 8.5 + 0.6 * noise[:, 0], SIDE - 8.5 + 0.6 * noise[:, 1]  # so that they do not touch
    level = SIDE / 2 + 4 * noise[:, 2:3] + np.stack([3 * noise[:, 3], -3 * noise[:, 3]], 1)
    first = np.isin(relation, (0, 2))  # the shape that is named first stands left or above
    across = np.where(first[:, None], np.stack([near, far], 1), np.stack([far, near], 1))
    upright = (relation >= 2)[:, None]
    xs, ys = np.where(upright, level, across), np.where(upright, across, level)
    layers = []
    for i in (0, 1):
        shape, large, colour = kinds[:, 3 * i : 3 * i + 3].T
        radius = np.where(large, _LARGE, _SMALL).astype(np.float32)
        layers.append((shape, xs[:, i].astype(np.float32), ys[:, i].astype(np.float32), radius, colour))
    return _paint(layers), [_captions(row) for row in kinds.tolist()], relation


def splits(name: str, argument: str, options: Options) -> Splits:
    """``shapes`` with the shape as label, ``captioned-shapes`` with the relation; ``shapes:N`` for N pictures."""
    if argument and not (argument.isascii() and argument.isdigit()):
        raise RequestError(f"After '{name}:' stands a number of pictures, not {argument!r}.")
    count = min(int(argument[:12] or DEFAULT), options.limit or MOST + 1)

    def read() -> Split:
        if name == "shapes":
            values = factors(count, options.seed)
            return pictures(draw(values), name, options, np.array(SHAPES)[values[:, 0]])
        array, said, relations = captioned(count, options.seed)
        return captions.captioned(pictures(array, name, options, np.array(RELATIONS)[relations]), said)

    return {"all": read}


Layer = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]
"""Of each picture: number of the shape, x, y and radius in pixels, number of the colour; all [N]."""


def _paint(layers: list[Layer]) -> np.ndarray:
    """Pictures uint8 [N, 3, 32, 32]; edges are smooth: a pixel is covered by how far it lies inside."""
    count = len(layers[0][0])
    pixels = np.empty((count, 3, SIDE, SIDE), np.uint8)
    palette = np.array(list(COLOURS.values()), np.float32)
    paper = np.array(_PAPER, np.float32)[:, None, None]
    grid = np.arange(SIDE, dtype=np.float32) + 0.5
    for start in range(0, count, _CHUNK):
        rows = slice(start, start + _CHUNK)
        canvas = np.broadcast_to(paper, (len(pixels[rows]), 3, SIDE, SIDE)).copy()
        for shape, x, y, radius, colour in ([part[rows] for part in layer] for layer in layers):
            dx, dy = grid[None, None, :] - x[:, None, None], grid[None, :, None] - y[:, None, None]
            inside = np.clip(0.5 - _distance(shape, dx, dy, radius[:, None, None]), 0, 1)[:, None]
            canvas += inside * (palette[colour][:, :, None, None] - canvas)
        pixels[rows] = np.rint(canvas)
    return pixels


def _distance(shape: np.ndarray, dx: np.ndarray, dy: np.ndarray, radius: np.ndarray) -> np.ndarray:
    """Signed distance in pixels to the edge, below 0 inside; all shapes of a radius have the area of its circle."""
    distance = np.empty(np.broadcast_shapes(dx.shape, dy.shape), np.float32)
    circle, square, triangle = (np.flatnonzero(shape == i) for i in range(len(SHAPES)))
    distance[circle] = np.sqrt(dx[circle] ** 2 + dy[circle] ** 2) - radius[circle]
    half = np.float32(np.sqrt(np.pi) / 2)
    distance[square] = np.maximum(np.abs(dx[square]), np.abs(dy[square])) - half * radius[square]
    inner, slope = np.float32(np.sqrt(np.pi / np.sqrt(27))), np.float32(np.sqrt(0.75))
    sides = slope * np.abs(dx[triangle]) - dy[triangle] / 2
    distance[triangle] = np.maximum(dy[triangle], sides) - inner * radius[triangle]
    return distance


def _captions(kinds: list[int]) -> tuple[str, str]:
    names = list(COLOURS)
    one, two = (
        f"a {('small', 'large')[large]} {names[colour]} {SHAPES[shape]}"
        for shape, large, colour in (kinds[:3], kinds[3:6])
    )
    relation = kinds[6]
    return f"{one} {RELATIONS[relation]} {two}", f"{two} {RELATIONS[relation ^ 1]} {one}"  # left and right, above …
