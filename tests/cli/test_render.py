"""Terminals, pipes, NO_COLOR, and the live display at several widths."""

import io
import os
import pty
import subprocess
from dataclasses import dataclass

import pytest
from rich.console import Console

from textvae.records import Record
from textvae_cli import render

from .conftest import command, start

VALUES = {"nll": 34.125, "rate": 8.0, "perplexity": 1234.5, "tokens_per_second": 12345.6}
VALID = Record(
    "valid",
    24_000,
    {**VALUES, "active_units": 30, "latent_size": 32, "best": 1.0},
    {"input": "a [/nope] \x1b[31m sentence", "reconstruction": "b", "sample": "c " * 90},
)
NOTICE = Record("notice", 3, {}, {"notice": "Posterior collapse: see [bold]."})


@dataclass
class At:
    step: int = 1_234
    epoch: int = 3
    seconds: float = 100_000.0
    total_steps: int = 24_000
    progress: float = 0.05


@pytest.mark.parametrize("width", [40, 80, 120])
def test_live_display_fits_and_takes_any_text(width):
    display = render._Display(At(), True)
    screen = Console(file=io.StringIO(), width=width, force_terminal=True, color_system=None, markup=False)
    for record in (Record("train", 1_234, VALUES), VALID, NOTICE, NOTICE, Record("end", 9, {}, {"why": "Done."})):
        display.show(record, screen)
    shown = screen.file.getvalue()
    assert "[/nope] [31m sentence" in shown
    assert "\x1b[31m" not in shown
    assert shown.count("see [bold]") == 1
    with screen.capture() as capture:
        screen.print(display.render())
    lines = capture.get().splitlines()
    assert len(lines) == 3
    assert all(len(line) <= width for line in lines)


def test_the_log_has_a_line_for_each_evaluation(capsys, monkeypatch):
    monkeypatch.setattr(render, "PLAIN_EVERY", 0.0)
    with render.training(At()) as show:
        for record in (Record("train", 1_234, VALUES), VALID, NOTICE, NOTICE):
            show(record)
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == (
        "step 1,234/24,000  epoch 4  NLL 34.12  KL 8.00  perplexity 1,234.5  12,346 tokens/s  21d 23h left"
    )
    assert lines[1].startswith("step 24,000  valid  NLL 34.12")
    assert lines[2] == "  input: a [/nope] [31m sentence"
    assert len(lines) == 6


def terminal(*words, env=None):
    """What a command writes to a terminal."""
    outer, inner = pty.openpty()
    done = subprocess.Popen(command(*words), stdout=inner, stderr=inner, env={**os.environ, "TERM": "xterm", **env})
    os.close(inner)
    shown = b""
    while True:
        try:
            piece = os.read(outer, 65_536)
        except OSError:
            break
        if not piece:
            break
        shown += piece
    os.close(outer)
    assert done.wait() == 0
    return shown


def test_no_color_holds_on_a_terminal():
    assert b"\x1b[" in terminal("recipes", env={"NO_COLOR": "", "COLUMNS": "80"})
    plain = terminal("recipes", env={"NO_COLOR": "1", "COLUMNS": "80"})
    assert b"sentences/lstm" in plain
    assert not [code for code in plain.split(b"\x1b[")[1:] if code.partition(b"m")[0] not in (b"0", b"1", b"2")]


def test_nothing_is_redrawn_without_a_terminal(tiny):
    done = start("evaluate", "toy:20", "--model", tiny)
    out, err = done.communicate()
    assert done.returncode == 0
    assert b"\x1b" not in out + err
    assert b"\r" not in out + err
