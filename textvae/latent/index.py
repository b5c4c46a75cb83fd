"""An index: the codes of examples on disk, memory-mapped, appended to shard by shard, and searched exactly."""

import hashlib
import json
import os
from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import cached_property
from itertools import accumulate
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np
import torch

from textvae.errors import CorruptFolder, RequestError
from textvae.files import write_whole
from textvae.latent.bits import bits
from textvae.latent.neighbours import neighbours
from textvae.latent.shards import SHARD, Table, explained

FORMAT = 1
HEADER, LOG, CODES, EXAMPLES, LOCK = "index.json", "shards.jsonl", "codes.bin", "examples.bin", "LOCK"
MAX_HEADER = 4_000_000  # bytes
PIECE = 65_536  # codes that are compared at once where faiss is not there
PICTURES = 1 << 26  # bytes of pictures in a shard


@dataclass(frozen=True)
class Header:
    """What an index is, written once."""

    model: str
    """The folder or hub id of the model that made the codes."""
    fingerprint: str
    """Of that model (``shards.fingerprint``)."""
    kind: str
    """"text" or "image"."""
    size: int
    """Dimensions of a code Z."""
    thresholds: tuple[float, ...] | None = None
    """[Z]: a binary code has a bit where a code is above; None for real codes, compared by cosine."""
    shape: tuple[int, ...] = ()
    """Of the pictures, [C, H, W]."""
    recipe: str = ""
    format: int = FORMAT

    @property
    def metric(self) -> str:
        """How codes are compared: "hamming" where they are bits, else "cosine"."""
        return "cosine" if self.thresholds is None else "hamming"

    @property
    def dtype(self) -> type[np.generic]:
        """Of what is stored."""
        return np.float32 if self.thresholds is None else np.uint8

    @property
    def width(self) -> int:
        """Numbers, or bytes of eight bits, that are stored of a code."""
        return self.size if self.thresholds is None else -(-self.size // 8)

    @property
    def row(self) -> int:
        """Bytes of a stored code."""
        return self.width * np.dtype(self.dtype).itemsize

    def stored(self, z: np.ndarray) -> np.ndarray:
        """Codes [N, Z] as they are stored and compared: of length one [N, Z], or packed bits [N, ⌈Z/8⌉]."""
        if self.thresholds is not None:
            return bits(z, np.array(self.thresholds, np.float32))
        length = np.linalg.norm(z.astype(np.float64), axis=1, keepdims=True)
        return (z / np.maximum(length, 1e-30)).astype(np.float32)


class Shard(NamedTuple):
    """One commit: so many examples, the bytes that are told of them, and the hashes of both files' part."""

    rows: int
    bytes: int
    codes: str
    examples: str


class Source(NamedTuple):
    """What was indexed: the examples that come next in the index are its own."""

    name: str
    fingerprint: str
    rows: int


class Example(NamedTuple):
    """What an index knows of an example."""

    row: int
    name: str | None
    text: str | None
    label: str | None
    picture: np.ndarray | None
    """uint8 [C, H, W]."""


class Hit(NamedTuple):
    """The number of an example, and its cosine (1 at best) or the bits in which it differs (0 at best)."""

    row: int
    score: float


class Index:
    """A folder with the codes of examples, open for search.

    ``codes.bin`` and ``examples.bin`` only ever grow, and a line of ``shards.jsonl`` makes valid what was written
    before it: what a killed writer left behind the last line is not looked at, and the next writer cuts it off.
    Another process may append meanwhile; this index stays what it was when it was opened.
    """

    def __init__(self, folder: Path, header: Header, log: Sequence[Source | Shard]):
        self.folder, self.header, self.log = folder, header, list(log)
        self.shards = [line for line in log if isinstance(line, Shard)]
        self.sources = [line for line in log if isinstance(line, Source)]
        self.starts = [0, *accumulate(shard.rows for shard in self.shards)]
        self.offsets = [0, *accumulate(shard.bytes for shard in self.shards)]
        self._batches: dict[int, Any] = {}  # memory-mapped too: they take nothing

    @classmethod
    def open(cls, folder: str | Path) -> "Index":
        """Read the header and the log, and compare the sizes of the files: nothing else is read yet.

        Raises RequestError for what is not an index or of a newer format, CorruptFolder for a damaged one.
        """
        folder = Path(folder)
        header = _header(folder)
        index = cls(folder, header, _log(folder))
        for name, size in ((CODES, len(index) * header.row), (EXAMPLES, index.offsets[-1])):
            there = (folder / name).stat().st_size if (folder / name).exists() else 0
            if there < size:
                raise CorruptFolder(
                    f"{folder / name} is truncated: {there:,} bytes of {size:,}. Make the index again: "
                    "textvae index FILE --out IDX --overwrite."
                )
        return index

    def __len__(self) -> int:
        return self.starts[-1]

    @property
    def missing(self) -> int:
        """Examples of the last source that an interrupted writer did not reach."""
        return sum(source.rows for source in self.sources) - len(self)

    @cached_property
    def codes(self) -> np.ndarray:
        """What is stored [N, width], memory-mapped."""
        shape = len(self), self.header.width
        if not len(self):  # nothing cannot be mapped
            return np.zeros(shape, self.header.dtype)
        return np.memmap(self.folder / CODES, self.header.dtype, "r", shape=shape)

    def search(self, z: np.ndarray, k: int = 10, radius: int | None = None) -> list[list[Hit]]:
        """For each code z [Q, Z] the ``k`` nearest of all, the nearest first, the earlier of two alike.

        With a ``radius`` only those of them that differ in at most so many bits: the Hamming ball of semantic hashing
        (Salakhutdinov & Hinton 2009). By faiss where it is installed, else by torch: the same hits. RequestError for
        a k of 0, codes of another size, and a radius among real codes.
        """
        if radius is not None and self.header.metric != "hamming":
            raise RequestError(
                f"{self.folder} holds real codes, and a radius is a number of bits: make an index with --binary."
            )
        if k < 1:
            raise RequestError(f"k is 1 or more; {k} is too few.")
        if z.shape[1:] != (self.header.size,):
            raise RequestError(f"{self.folder} holds codes of {self.header.size} dimensions, not {z.shape[1]}.")
        queries = self.header.stored(z)
        find = _by_faiss if _has_faiss() else _by_torch
        found = [find(query, self.codes, min(k, len(self)), self.header.metric) for query in queries]
        return found if radius is None else [[hit for hit in hits if hit.score <= radius] for hits in found]

    def __getitem__(self, row: int) -> Example:
        """What is known of an example; only its shard is looked at."""
        if not 0 <= row < len(self):
            raise IndexError(f"there are {len(self)} examples, none has the number {row}")
        at = bisect_right(self.starts, row) - 1
        batch = self._batches.get(at) or self._batches.setdefault(at, self._batch(at))
        name, text, label, data = (batch.column(i)[row - self.starts[at]].as_py() for i in range(4))
        if data is None:
            return Example(row, name, text, label, None)
        if len(data) != np.prod(self.header.shape):
            raise CorruptFolder(f"{self.folder / EXAMPLES} does not go with {HEADER}: make the index again.")
        return Example(row, name, text, label, np.frombuffer(data, np.uint8).reshape(self.header.shape))

    def _batch(self, shard: int) -> Any:
        import pyarrow as pa

        try:
            with pa.memory_map(str(self.folder / EXAMPLES)) as file:
                file.seek(self.offsets[shard])
                found = pa.ipc.read_record_batch(pa.ipc.read_message(file), _schema())
                found.validate(full=True)  # the file may come from a stranger
        except (pa.ArrowException, OSError, EOFError) as error:
            raise CorruptFolder(f"{self.folder / EXAMPLES} is damaged: make the index again.") from error
        if found.num_rows != self.shards[shard].rows:
            raise CorruptFolder(f"{self.folder / EXAMPLES} does not go with {LOG}: make the index again.")
        return found

    def check(self, last: int | None = None) -> None:
        """Compare the hashes of all shards, or of the ``last`` few; CorruptFolder names the first that differs."""
        row = self.header.row
        with (self.folder / CODES).open("rb") as codes, (self.folder / EXAMPLES).open("rb") as examples:
            for i in range(len(self.shards))[-last if last else 0 :]:
                shard = self.shards[i]
                codes.seek(self.starts[i] * row)
                examples.seek(self.offsets[i])
                found = _digest(codes.read(shard.rows * row)), _digest(examples.read(shard.bytes))
                if found != (shard.codes, shard.examples):
                    raise CorruptFolder(
                        f"{self.folder} is damaged in examples {self.starts[i]:,} to {self.starts[i + 1] - 1:,}: "
                        "make the index again, with --overwrite."
                    )


@dataclass(frozen=True)
class Indexing:
    """Puts ``table`` into the index ``folder``, which is begun where it is not there.

    ``encode`` makes codes float32 [n, Z] of n examples; ``name`` is what the examples are called. A run that was
    killed goes on after the last whole shard, and ends with the same bytes as one that was not.
    """

    folder: Path
    table: Table
    encode: Callable[[Sequence[Any]], np.ndarray]
    header: Header
    name: str
    names: Sequence[str] | None = None
    shard: int = SHARD

    def write(self, append: bool = False, progress: Callable[[int], None] = lambda done: None) -> int:
        """Index what is missing; returns how many examples were there. All of them: nothing is done.

        Raises RequestError where the index is of another model, has other examples and ``append`` is not said,
        waits for the rest of other examples, or is written by another process; TextvaeError on a full disk.
        """
        begin(self.folder)
        with _writing(self.folder):
            return self._write(append, progress)

    def _write(self, append: bool, progress: Callable[[int], None]) -> int:
        if not (self.folder / HEADER).exists():
            text = json.dumps(asdict(self.header), indent=2)
            write_whole(self.folder / HEADER, text.encode())
        index = Index.open(self.folder)
        same_model(index, self.header.fingerprint, self.header.model)
        mine = Source(self.name, self.table.fingerprint, len(self.table.examples))
        done = self._done(index, mine, append)
        progress(done)
        if done == mine.rows:
            return done
        if index.shards:
            index.check(last=1)  # the one that a crash may have torn
        header, found = index.header, done
        with (
            _end(self.folder / CODES, len(index) * header.row) as codes,
            _end(self.folder / EXAMPLES, index.offsets[-1]) as examples,
            _end(self.folder / LOG, _whole(self.folder / LOG)) as log,
        ):
            if mine.fingerprint not in {source.fingerprint for source in index.sources}:
                _put(log, json.dumps({"source": mine._asdict()}, ensure_ascii=False).encode() + b"\n")
            while done < mine.rows:
                rows = slice(done, min(done + self._rows(), mine.rows))
                raw = self.table.examples[rows]
                data = header.stored(self.encode(raw)).tobytes()
                told = self._told(raw, rows)
                _put(codes, data)
                _put(examples, told)
                shard = Shard(rows.stop - rows.start, len(told), _digest(data), _digest(told))
                _put(log, json.dumps({"shard": shard._asdict()}).encode() + b"\n")
                done = rows.stop
                progress(done)
        return found

    def _done(self, index: Index, mine: Source, append: bool) -> int:
        """How many of these examples are in the index."""
        last = index.sources[-1] if index.sources else mine
        if index.missing and last.fingerprint != mine.fingerprint:
            raise RequestError(
                f"{self.folder} waits for the rest of {last.name} ({index.missing:,} of {last.rows:,}): index that "
                "first, or begin again with --overwrite."
            )
        if mine.fingerprint in {source.fingerprint for source in index.sources}:
            return mine.rows - index.missing
        if index.sources and not append:
            raise RequestError(
                f"{self.folder} holds {len(index):,} examples of {last.name}. Add --append to put {self.name} "
                "to them, --overwrite to begin again, or take another --out."
            )
        return 0

    def _rows(self) -> int:
        picture = int(np.prod(self.header.shape)) if self.header.shape else 1
        return max(1, min(self.shard, PICTURES // picture))

    def _told(self, raw: Sequence[Any], rows: slice) -> bytes:
        """Names, texts, labels and pictures as an Arrow message."""
        import pyarrow as pa

        n, labels, text = len(raw), self.table.labels, self.header.kind == "text"
        ids = [-1] * n if labels is None else labels[rows].tolist()
        columns = [
            pa.array([None] * n if self.names is None else self.names[rows], pa.large_string()),
            pa.array(raw if text else [None] * n, pa.large_string()),
            pa.array([self.table.classes[i] if i >= 0 else None for i in ids], pa.large_string()),
            pa.array([None] * n if text else [np.asarray(one).tobytes() for one in raw], pa.large_binary()),
        ]
        return pa.record_batch(columns, _schema()).serialize().to_pybytes()


def begin(folder: Path) -> None:
    """Make the folder; RequestError if something else is there."""
    if folder.exists() and not is_index(folder) and (not folder.is_dir() or any(_others(folder))):
        raise RequestError(f"{folder} is there already and is not an index: it is left alone. Take another --out.")
    with explained(folder):
        folder.mkdir(parents=True, exist_ok=True)


def remove(folder: Path) -> None:
    """Remove an index, and nothing else; RequestError where the folder is not one, or is being written."""
    if not folder.exists():
        return
    begin(folder)
    with _writing(folder):
        for name in (HEADER, LOG, CODES, EXAMPLES):  # unlinked, not cut: a search may still have them mapped
            (folder / name).unlink(missing_ok=True)


@contextmanager
def _writing(folder: Path) -> Iterator[None]:
    """The only writer; a full disk and a second writer are told."""
    from filelock import FileLock, Timeout

    with explained(folder):
        try:
            lock = FileLock(folder / LOCK).acquire(timeout=0)
        except Timeout:
            raise RequestError(f"Another process is writing {folder}: wait for it, or take another --out.") from None
        with lock:
            yield


def is_index(folder: str | Path) -> bool:
    """Whether an index was begun there."""
    return os.path.isfile(os.path.join(folder, HEADER))  # a query may be too long for a name, which pathlib minds


def same_model(index: Index, fingerprint: str, model: str) -> None:
    """RequestError, by name, if the index was not made by the model of that fingerprint: their codes differ."""
    made = index.header
    if made.fingerprint == fingerprint:
        return
    if made.model == model:
        raise RequestError(
            f"{index.folder} was made by {model} as it was then; its weights have changed since, and its codes with "
            "them. Index again, with --overwrite."
        )
    raise RequestError(
        f"{index.folder} was made by the model {made.model}, and this is {model}: their codes cannot be compared. "
        f"Take --model {made.model}, or index again with --overwrite."
    )


def sample_rows(n: int, most: int = SHARD) -> list[int]:
    """At most ``most`` rows of n, spread evenly: files are often sorted."""
    return np.unique(np.linspace(0, n - 1, min(n, most)).round().astype(int)).tolist()


def _has_faiss() -> bool:
    try:
        import faiss  # noqa: F401
    except ImportError:
        return False
    return True


def _by_faiss(query: np.ndarray, codes: np.ndarray, k: int, metric: str) -> list[Hit]:
    import faiss

    real = metric == "cosine"
    query = query[None]
    found = faiss.knn(query, codes, k, faiss.METRIC_INNER_PRODUCT) if real else faiss.knn_hamming(query, codes, k)
    scores, rows = found[0][0], found[1][0]
    order = np.lexsort((rows, -scores if real else scores))
    return [Hit(*pair) for pair in zip(rows[order].tolist(), scores[order].tolist())]


def _by_torch(query: np.ndarray, codes: np.ndarray, k: int, metric: str) -> list[Hit]:
    pieces = (torch.from_numpy(np.array(codes[i : i + PIECE])) for i in range(0, len(codes), PIECE))
    return [Hit(*pair) for pair in neighbours(torch.from_numpy(query), pieces, k, metric)] if k else []


def _header(folder: Path) -> Header:
    if not is_index(folder):
        what = "is not an index" if os.path.exists(folder) else "is not there"
        raise RequestError(f"{folder} {what}. Make one: textvae index FILE --out {folder}.")
    try:
        with (folder / HEADER).open("rb") as file:
            tree = json.loads(file.read(MAX_HEADER))
        number = tree["format"]
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise CorruptFolder(f"{folder / HEADER} is damaged: make the index again.") from error
    if not isinstance(number, int) or number > FORMAT:
        raise RequestError(
            f"{folder} is of index format {number}, and this textvae reads up to {FORMAT}: "
            "upgrade it with pip install --upgrade textvae."
        )
    try:
        values: Any = {key: tuple(value) if isinstance(value, list) else value for key, value in tree.items()}
        header = Header(**values)
        texts = all(isinstance(getattr(header, key), str) for key in ("model", "fingerprint", "kind", "recipe"))
        numbers = [*(header.thresholds or ()), *header.shape]
        whole = all(isinstance(n, int) and n > 0 for n in (header.size, *header.shape))
        fits = header.thresholds is None or len(header.thresholds) == header.size
        if not (texts and whole and fits and all(isinstance(n, int | float) for n in numbers)):
            raise ValueError
    except (TypeError, ValueError) as error:
        raise CorruptFolder(f"{folder / HEADER} is damaged: make the index again.") from error
    return header


def _log(folder: Path) -> list[Source | Shard]:
    """The whole lines of the log; what a killed writer left of one is no line."""
    lines: list[Source | Shard] = []
    for line in _lines(folder / LOG):
        try:
            tree = json.loads(line)
            found = Source(**tree["source"]) if "source" in tree else Shard(**tree["shard"])
            if not isinstance(found.rows, int) or found.rows < 1 or (isinstance(found, Shard) and found.bytes < 1):
                raise ValueError
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise CorruptFolder(f"{folder / LOG} is damaged in line {len(lines) + 1}: make the index again.") from error
        lines.append(found)
    return lines


def _lines(path: Path) -> Iterator[bytes]:
    if not path.exists():
        return
    with path.open("rb") as file:
        for line in file:
            if line.endswith(b"\n"):
                yield line


def _whole(path: Path) -> int:
    return sum(map(len, _lines(path)))


def _end(path: Path, size: int) -> BinaryIO:
    """Open to append behind ``size`` bytes; what lies there was never made valid."""
    file = path.open("r+b" if path.exists() else "w+b", buffering=0)
    file.truncate(size)
    file.seek(size)
    return file


def _put(file: BinaryIO, data: bytes) -> None:
    """Write all of it and wait until it is on the disk: the log must never say more than the files hold."""
    view = memoryview(data)
    while view:
        view = view[file.write(view) :]
    os.fsync(file.fileno())


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _others(folder: Path) -> Iterator[Path]:
    """What lies in a folder beside what an index that was just being begun would leave."""
    return (path for path in folder.iterdir() if path.name != LOCK and not path.name.startswith(".tmp-"))


def _schema() -> Any:
    import pyarrow as pa

    names = ("name", "text", "label")
    return pa.schema([*((name, pa.large_string()) for name in names), ("picture", pa.large_binary())])
