"""A run on disk: settings, environment, metrics, checkpoints and the best model so far."""

import json
import math
import os
import platform
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from filelock import FileLock, Timeout

from textvae.errors import RequestError
from textvae.files import clear_errors, sweep, write_whole
from textvae.records import Record
from textvae.settings import Settings


class RunFolder:
    """``runs/NAME``; one process writes it at a time."""

    def __init__(self, path: str | Path):
        self.path = Path(path)
        self.checkpoints = self.path / "checkpoints"
        self.model = self.path / "model"
        self._board: Any = None

    @property
    def exists(self) -> bool:
        """Whether a run was begun here."""
        return (self.path / "config.toml").exists()

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the run; RequestError, with the holder's process number, if another process does."""
        with clear_errors(self.path):
            self.checkpoints.mkdir(parents=True, exist_ok=True)
        lock = FileLock(self.path / "LOCK")
        try:
            lock.acquire(timeout=0)
        except Timeout:
            holder = (self.path / "PID").read_text() if (self.path / "PID").exists() else "another process"
            raise RequestError(
                f"{self.path} is in use by process {holder}. Wait for it, or train into another folder with --out."
            ) from None
        except OSError as error:
            raise RequestError(f"{self.path} cannot be written: {error.strerror}.") from error
        try:
            write_whole(self.path / "PID", str(os.getpid()).encode())
            sweep(self.path)
            sweep(self.checkpoints)
            yield
        finally:
            (self.path / "PID").unlink(missing_ok=True)
            if self._board is not None:
                self._board.close()
            lock.release()

    def begin(self, settings: Settings) -> None:
        """Write the resolved settings and the environment of this start."""
        write_whole(self.path / "config.toml", settings.to_toml().encode())
        write_whole(self.path / "env.json", json.dumps(environment(settings), indent=2).encode())

    def settings(self) -> Settings:
        """The settings of the run."""
        return Settings.from_toml(self.path / "config.toml")

    def rewind(self, step: int) -> None:
        """Forget what was logged after ``step``, which is done again, and that the run had ended."""
        file = self.path / "metrics.jsonl"
        if file.exists():
            kept = [record for record in self.records() if record.step <= step and record.kind != "end"]
            write_whole(file, "".join(_line(record) for record in kept).encode())

    def log(self, record: Record) -> None:
        """Append a record to ``metrics.jsonl``, to the TensorBoard events, and its texts to ``samples.txt``."""
        with clear_errors(self.path):
            with (self.path / "metrics.jsonl").open("a", encoding="utf-8") as file:
                file.write(_line(record))
            if record.texts:
                with (self.path / "samples.txt").open("a", encoding="utf-8") as file:
                    lines = [f"{kind}: {text}" for kind, text in record.texts.items()]
                    file.write("\n".join([f"step {record.step}", *lines, "", ""]))
            for key, value in record.values.items():
                self.board.add_scalar(f"{record.kind}/{key}", value, record.step)

    @property
    def board(self) -> Any:
        """The TensorBoard writer, opened on first use: its import is slow."""
        if self._board is None:
            from torch.utils.tensorboard import SummaryWriter

            self._board = SummaryWriter(str(self.path / "tensorboard"))
        return self._board

    def records(self) -> list[Record]:
        """All that was logged."""
        file = self.path / "metrics.jsonl"
        lines = file.read_bytes().split(b"\n") if file.exists() else []
        return [Record.from_dict(json.loads(line)) for line in lines if 0 <= _step_of(line) < math.inf]


def _line(record: Record) -> str:
    return json.dumps(record.to_dict(), ensure_ascii=False) + "\n"


def _step_of(line: bytes) -> float:
    try:
        return json.loads(line)["step"]
    except (ValueError, KeyError, TypeError):
        return math.inf if line.strip() else -1  # a line torn by a crash goes; an empty one is none


def environment(settings: Settings) -> dict[str, Any]:
    """Versions, machine, git commit and command line, so that a number can be traced."""
    import textvae

    def git(*words: str) -> str:
        try:
            done = subprocess.run(["git", *words], capture_output=True, text=True, timeout=5, check=False)
            return done.stdout.strip()
        except (OSError, subprocess.TimeoutExpired):
            return ""

    return {
        "textvae": textvae.__version__,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "platform": platform.platform(),
        "cpu_capability": torch.backends.cpu.get_cpu_capability(),
        "threads": torch.get_num_threads(),
        "gpus": [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())],
        "device": settings.train.device,
        "precision": settings.train.precision,
        "seed": settings.train.seed,
        "git": git("rev-parse", "HEAD"),
        "argv": [Path(sys.argv[0]).name, *sys.argv[1:]],
    }
