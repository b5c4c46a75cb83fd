"""Codes of a whole corpus in one file, made shard by shard, so that a killed run goes on where it was."""

import errno
import hashlib
import io
import json
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np

from textvae import tensors
from textvae.errors import RequestError, TextvaeError
from textvae.files import sync, write_whole
from textvae.text_vae import TextVAE

FORMATS = (".npy", ".parquet")
SHARD = 8_192  # examples
KEY, LOCK = "corpus.json", "LOCK"


class Table(Protocol):
    """What is encoded."""

    @property
    def examples(self) -> Sequence[Any]:
        """The raw examples, in order."""

    @property
    def fingerprint(self) -> str:
        """A hash of them."""

    @property
    def labels(self) -> np.ndarray | None:
        """Numbers of classes [N], −1 for none."""

    @property
    def classes(self) -> tuple[str, ...]:
        """The names of the classes."""


def fingerprint(vae: TextVAE) -> str:
    """A hash of all that the codes of a model depend on: its weights, its parts and its codec."""
    found = hashlib.sha256(json.dumps(vae.settings.to_dict()["model"], sort_keys=True, default=str).encode())
    found.update(vae.codec.fingerprint.encode())
    for key, value in sorted(tensors.state(vae.model).items()):
        found.update(key.encode() + np.ascontiguousarray(value.cpu().numpy()).tobytes())
    return found.hexdigest()


def check_place(out: Path, overwrite: bool = False) -> None:
    """RequestError if no codes can be written to ``out``: told before anything is read."""
    if out.suffix.lower() not in FORMATS:
        raise RequestError(f"{out} ends in {out.suffix or 'nothing'}: codes are written to {' or '.join(FORMATS)}.")
    if out.is_dir():
        raise RequestError(f"{out} is a folder: give the name of a file, as in {out / 'codes.npy'}.")
    if out.exists() and not overwrite:
        raise RequestError(f"{out} is there already. Add --overwrite to replace it, or take another --out.")
    parent = next(path for path in out.absolute().parents if path.exists())
    if not parent.is_dir() or not os.access(parent, os.W_OK):
        raise RequestError(f"{out} cannot be written: {parent} is not a folder that may be written into.")


@dataclass(frozen=True)
class Shards:
    """Encodes ``table`` into ``out``; the shards that are done wait in a folder beside it, ``out``.parts.

    ``encode`` makes codes float32 [n, Z] of n examples; ``maker`` names all that its result depends on. What lies
    in the folder is used if it was made by the same maker from the same examples and is whole, else made again.
    """

    out: Path
    table: Table
    encode: Callable[[Sequence[Any]], np.ndarray]
    size: int
    maker: str
    dtype: Literal["float32", "float16"] = "float32"
    shard: int = SHARD

    @property
    def folder(self) -> Path:
        """Where finished shards wait."""
        return self.out.with_name(f"{self.out.name}.parts")

    def write(
        self, progress: Callable[[int], None] = lambda done: None, notice: Callable[[str], None] = lambda text: None
    ) -> int:
        """Make what is missing, then the file, whole or not at all; returns how many examples were found done.

        Raises TextvaeError on a full disk (finished shards stay), RequestError if another process is at it.
        """
        with explained(self.out, self.folder):
            with self._locked(LOCK, f"{LOCK}-*"):
                kept, found = self._fill(range(self._count()), self._begin(notice), progress)
                self._assemble([kept[number] for number in range(self._count())])
            shutil.rmtree(self.folder, ignore_errors=True)
        return found

    def write_part(self, part: int, of: int, progress: Callable[[int], None] = lambda done: None) -> int:
        """Make what is missing of every ``of``-th shard from ``part`` (0 …) on; how many examples were found done.

        Workers with different parts may do so at one time, on any machine that sees the folder; ``write`` then
        finds all shards done and joins them. Raises RequestError if the folder is of other codes, or in use.
        """
        with explained(self.out, self.folder), self._locked(f"{LOCK}-{part}-{of}", LOCK):
            if (theirs := _read(self.folder / KEY)) is None:
                write_whole(self.folder / KEY, json.dumps(self._key, indent=2).encode())
            elif theirs != self._key:
                raise RequestError(
                    f"{self.folder} holds codes of {self._difference(theirs)}: remove it, or take another --out."
                )
            numbers = range(part, self._count(), of)
            kept = {}
            for number in numbers:
                for path in self.folder.glob(f"{number:06}-*.npy"):
                    if _digest(path.read_bytes()) == path.stem.partition("-")[2]:
                        kept[number] = path
                    else:
                        path.unlink()
            return self._fill(numbers, kept, progress)[1]

    def _fill(
        self, numbers: range, kept: dict[int, Path], progress: Callable[[int], None]
    ) -> tuple[dict[int, Path], int]:
        """Make those shards that are missing; all of them by number, and how many examples were done before."""
        done = found = sum(map(self._rows, kept))
        progress(done)
        for number in numbers:
            if number not in kept:
                kept[number] = self._make(number)
                done += self._rows(number)
                progress(done)
        return kept, found

    @contextmanager
    def _locked(self, mine: str, theirs: str) -> Iterator[None]:
        """Hold the lock ``mine`` while nobody holds one of ``theirs``: each takes its own, then looks for the other."""
        from filelock import FileLock, Timeout

        self.folder.mkdir(parents=True, exist_ok=True)
        try:
            with FileLock(self.folder / mine, timeout=0):
                for path in self.folder.glob(theirs):
                    with FileLock(path, timeout=0):
                        pass
                yield
        except Timeout:
            raise RequestError(f"Another process is writing {self.out}: wait for it, or take another --out.") from None

    @property
    def _key(self) -> dict[str, Any]:
        """What the shards in the folder depend on."""
        corpus = {"model": self.maker, "corpus": self.table.fingerprint, "rows": len(self.table.examples)}
        return corpus | {"size": self.size, "dtype": self.dtype, "shard": self.shard}

    def _difference(self, theirs: dict[str, Any]) -> str:
        what = {"model": "another model", "corpus": "other examples", "rows": "other examples"}
        changed = (what.get(k, f"another {k}") for k, mine in self._key.items() if theirs.get(k) != mine)
        return next(changed, "another format")

    def _count(self) -> int:
        return -(-len(self.table.examples) // self.shard)

    def _slice(self, number: int) -> slice:
        return slice(number * self.shard, min((number + 1) * self.shard, len(self.table.examples)))

    def _rows(self, number: int) -> int:
        part = self._slice(number)
        return part.stop - part.start

    def _begin(self, notice: Callable[[str], None]) -> dict[int, Path]:
        """The shards that are there and good, by number; what is of no use is removed."""
        key, mine = self.folder / KEY, self._key
        theirs = _read(key)
        if theirs is not None and theirs != mine:
            notice(f"{self.folder} holds codes of {self._difference(theirs)}: starting afresh")
        kept: dict[int, Path] = {}
        damaged = 0
        for path in sorted(self.folder.iterdir()):
            if path.name == KEY or path.name.startswith(LOCK):
                continue
            number, _, digest = path.stem.partition("-")
            wanted = theirs == mine and path.suffix == ".npy" and number.isdigit() and int(number) < self._count()
            if wanted and _digest(path.read_bytes()) == digest:
                kept[int(number)] = path
            else:
                damaged += wanted
                path.unlink()
        if damaged:
            notice(f"{damaged} damaged {'shard' if damaged == 1 else 'shards'} in {self.folder}: made again")
        if theirs != mine:
            write_whole(key, json.dumps(mine, indent=2).encode())
        return kept

    def _make(self, number: int) -> Path:
        """Encode one shard; its name holds the hash of its content, so that one rename finishes it."""
        z = self.encode(self.table.examples[self._slice(number)])
        if self.dtype == "float16":
            z = np.clip(z, -65504, 65504)  # its range: beyond it is infinity
        stream = io.BytesIO()
        np.save(stream, z.astype(self.dtype), allow_pickle=False)
        data = stream.getvalue()
        path = self.folder / f"{number:06}-{_digest(data)}.npy"
        write_whole(path, data)
        return path

    def _assemble(self, parts: Sequence[Path]) -> None:
        temporary = self.folder / "whole"
        write = self._npy if self.out.suffix.lower() == ".npy" else self._parquet
        with temporary.open("wb") as file:
            write(file, parts)
        sync(temporary)
        temporary.replace(self.out)
        sync(self.out.absolute().parent)

    def _npy(self, file: Any, parts: Sequence[Path]) -> None:
        shape = len(self.table.examples), self.size
        header = {"descr": np.dtype(self.dtype).str, "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(file, header)
        for part in parts:
            file.write(np.load(part, allow_pickle=False).data)

    def _parquet(self, file: Any, parts: Sequence[Path]) -> None:
        import pyarrow as pa
        import pyarrow.parquet as pq

        kind = pa.list_(pa.from_numpy_dtype(np.dtype(self.dtype)), self.size)
        schema = pa.schema({"text": pa.string(), "label": pa.string(), "z": kind})
        with pq.ParquetWriter(file, schema) as writer:
            for number, part in enumerate(parts):
                rows = self._slice(number)
                codes = pa.array(np.load(part, allow_pickle=False).ravel())
                columns = [
                    pa.array(self._texts(rows), pa.string()),
                    pa.array(self._labels(rows), pa.string()),
                    pa.FixedSizeListArray.from_arrays(codes, self.size),
                ]
                writer.write_batch(pa.record_batch(columns, schema))

    def _texts(self, rows: slice) -> list[str | None]:
        return [one if isinstance(one, str) else None for one in self.table.examples[rows]]

    def _labels(self, rows: slice) -> list[str | None]:
        if self.table.labels is None:
            return [None] * (rows.stop - rows.start)
        return [self.table.classes[i] if i >= 0 else None for i in self.table.labels[rows].tolist()]


@contextmanager
def explained(out: Path, kept: Path | None = None) -> Iterator[None]:
    """A full disk is told with what is kept of the work; a place that may not be written is a wrong request."""
    try:
        yield
    except (OSError, TextvaeError) as error:
        cause = error if isinstance(error, OSError) else error.__cause__
        if not isinstance(cause, OSError):
            raise
        if cause.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            raise TextvaeError(
                f"The disk is full: {out} could not be written. The shards that are done are kept in "
                f"{kept or out}; make room and run the same command again."
            ) from error
        raise RequestError(f"{out} cannot be written: {cause.strerror or cause}.") from error


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()[:32]


def _read(path: Path) -> dict[str, Any] | None:
    """What the folder was begun with; {} where that cannot be read, None where it was not begun."""
    try:
        found = json.loads(path.read_bytes())
    except FileNotFoundError:
        return None
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
