"""The folder that holds texts and ids as Arrow files, and what is said when it cannot be written."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from textvae.errors import TextvaeError


def cache_folder() -> Path:
    """A folder of ours inside the cache of `datasets` (moved with HF_HOME or HF_DATASETS_CACHE)."""
    import datasets

    folder = Path(datasets.config.HF_DATASETS_CACHE) / "textvae"
    with cache_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
    return folder


@contextmanager
def cache_errors(folder: Path) -> Iterator[None]:
    """A full disk or a folder that may not be written becomes a TextvaeError that says so."""
    try:
        yield
    except TextvaeError:
        raise
    except Exception as error:
        causes = set(_errnos(error))
        if causes & {errno.ENOSPC, errno.EDQUOT}:
            what = f"The disk is full: the corpus could not be stored in {folder}."
            raise TextvaeError(f"{what} Free space, or set HF_HOME to a folder on another disk.") from error
        if causes & {errno.EACCES, errno.EPERM, errno.EROFS}:
            what = f"The folder {folder} may not be written."
            raise TextvaeError(f"{what} Set HF_HOME to a folder that may.") from error
        raise


def _errnos(error: BaseException | None) -> Iterator[int]:
    """Error numbers along the chain of causes: `datasets` and Arrow wrap the one that matters."""
    while error is not None:
        if isinstance(error, OSError) and error.errno:
            yield error.errno
        elif "No space left on device" in str(error):
            yield errno.ENOSPC
        error = error.__cause__ or error.__context__


@contextmanager
def quiet() -> Iterator[None]:
    """No progress bars and no warnings of `datasets` inside; as they were, after."""
    import datasets

    level, bars = datasets.logging.get_verbosity(), datasets.is_progress_bar_enabled()
    datasets.logging.set_verbosity_error()
    datasets.disable_progress_bars()
    try:
        yield
    finally:
        datasets.logging.set_verbosity(level)
        if bars:
            datasets.enable_progress_bars()
