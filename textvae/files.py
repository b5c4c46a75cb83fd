"""Files that are there whole or not at all, whatever stops the program."""

import errno
import hashlib
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from textvae.errors import RequestError, TextvaeError

TEMPORARY = ".tmp-"


@contextmanager
def new_folder(path: Path) -> Iterator[Path]:
    """Fill a temporary folder; it becomes ``path`` in one rename, after every file has reached the disk.

    A folder that is there already is replaced. Raises TextvaeError, and leaves what was there, on a full disk.
    """
    temporary = path.with_name(f"{TEMPORARY}{path.name}-{os.getpid()}")
    old = path.with_name(f"{TEMPORARY}{path.name}-{os.getpid()}.old")
    try:
        with clear_errors(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            shutil.rmtree(temporary, ignore_errors=True)
            temporary.mkdir()
            yield temporary
            for file in temporary.iterdir():
                file.chmod(0o666 & ~_umask())  # safetensors writes 0600, which locks colleagues out
                sync(file)
            sync(temporary)
            if path.exists():
                path.rename(old)
            temporary.rename(path)
            sync(path.parent)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
        if old.exists() and not path.exists():
            old.rename(path)
        shutil.rmtree(old, ignore_errors=True)


def write_whole(path: Path, data: bytes) -> None:
    """Write a file so that readers see the old content or the new one."""
    temporary = path.with_name(f"{TEMPORARY}{path.name}-{os.getpid()}")
    with clear_errors(path):
        try:
            temporary.write_bytes(data)
            sync(temporary)
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)


def link(path: Path, target: str) -> None:
    """Point the symbolic link ``path`` at ``target``, in one step."""
    temporary = path.with_name(f"{TEMPORARY}{path.name}-{os.getpid()}")
    with clear_errors(path):
        temporary.unlink(missing_ok=True)
        temporary.symlink_to(target)
        temporary.replace(path)


def sync(path: Path) -> None:
    """Wait until a file or folder has reached the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sweep(folder: Path) -> None:
    """Remove what a killed writer left, and put back a folder that it had moved aside. Call under the run's lock."""
    for old in folder.glob(f"{TEMPORARY}*.old"):
        place = folder / old.name.removeprefix(TEMPORARY).rsplit("-", 1)[0]
        if not place.exists():
            old.rename(place)
    for leftover in folder.glob(f"{TEMPORARY}*"):
        real = leftover.is_dir() and not leftover.is_symlink()
        shutil.rmtree(leftover) if real else leftover.unlink()


def sha256(path: Path) -> str:
    """The hash of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextmanager
def clear_errors(path: Path) -> Iterator[None]:
    """Turn the system's errors at writing into ours: a full disk exits 1, a forbidden place 2."""
    try:
        yield
    except Exception as error:
        if isinstance(error, TextvaeError):
            raise
        full = getattr(error, "errno", None) in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
        if full or "No space left" in str(error) or "File too large" in str(error):
            raise TextvaeError(
                f"The disk is full: {path} could not be written. What was saved before is unharmed; "
                "make room and run again with --resume."
            ) from error
        if isinstance(error, OSError):
            raise RequestError(f"{path} cannot be written: {error.strerror or error}.") from error
        raise


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
