"""Standard input and named pipes: lines that can be read only once."""

from __future__ import annotations

import shutil
import sys
import tempfile
from pathlib import Path
from typing import BinaryIO

from textvae.errors import RequestError
from textvae_corpora import lines
from textvae_corpora.base import Options, Split
from textvae_corpora.cache import cache_errors, cache_folder


def read_standard_input(options: Options) -> Split:
    """One sentence per line of standard input."""
    if sys.stdin is None:
        raise RequestError("There is no standard input to read from.")
    return _spooled(sys.stdin.buffer, "standard input", options)


def read_pipe(path: Path, options: Options) -> Split:
    """One sentence per line of a named pipe."""
    with path.open("rb") as stream:
        return _spooled(stream, str(path), options)


def _spooled(stream: BinaryIO, name: str, options: Options) -> Split:
    """Copy to a file first: the data's hash, which names the cache, is known only at the end."""
    with tempfile.TemporaryDirectory(dir=cache_folder()) as folder:
        path = Path(folder) / "-"
        with cache_errors(cache_folder()), path.open("wb") as file:
            shutil.copyfileobj(stream, file)
        try:
            return lines.read(path, options)
        except RequestError as error:
            raise RequestError(str(error).replace(str(path), name)) from None
