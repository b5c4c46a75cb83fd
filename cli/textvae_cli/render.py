"""All of rich: tables, waiting, and the live display of training. Without a terminal, plain lines."""

import contextlib
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

from textvae_cli import numbers
from textvae_cli.console import clean, out, say

if TYPE_CHECKING:
    import numpy as np
    from rich.console import Console, RenderableType

    from textvae.records import Record

PLAIN_EVERY = 10.0  # seconds between the lines of a log
Side = Literal["left", "right"]
Show = Callable[["Record"], None]


def table(headings: Mapping[str, Side], rows: Sequence[Sequence[Any]]) -> None:
    """Columns on a terminal; elsewhere a line a row, with a tab between fields, for ``cut`` and ``awk``."""
    if not sys.stdout.isatty():
        for row in rows:
            out(*row)
        return
    from rich import box
    from rich.table import Table
    from rich.text import Text

    grid = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False, collapse_padding=True)
    for heading, side in headings.items():
        grid.add_column(heading, justify=side, overflow="fold", no_wrap=side == "right")
    for row in rows:
        grid.add_row(*(Text(clean(field)) for field in row))
    _console().print(grid)


def blocks(headings: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    """A small table per row on a terminal, a heading a line; elsewhere as ``table``."""
    if not sys.stdout.isatty():
        table({}, rows)
        return
    from rich.table import Table
    from rich.text import Text

    for i, row in enumerate(rows):
        grid = Table.grid(padding=(0, 2))
        grid.add_column(style="dim", no_wrap=True)
        grid.add_column(overflow="fold")
        for heading, field in zip(headings, row):
            grid.add_row(heading, Text(clean(field)))
        _console().print(*([""] if i else []), grid, sep="\n")


def half_blocks(pixels: "np.ndarray") -> None:
    """A picture uint8 [H, W, 1] or [H, W, 3] on the terminal: a character is two pixels, one above the other."""
    from rich.color import Color
    from rich.segment import Segment, Segments
    from rich.style import Style

    def colour(pixel: "np.ndarray") -> Color:
        red, green, blue = (pixel if len(pixel) == 3 else pixel.repeat(3)).tolist()
        return Color.from_rgb(red, green, blue)

    segments = []
    for y in range(0, len(pixels), 2):
        for x in range(pixels.shape[1]):
            under = colour(pixels[y + 1, x]) if y + 1 < len(pixels) else None
            segments.append(Segment("▀", Style(color=colour(pixels[y, x]), bgcolor=under)))
        segments.append(Segment.line())
    _console().print(Segments(segments), end="", soft_wrap=True)


@contextlib.contextmanager
def waiting(what: str) -> Iterator[None]:
    """Say what takes a while: a spinner on a terminal, a line elsewhere."""
    if not _live():
        say(what)
        yield
        return
    from rich.markup import escape

    with _console(stderr=True).status(escape(clean(what))):
        yield


@contextlib.contextmanager
def counting(what: str, total: int) -> Iterator[Callable[[int], None]]:
    """A bar that is told how many of ``total`` are done; a line now and then without a terminal."""
    if not _live():
        last = time.monotonic()

        def tell(done: int) -> None:
            nonlocal last
            if time.monotonic() - last > PLAIN_EVERY:
                last = time.monotonic()
                say(f"{what}  {done:,}/{total:,}")

        yield tell
        return
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = TextColumn(what), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    with Progress(*columns, console=_console(stderr=True), transient=True) as bar:
        task = bar.add_task(what, total=total)
        yield lambda done: bar.update(task, completed=done)


@contextlib.contextmanager
def training(at: numbers.Progress, words: bool = True) -> Iterator[Show]:
    """What shows the records of a run: a live display on a terminal, a line now and then elsewhere."""
    if not _live():
        yield _Log(at, words).show
        return
    from rich.live import Live

    display = _Display(at, words)
    console = _console(stderr=True)
    with Live(console=console, get_renderable=display.render, refresh_per_second=4, transient=True):
        yield lambda record: display.show(record, console)


def lines_of(record: "Record", words: bool, told: set[str]) -> list[str]:
    """What stays on the screen of a record: notices (each kind once), evaluations, the end."""
    if record.kind == "notice":
        what = record.texts["notice"].partition(":")[0]
        new = what not in told
        told.add(what)
        return list(record.texts.values()) if new else []
    if record.kind == "valid":
        return [numbers.evaluation(record, words), *(f"  {kind}: {text}" for kind, text in record.texts.items())]
    return list(record.texts.values()) if record.kind == "end" else []


class _Log:
    """Lines for a file or a pipe."""

    def __init__(self, at: numbers.Progress, words: bool):
        self.at, self.words, self.last = at, words, time.monotonic()
        self.told: set[str] = set()

    def show(self, record: "Record") -> None:
        for line in lines_of(record, self.words, self.told):
            say(line)
        if record.kind == "train" and time.monotonic() - self.last > PLAIN_EVERY:
            self.last = time.monotonic()
            now = numbers.where(self.at), numbers.bounds(record.values, self.words)
            say("  ".join(filter(None, (*now, numbers.speed(record, self.words), numbers.time_left(self.at)))))


class _Display:
    """Three lines that are redrawn; what ``lines_of`` says moves up above them."""

    def __init__(self, at: numbers.Progress, words: bool):
        self.at, self.words = at, words
        self.told: set[str] = set()
        self.train: Record | None = None
        self.valid: Record | None = None

    def show(self, record: "Record", console: "Console") -> None:
        from rich.padding import Padding
        from rich.text import Text

        if record.kind == "train":
            self.train = record
        if record.kind == "valid":
            self.valid = record
        for line in lines_of(record, self.words, self.told):
            indent = 4 if line.startswith("  ") else 0
            text = Text(clean(line.lstrip()))
            if record.kind == "valid" and indent:
                text.stylize("dim", 0, line.lstrip().index(":") + 1)
            if record.kind == "notice":
                text.stylize("yellow")
            console.print(Padding(text, (0, 0, 0, indent)))

    def render(self) -> "RenderableType":
        from rich.console import Group
        from rich.padding import Padding
        from rich.progress_bar import ProgressBar
        from rich.table import Table
        from rich.text import Text

        at = self.at
        speed = numbers.speed(self.train, self.words) if self.train else ""
        grid = Table.grid(padding=(0, 2), expand=True)
        grid.add_column(ratio=1, min_width=8)
        facts = [numbers.where(at), *filter(None, (speed, numbers.time_left(at)))]
        for _ in facts:
            grid.add_column(no_wrap=True)
        grid.add_row(ProgressBar(total=1.0, completed=at.progress), *facts)
        lines: list[RenderableType] = [grid]
        for name, record in (("training", self.train), ("validation", self.valid)):
            if record:
                step = f"  (step {record.step:,})" if name == "validation" else ""
                line = f"{name:<12}{numbers.bounds(record.values, self.words)}{step}"
                lines.append(Text(line, no_wrap=True, overflow="ellipsis"))
        return Padding(Group(*lines), (0, 4, 0, 0))  # room for the ^C that a terminal echoes


def _live() -> bool:
    """Whether standard error is a terminal that can redraw a line."""
    import os

    return sys.stderr.isatty() and os.environ.get("TERM", "") not in ("", "dumb")


def _console(stderr: bool = False) -> "Console":
    from rich.console import Console

    return Console(stderr=stderr, highlight=False, markup=False, emoji=False)
