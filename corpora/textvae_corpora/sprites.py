"""Pixel characters in colour, put together from known parts: what samples should look like, and memorising shows."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from textvae.errors import RequestError
from textvae_corpora.arrays import pictures, refuse_large
from textvae_corpora.base import Options, Split, Splits

SIDE, DEFAULT = 16, 10_000
WEAPONS = ("unarmed", "sword", "staff", "bow", "axe")
FACTORS: Mapping[str, int] = {
    "skin": 4,
    "hair": 5,
    "hair colour": 8,
    "clothes": 3,
    "clothes colour": 8,
    "weapon": len(WEAPONS),
    "step": 2,
}
"""What a sprite is made of, and how many values each takes."""
MOST = math.prod(FACTORS.values())
"""All the sprites that there are: 38,400."""

_CHUNK = 4096
_PAPER, _OUTLINE = (222, 226, 214), (44, 36, 48)
_SKINS = ((244, 204, 164), (148, 96, 64), (120, 172, 88), (176, 188, 208))
_HAIRS = (
    (92, 56, 36),
    (236, 196, 84),
    (204, 76, 44),
    (52, 48, 64),
    (232, 232, 224),
    (168, 88, 196),
    (72, 168, 176),
    (232, 132, 176),
)
_CLOTHS = (
    (196, 60, 60),
    (60, 112, 200),
    (64, 148, 88),
    (220, 168, 60),
    (128, 84, 168),
    (112, 116, 132),
    (72, 72, 84),
    (216, 208, 184),
)
_FIXED = {
    "o": _OUTLINE,
    "m": (208, 216, 224),  # metal
    "w": (136, 92, 52),  # wood
    "g": (116, 220, 236),  # a stone that glows
    "l": (84, 76, 96),  # legs
    "k": (60, 44, 40),  # boots, and the belt
}
_SHADED = "shc"  # skin, hair, clothes: the capital letter is the same in shade
_SHADE = 0.74
_LETTERS = "." + "".join(_FIXED) + _SHADED + _SHADED.upper() + "M"


class _Part(NamedTuple):
    """Rows of letters, the first at ``top``; a dot lets through what lies under it."""

    top: int
    rows: tuple[str, ...]

    def grid(self) -> np.ndarray:
        """Numbers of letters [16, 16]."""
        found = np.zeros((SIDE, SIDE), np.uint8)
        for y, row in enumerate(self.rows, self.top):
            found[y] = [_LETTERS.index(letter) for letter in row]
        return found


_NOTHING = _Part(0, ())
_HEAD = _Part(
    2,
    (
        "......ssss......",
        ".....ssssss.....",
        ".....ssssss.....",
        ".....sossos.....",
        ".....sssssS.....",
        "......ssSS......",
    ),
)
_STEPS = (
    _Part(12, (".....ll..ll.....", ".....ll..ll.....", ".....kk..kk.....")),
    _Part(12, (".....ll..ll.....", "....ll....ll....", "....kk....kk....")),
)
_CLOTHES = (
    _Part(  # a tunic
        8,
        (
            ".....cccccC.....",
            "....cccccccC....",
            "....cccccCcC....",
            "....skkkkkkS....",
            ".....ccccCC.....",
        ),
    ),
    _Part(  # a robe
        8,
        (
            ".....cccccC.....",
            "....ccccccCC....",
            "...ccccccCCCC...",
            "...scccccCCCS...",
            "....ccccCCCC....",
            "...ccccccCCCC...",
        ),
    ),
    _Part(  # armour
        8,
        (
            "...mmmcccMMM....",
            "...mmmcccCMMM...",
            "....mmccCCMM....",
            "....smmmmMMS....",
            ".....mmcCMM.....",
        ),
    ),
)
_HAIR = (
    _Part(6, (".....hhhhhH.....", "......hhHH......")),  # a beard
    _Part(1, ("......hhhh......", ".....hhhhhH.....", ".....hhhhHH.....", ".....h....H.....")),
    _Part(  # long
        1,
        (
            "......hhhh......",
            ".....hhhhhH.....",
            "....hhhhhhHH....",
            "....hh....HH....",
            "....h......H....",
            "....h......H....",
            "....hh....HH....",
            "....h......H....",
        ),
    ),
    _Part(1, (".......hh.......", "......hhHH......", ".......hH.......", ".......hH.......")),  # a crest
    _Part(1, (".......hh.......", "......hhhH......", "...hhhhhhhHHH...")),  # a hat
)
_HANDS = (
    _NOTHING,
    _Part(4, (*[".............m.."] * 6, "............www.", ".............w..")),
    _Part(2, ("............gg..", "............gg..", *[".............w.."] * 10)),
    _Part(
        5,
        (
            "............w...",
            "............mw..",
            "............m.w.",
            "............m.w.",
            "............m.w.",
            "............mw..",
            "............w...",
        ),
    ),
    _Part(4, ("............mm..", "............mmw.", "............mmw.", *["..............w."] * 6)),
)


def factors(count: int, seed: int = 0) -> np.ndarray:
    """The factors of ``count`` sprites, int64 [N, 7] in the order of ``FACTORS``: no two alike, all as likely.

    More of one seed only adds sprites. RequestError for more than ``MOST``.
    """
    if not 1 <= count <= MOST:
        raise RequestError(f"From 1 to {MOST:,} sprites can be drawn, and no two are alike: not {count:,}.")
    chosen = np.random.default_rng(seed).permutation(MOST)[:count]
    return np.stack(np.unravel_index(chosen, list(FACTORS.values())), 1)


def draw(values: np.ndarray, times: int = 1) -> np.ndarray:
    """The sprites uint8 [N, 3, 16 · times, 16 · times] of factors [N, 7]; each pixel is a square of ``times``."""
    layers = [[part.grid() for part in parts] for parts in (_STEPS, (_HEAD,), _CLOTHES, _HAIR, _HANDS)]
    stacked = [np.stack(grids) for grids in layers]
    side = SIDE * times
    drawn = np.empty((len(values), 3, side, side), np.uint8)
    for start in range(0, len(values), _CHUNK):
        rows = values[start : start + _CHUNK]
        skin, hair, hair_colour, clothes, cloth_colour, weapon, step = rows.T
        canvas = np.zeros((len(rows), SIDE, SIDE), np.uint8)
        for grids, choice in zip(stacked, (step, np.zeros_like(step), clothes, hair, weapon)):
            layer = grids[choice]
            canvas = np.where(layer > 0, layer, canvas)
        painted = _palettes(skin, hair_colour, cloth_colour)[np.arange(len(rows))[:, None, None], _outlined(canvas)]
        painted = painted.transpose(0, 3, 1, 2).repeat(times, 2).repeat(times, 3)
        drawn[start : start + _CHUNK] = painted
    return drawn


def splits(name: str, argument: str, options: Options) -> Splits:
    """``sprites`` with the weapon as label; ``sprites:N`` for N of them. At a multiple of 16 pixels they stay sharp."""
    if argument and not (argument.isascii() and argument.isdigit()):
        raise RequestError(f"After '{name}:' stands a number of sprites, not {argument!r}.")
    count = min(int(argument[:12] or DEFAULT), options.limit or MOST + 1)
    height, width = options.size or (SIDE, SIDE)
    times = height // SIDE if height == width and height % SIDE == 0 else 1
    refuse_large(name, count * 3 * (SIDE * times) ** 2)

    def read() -> Split:
        values = factors(count, options.seed)
        weapon = values[:, list(FACTORS).index("weapon")]
        return pictures(draw(values, times), name, options, np.array(WEAPONS)[weapon])

    return {"all": read}


def _outlined(canvas: np.ndarray) -> np.ndarray:
    """Letters [N, 16, 16] with an outline wherever nothing is beside, above or under something."""
    solid = np.pad(canvas > 0, ((0, 0), (1, 1), (1, 1)))
    beside = solid[:, 1:-1, 2:] | solid[:, 1:-1, :-2] | solid[:, 2:, 1:-1] | solid[:, :-2, 1:-1]
    return np.where((canvas == 0) & beside, _LETTERS.index("o"), canvas)


def _palettes(skin: np.ndarray, hair: np.ndarray, cloth: np.ndarray) -> np.ndarray:
    """The colour of each letter, uint8 [N, letters, 3]."""
    found = np.zeros((len(skin), len(_LETTERS), 3), np.uint8)
    found[:, 0] = _PAPER
    for letter, colour in _FIXED.items():
        found[:, _LETTERS.index(letter)] = colour
    for letter, colours, choice in zip(_SHADED, (_SKINS, _HAIRS, _CLOTHS), (skin, hair, cloth)):
        found[:, _LETTERS.index(letter)] = np.array(colours, np.uint8)[choice]
    for letter in (*_SHADED, "m"):
        light = found[:, _LETTERS.index(letter)]
        found[:, _LETTERS.index(letter.upper())] = np.rint(light * _SHADE)
    return found
