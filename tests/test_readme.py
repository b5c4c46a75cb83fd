"""What the README shows is what happens."""

import re
import shlex
from pathlib import Path

import pytest
from typer.testing import CliRunner

from textvae.model_folder import SHIPPED
from textvae_cli.app import app

README = (Path(__file__).parent.parent / "README.md").read_text(encoding="utf-8")
CONSOLE = [block for block in re.findall(r"```console\n(.*?)```", README, re.S) if "$ textvae" in block]
PYTHON = re.findall(r"```python\n(.*?)```", README, re.S)


def test_readme_has_blocks_to_check() -> None:
    assert CONSOLE
    assert PYTHON


@pytest.mark.parametrize("block", CONSOLE, ids=lambda block: block.split("\n")[0])
def test_console_block(block: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Commands that read are run and their output compared; commands that write are only parsed."""
    monkeypatch.setenv("TEXTVAE_MODEL", str(SHIPPED))
    for part in re.split(r"^\$ ", block, flags=re.M)[1:]:
        line, _, shown = part.partition("\n")
        words = shlex.split(line, comments=True)
        if words[0] != "textvae":
            continue
        if words[1] == "train" or not shown.strip():
            result = CliRunner().invoke(app, [words[1], "--help"])
            assert result.exit_code == 0
            for option in (word for word in words if word.startswith("--")):
                assert option in result.stdout
            continue
        result = CliRunner().invoke(app, words[1:])
        assert result.exit_code == 0, result.output
        assert [_words(line) for line in result.stdout.splitlines()] == [
            _words(line) for line in shown.splitlines() if line.strip() and not line.startswith(("   t ", "───"))
        ]


def _words(line: str) -> list[str]:
    """The words of a line; figures of the last digits may differ from machine to machine, and are left out."""
    return [word for word in line.split() if not re.fullmatch(r"-\d+\.\d", word)]


@pytest.mark.parametrize("code", PYTHON)
def test_python_block(code: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    exec(compile(code, "README.md", "exec"), {})
