"""Bytes of a file to lines of text, block by block; what is not text is refused, and where is said."""

from __future__ import annotations

import codecs
import gzip
import hashlib
import io
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, cast

from textvae.errors import RequestError

BLOCK = 1 << 22
LONGEST_RECORD = 1 << 26
"""Characters of the longest line that a table may have: more than that is a file of another kind."""

_MAGIC = {
    b"\x89PNG": "a PNG picture",
    b"\xff\xd8\xff": "a JPEG picture",
    b"GIF8": "a GIF picture",
    b"PK\x03\x04": "a zip archive (or an office document)",
    b"\x7fELF": "a program",
    b"%PDF": "a PDF document",
    b"PAR1": "a Parquet file (name it .parquet)",
    b"\xfd7zXZ": "an xz archive",
    b"BZh": "a bzip2 archive",
    b"\x28\xb5\x2f\xfd": "a zstd archive",
    b"\x1f\x8b": "a gzip archive",
    b"SQLite format 3": "an SQLite database",
    b"\x93NUMPY": "a numpy array (name it .npy)",
    b"{\\rtf": "an RTF document",
}


@contextmanager
def file_errors(path: Path) -> Iterator[None]:
    """Errors of reading a file become RequestErrors that name it."""
    try:
        yield
    except PermissionError:
        raise RequestError(f"{path} may not be read: permission denied.") from None
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise RequestError(f"{path} is damaged or cut off: {error}.") from error
    except OSError as error:
        raise RequestError(f"{path} cannot be read: {error.strerror or error}.") from error


def readable(path: Path) -> bool:
    """Whether the path exists; RequestError if a folder on the way may not be looked into."""
    try:
        return path.exists()
    except PermissionError:
        raise RequestError(f"{path} may not be read: permission denied.") from None
    except (OSError, ValueError):  # a name that is too long or holds a NUL
        return False


@contextmanager
def opened(path: Path) -> Iterator[BinaryIO]:
    """The file's bytes, decompressed if it is gzipped (its first bytes tell, not its name)."""
    with file_errors(path), path.open("rb") as file:
        zipped = file.read(2) == b"\x1f\x8b"
        file.seek(0)
        yield cast(BinaryIO, gzip.GzipFile(fileobj=file)) if zipped else file


def file_hash(path: Path) -> str:
    """sha256 of the file's bytes."""
    with file_errors(path), path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def line_batches(path: Path, encoding: str = "utf-8", longest: int | None = None) -> Iterator[list[str]]:
    """Lines of a text file without their ends, many at a time.

    Lines end at LF, CR LF or CR and nowhere else. Of a line longer than ``longest`` at least so many
    characters are given, in bounded memory; without it a line that is too long for memory is refused.
    """
    newlines = io.IncrementalNewlineDecoder(None, translate=True)
    rest = ""
    for text in _decoded(path, encoding):
        lines = (rest + newlines.decode(text)).split("\n")
        rest = lines.pop()
        if longest is not None:
            rest = rest[:longest]
        elif len(rest) > LONGEST_RECORD:
            raise RequestError(f"{path} has a line of more than {LONGEST_RECORD:,} characters: is it a table?")
        if lines:
            yield lines
    rest = (rest + newlines.decode("", final=True)).removesuffix("\n")
    if rest:
        yield [rest]


def _decoded(path: Path, encoding: str) -> Iterator[str]:
    try:
        b"text".decode(encoding, "replace")
        decoder = codecs.getincrementaldecoder(encoding)()
    except (LookupError, UnicodeError, TypeError):
        raise RequestError(f"There is no encoding called {encoding!r}: try utf-8, latin-1, utf-16.") from None
    place, line = 0, 1
    with opened(path) as stream:
        while True:
            block = stream.read(BLOCK)
            if place == 0:
                refuse_binary(path, block[:8192], encoding)
            pending = len(decoder.getstate()[0])
            try:
                text = decoder.decode(block, final=not block)
            except UnicodeDecodeError as error:
                line += error.object[: error.start].count(b"\n")
                raise _undecodable(path, encoding, line, place - pending + error.start) from None
            yield text.removeprefix("\ufeff") if place == 0 else text
            place, line = place + len(block), line + block.count(b"\n")
            if not block:
                return


def _undecodable(path: Path, encoding: str, line: int, offset: int) -> RequestError:
    utf8 = codecs.lookup(encoding).name in ("utf-8", "utf-8-sig")
    cure = "If it is in another encoding, name it: --encoding latin-1" if utf8 else "Try --encoding utf-8"
    where = f"{path}: line {line:,} is not {encoding.upper()} (byte {offset:,} of the file)"
    return RequestError(f"{where}. {cure}.")


def refuse_binary(path: Path, head: bytes, encoding: str) -> None:
    """RequestError if a file that begins so is not text in this encoding."""
    wide = codecs.lookup(encoding).name.startswith(("utf-16", "utf-32"))
    if wide:
        return
    if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        raise RequestError(f"{path} is UTF-16, not {encoding.upper()}. Say --encoding utf-16.")
    kind = next((kind for magic, kind in _MAGIC.items() if head.startswith(magic)), None)
    if kind:
        raise RequestError(f"{path} is not text: it looks like {kind}.")
    if b"\0" in head:
        raise RequestError(
            f"{path} is not text: it holds NUL bytes. If it is UTF-16 without a byte order mark, "
            "say --encoding utf-16-le."
        )
