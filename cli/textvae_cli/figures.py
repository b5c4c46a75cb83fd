"""All of matplotlib: points in the plane with their classes, and curves; written as PNG, PDF or SVG."""

import io
import math
import os
import warnings
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from textvae.errors import RequestError
from textvae.files import clear_errors, write_whole

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FORMATS = (".png", ".pdf", ".svg")
MOST_CLASSES = 24  # that have a colour of their own
GREY = "#b8b8b8"
INK = "#333333"
PANEL = 4.6  # inches
LEVELS = {  # up to so many colours -> lightness and chroma of one, the next …
    8: [(0.62, 0.17)],
    14: [(0.52, 0.16), (0.76, 0.14)],
    MOST_CLASSES: [(0.46, 0.14), (0.65, 0.18), (0.82, 0.12)],
}
TO_CONES = np.array(  # from OKLab
    [[1, 0.3963377774, 0.2158037573], [1, -0.1055613458, -0.0638541728], [1, -0.0894841775, -1.2914855480]]
)
TO_RGB = np.array(  # linear
    [
        [4.0767416621, -3.3077115913, 0.2309699292],
        [-1.2684380046, 2.6097574011, -0.3413193965],
        [-0.0041960863, -0.7034186147, 1.7076147010],
    ]
)


class Panel(NamedTuple):
    """Points [N, 2], and what they are."""

    title: str
    points: np.ndarray
    axes: bool = False
    """Whether the numbers mean something: a code of two dimensions."""


def check(out: Path) -> None:
    """RequestError if no figure can be written to ``out``: told before any work."""
    try:
        import matplotlib  # noqa: F401
    except ImportError:
        raise RequestError("Figures are drawn by matplotlib: pip install 'textvae[plot]'.") from None
    if out.suffix.lower() not in FORMATS:
        raise RequestError(f"{out} ends in {out.suffix or 'nothing'}: figures are written to {', '.join(FORMATS)}.")
    if out.is_dir():
        raise RequestError(f"{out} is a folder: give the name of a file, as in {out / 'codes.png'}.")
    parent = next(path for path in out.absolute().parents if path.exists())
    if not parent.is_dir() or not os.access(parent, os.W_OK):
        raise RequestError(f"{out} cannot be written: {parent} is not a folder that may be written into.")


def scatter(
    out: Path, title: str, panels: Sequence[Panel], labels: Sequence[str | None] | None = None, seed: int = 0
) -> None:
    """Write points side by side, coloured by class, with one legend of all classes, the most frequent first.

    The order of drawing is random, so that no class hides another.
    """
    figure = _figure(PANEL * len(panels) + (2.2 if labels else 0), PANEL + 0.7)
    classes = _classes(labels)
    order = np.random.default_rng(seed).permutation(len(panels[0].points))
    colours = [GREY if labels is None else classes.get(labels[i], (GREY, 0))[0] for i in order]
    size = min(26.0, max(5.0, 14_000 / len(order)))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of letters that the font does not have
        grid = figure.subplots(1, len(panels), squeeze=False)[0]
        for panel, axes in zip(panels, grid):
            x, y = panel.points[order].T
            axes.scatter(x, y, s=size, c=colours if labels else "#3465a4", alpha=0.75, linewidths=0, rasterized=True)
            _frame(axes, panel)
        if labels:
            _legend(figure, classes)
        figure.suptitle(title, fontsize=11, color=INK)
        _write(figure, out)


def curves(out: Path, title: str, panels: Mapping[str, Mapping[str, tuple[np.ndarray, np.ndarray]]]) -> None:
    """Write a panel for each quantity: named curves of (steps, values)."""
    from matplotlib.ticker import MaxNLocator

    columns = 2 if len(panels) > 1 else 1
    rows = -(-len(panels) // columns)
    figure = _figure(4.8 * columns, 2.9 * rows + 0.5)
    grid = figure.subplots(rows, columns, squeeze=False).ravel()
    styles = {"training": {"color": "#9db8d9", "linewidth": 1.2}, "validation": {"color": "#1f4e8c", "linewidth": 2}}
    for (name, lines), axes in zip(panels.items(), grid):
        for label, (steps, values) in lines.items():
            few = {"marker": "o", "markersize": 4} if len(steps) < 30 and label != "training" else {}
            axes.plot(steps, values, label=label, **styles.get(label, {}), **few)
        axes.set_title(name, fontsize=10, color=INK)
        axes.set_xlabel("step", fontsize=9)
        if all((values == values.round()).all() for _, values in lines.values()):
            axes.yaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
        axes.tick_params(labelsize=8)
        axes.grid(alpha=0.25)
        axes.spines[["top", "right"]].set_visible(False)
        if len(lines) > 1:
            axes.legend(frameon=False, fontsize=8)
    for axes in grid[len(panels) :]:
        axes.set_visible(False)
    figure.suptitle(title, fontsize=11, color=INK)
    _write(figure, out)


def _figure(width: float, height: float) -> "Figure":
    from matplotlib.figure import Figure  # without pyplot: no window, no state

    return Figure(figsize=(width, height), layout="constrained")


def _frame(axes: Any, panel: Panel) -> None:
    """Equal scales, around all points."""
    axes.set_title(panel.title, fontsize=10, color=INK)
    low, high = panel.points.min(0), panel.points.max(0)
    centre, half = (low + high) / 2, max(float((high - low).max()) / 2 * 1.05, 1e-6)
    axes.set_xlim(centre[0] - half, centre[0] + half)
    axes.set_ylim(centre[1] - half, centre[1] + half)
    axes.set_aspect("equal")
    for side in axes.spines.values():
        side.set_color("#cccccc")
    axes.tick_params(labelsize=8, colors="#777777")
    if not panel.axes:
        axes.set_xticks([])
        axes.set_yticks([])


def _classes(labels: Sequence[str | None] | None) -> dict[str | None, tuple[str, int]]:
    """The colour of each class and how many there are; past the most frequent, and without a label, none."""
    counts = Counter(label for label in labels or () if label is not None)
    shown = [label for label, _ in counts.most_common(MOST_CLASSES)]
    shown.sort(key=lambda label: (len(label), label) if label.isdigit() else (0, label))
    return dict(zip(shown, ((colour, counts[label]) for colour, label in zip(palette(len(shown)), shown))))


def _legend(figure: Any, classes: Mapping[str | None, tuple[str, int]]) -> None:
    from matplotlib.lines import Line2D

    def dot(colour: str) -> Any:
        return Line2D([], [], linestyle="", marker="o", markersize=6, color=colour)

    handles = [dot(colour) for colour, _ in classes.values()]
    texts = [_short(str(label)) for label in classes]
    figure.legend(
        [*handles, dot(GREY)] if len(classes) >= MOST_CLASSES else handles,
        [*texts, "others"] if len(classes) >= MOST_CLASSES else texts,
        loc="outside right center",
        frameon=False,
        fontsize=8,
        handletextpad=0.2,
        labelspacing=0.35,
    )


def _short(text: str) -> str:
    return text if len(text) <= 26 else text[:25] + "…"


def palette(n: int) -> list[str]:
    """``n`` colours, told apart by hue, and where they are many by lightness too: neighbours in hue differ in both.

    Hues are even steps of OKLCh, a space in which equal steps look equal (Ottosson 2020).
    """
    levels = next(levels for most, levels in LEVELS.items() if n <= most)
    return [_oklch(*levels[i % len(levels)], 2 * math.pi * (i / n + 0.08)) for i in range(n)]


def _oklch(lightness: float, chroma: float, hue: float) -> str:
    """A colour of OKLCh as #rrggbb, with as much of its chroma as a screen can show."""
    lab = np.array([lightness, chroma * math.cos(hue), chroma * math.sin(hue)])
    while True:
        linear = TO_RGB @ (TO_CONES @ lab) ** 3
        if linear.min() >= 0 and linear.max() <= 1:
            break
        lab[1:] *= 0.95
    srgb = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
    return "#" + "".join(f"{round(255 * float(value)):02x}" for value in srgb)


def _write(figure: Any, out: Path) -> None:
    stream = io.BytesIO()
    figure.savefig(stream, format=out.suffix.lower()[1:], dpi=160)
    with clear_errors(out):
        out.parent.mkdir(parents=True, exist_ok=True)
    write_whole(out, stream.getvalue())
