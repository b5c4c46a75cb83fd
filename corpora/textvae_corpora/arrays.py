"""Pictures in numpy files, and what all pictures go through: uint8 arrays [N, C, H, W]."""

from __future__ import annotations

import hashlib
import zipfile
from pathlib import Path
from typing import IO, Any, cast

import numpy as np

from textvae.errors import RequestError
from textvae_corpora.base import Options, Split, digest
from textvae_corpora.decode import file_errors, opened
from textvae_corpora.labels import sorted_classes

MOST_BYTES = 1 << 32
"""Pictures are held in memory: a file that says it holds more than this is refused."""

_IMAGES, _LABELS = ("images", "x", "data", "x_train", "arr_0"), ("labels", "label", "y", "targets", "y_train")


def read(path: Path, options: Options) -> Split:
    """Pictures [N, H, W], [N, H, W, C] or [N, C, H, W] of a .npy or .npz file, and labels [N] of a .npz."""
    with opened(path) as stream:
        magic = stream.read(4)
        stream.seek(0)
        try:
            if magic != b"PK\x03\x04":
                refuse_large(path, _claimed(path, stream))
                stream.seek(0)
                return pictures(np.load(cast(Any, stream), allow_pickle=False), path, options)
            with zipfile.ZipFile(stream) as archive:
                found = {Path(name).stem.lower(): name for name in archive.namelist()}
                images = _member(path, archive, _which(path, found))
                labelled = next((found[name] for name in _LABELS if name in found), None)
                labels = None if labelled is None else _member(path, archive, labelled)
        except (ValueError, EOFError, zipfile.BadZipFile, NotImplementedError) as error:
            if isinstance(error, RequestError):
                raise
            raise RequestError(f"{path} is not a numpy file that can be read: {error}.") from error
    return pictures(images, path, options, labels)


def _which(path: Path, found: dict[str, str]) -> str:
    name = next((found[name] for name in _IMAGES if name in found), None)
    if name is None and len(found) != 1:
        raise RequestError(f"{path}: which array holds the pictures? It has {', '.join(found)}: call it images.")
    return name or next(iter(found.values()))


def _member(path: Path, archive: zipfile.ZipFile, name: str) -> np.ndarray:
    with archive.open(name) as stream:
        refuse_large(path, _claimed(path, stream))
    with archive.open(name) as stream, file_errors(path):
        array: np.ndarray = np.lib.format.read_array(stream, allow_pickle=False)
    return array


def _claimed(path: Path, stream: IO[bytes]) -> int:
    """The bytes that the header of an array says it has."""
    version = np.lib.format.read_magic(stream)
    header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, _, dtype = header(stream)
    size = dtype.itemsize
    for length in shape:
        size *= int(length)
    return int(size)


def refuse_large(path: Path | str, size: int) -> None:
    """RequestError if pictures of so many bytes would not fit into memory."""
    if not 0 < size <= MOST_BYTES:
        raise RequestError(f"{path} says it holds {size:,} bytes of pictures: from 1 to {MOST_BYTES:,} can be read.")


def pictures(array: np.ndarray, where: Path | str, options: Options, labels: np.ndarray | None = None) -> Split:
    """A Split of bytes, whole numbers 0 … 255 or floats in [0, 1]; RequestError for anything else."""
    array = _to_bytes(array, where)
    if array.ndim == 3:
        array = array[:, None]
    elif array.ndim == 4 and array.shape[-1] in (1, 3):
        array = np.ascontiguousarray(array.transpose(0, 3, 1, 2))
    if array.ndim != 4 or array.shape[1] not in (1, 3) or not array.size:
        raise RequestError(
            f"{where} holds an array of shape {array.shape}: pictures are [N, H, W], [N, H, W, 3] or [N, 3, H, W]."
        )
    ids: np.ndarray | None = None
    classes: tuple[str, ...] = ()
    if labels is not None:
        if labels.shape != array.shape[:1]:
            raise RequestError(f"{where} holds {len(array):,} pictures and labels of shape {labels.shape}.")
        ids, classes = name_labels([str(name) for name in labels.tolist()])
    array, ids = array[: options.limit], None if ids is None else ids[: options.limit]
    content = hashlib.sha256(np.ascontiguousarray(array).data).hexdigest()
    key = digest(content, array.shape, None if ids is None else ids.tobytes(), classes)
    return Split(cast(Any, array), "image", key, ids, classes)


def name_labels(names: list[str]) -> tuple[np.ndarray, tuple[str, ...]]:
    """Ids [N] and class names."""
    classes = sorted_classes(names)
    place = {name: i for i, name in enumerate(classes)}
    return np.array([place[name] for name in names], dtype=np.int64), classes


def _to_bytes(array: np.ndarray, where: Path | str) -> np.ndarray:
    if array.dtype == np.uint8:
        return array
    if array.dtype.kind not in "biuf" or not array.size:
        raise RequestError(f"{where} holds an array of {array.dtype} and shape {array.shape}: no pictures.")
    low, high = float(array.min()), float(array.max())
    top = 255 if array.dtype.kind in "iu" else 1
    if not (low >= 0 and high <= top):  # so that NaN is refused too
        raise RequestError(
            f"{where} holds pictures with values from {low:g} to {high:g}: "
            "whole numbers have to be in [0, 255], floats in [0, 1]."
        )
    return array.astype(np.uint8) if top == 255 else np.rint(array.astype(np.float32) * 255).astype(np.uint8)
