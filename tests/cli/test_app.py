"""Help, version, and what becomes of errors."""

import subprocess
import sys

import pytest

from textvae.errors import CorruptFolder, RequestError
from textvae_cli import loading
from textvae_cli.app import COMMANDS

HEAVY = """
import sys
from textvae_cli.app import app, COMMANDS
for words in [[], *([name] for name in COMMANDS)]:
    try:
        app([*words, "--help"])
    except SystemExit as error:
        assert error.code == 0
print(*sorted({"torch", "datasets", "numpy", "pandas", "rich", "pydantic_core"} & sys.modules.keys()), file=sys.stderr)
"""


def test_help_imports_nothing_heavy():
    done = subprocess.run([sys.executable, "-c", HEAVY], capture_output=True, text=True, check=False)
    assert done.returncode == 0
    assert not {"torch", "datasets", "numpy", "pandas"} & set(done.stderr.split()), done.stderr


def test_help_names_every_command_with_a_whole_sentence(textvae):
    shown = textvae("--help").stdout
    for name in COMMANDS:
        line = next(line for line in shown.splitlines() if line.split()[:1] == [name])
        assert line.endswith(".")
        assert not line.endswith("...")


def test_version(textvae):
    from textvae import __version__

    assert textvae("--version").stdout == f"textvae {__version__}\n"


@pytest.mark.parametrize("words", [["frobnicate"], ["sample", "--nope"], ["sample", "-n", "0"], ["sample", "-n", "x"]])
def test_wrong_usage_exits_2(textvae, words):
    done = textvae(*words)
    assert done.exit_code == 2
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("value", ["nan", "inf", "-1"])
def test_numbers_that_are_none_are_refused(textvae, value, tiny):
    assert textvae("sample", "--model", tiny, "--temperature", value).exit_code == 2
    assert textvae("train", "toy:20", "--rate", value).exit_code == 2


@pytest.mark.parametrize(
    ("error", "code", "message"),
    [
        (RequestError("No such thing."), 2, "textvae: No such thing.\n"),
        (CorruptFolder("It is torn."), 1, "textvae: It is torn.\n"),
        (OSError(28, "No space left on device"), 1, "textvae: the disk is full"),
        (MemoryError(), 1, "textvae: out of memory"),
        (ZeroDivisionError("oh [/red] \x1b[31m"), 1, "textvae: unexpected ZeroDivisionError: oh [/red] [31m."),
        (KeyboardInterrupt(), 130, "textvae: interrupted.\n"),
        (BrokenPipeError(), 0, ""),
    ],
)
def test_errors_are_a_line_and_an_exit_code(textvae, monkeypatch, error, code, message):
    def fail(*_):
        raise error

    monkeypatch.setattr(loading, "open_model", fail)
    done = textvae("sample")
    assert done.exit_code == code
    assert done.stdout == ""
    assert done.stderr.startswith(message)
    assert len(done.stderr.splitlines()) <= 1


def test_debug_shows_the_traceback_wherever_it_stands(textvae):
    for words in (["--debug", "recipes", "nope"], ["recipes", "nope", "--debug"]):
        done = textvae(*words)
        assert done.exit_code == 2
        assert "Traceback" in done.stderr
    assert "Traceback" not in textvae("recipes", "--", "--debug").stderr
