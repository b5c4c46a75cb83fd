"""Pictures in numpy files, and what all pictures go through: uint8 arrays [N, C, H, W]."""

from __future__ import annotations

import hashlib
import io
import warnings
import zipfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import IO, Any, cast

import numpy as np

from textvae.errors import RequestError
from textvae_corpora.base import Options, Split, digest
from textvae_corpora.decode import opened
from textvae_corpora.labels import sorted_classes

MOST_BYTES = 1 << 32
"""Pictures are held in memory: a file that says it holds more than this is refused."""
_HEADER = 1 << 14
"""Bytes within which the header of an array ends; numpy would read one as long as it says it is."""
_LABEL_BYTES = 1 << 10
"""The longest label of a picture."""
_SLICE = 1 << 12

_IMAGES, _LABELS = ("images", "x", "data", "x_train", "arr_0"), ("labels", "label", "y", "targets", "y_train")


def read(path: Path, options: Options) -> Split:
    """Pictures [N, H, W], [N, H, W, C] or [N, C, H, W] of a .npy or .npz file, and labels [N] of a .npz."""
    with opened(path) as stream, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        magic = stream.read(4)
        stream.seek(0)
        try:
            if magic != b"PK\x03\x04":
                return pictures(_many(_array(path, stream)), path, options)
            with zipfile.ZipFile(stream) as archive:
                found = {Path(name).stem.lower(): name for name in archive.namelist()}
                which = _which(path, found)
                images = _member(path, archive, found[which])
                labelled = next((name for name in _LABELS if name in found), None)
                labels = None
                if labelled is not None:
                    labels = _member(path, archive, found[labelled], len(images) * _LABEL_BYTES)
                unread = ", ".join(sorted(found.keys() - {which, labelled}))
        except (RequestError, OSError):
            raise
        except MemoryError:
            raise RequestError(f"{path} holds more than fits into memory.") from None
        except Exception as error:  # numpy and zipfile raise of all kinds at damaged or hostile files
            raise RequestError(f"{path} is not a numpy file that can be read: {error}.") from error
    split = pictures(images if labels is not None else _many(images), path, options, labels)
    return replace(split, notes=(*split.notes, *([f"{which} is read, and not {unread}"] if unread else [])))


def _many(array: np.ndarray) -> np.ndarray:
    """[H, W, 3] is one colour picture, where it would else be H slits that are 3 pixels wide."""
    return array[None] if array.ndim == 3 and array.shape[-1] in (3, 4) and min(array.shape[:2]) >= 16 else array


def _which(path: Path, found: dict[str, str]) -> str:
    """The name of the array that holds the pictures."""
    name = next((name for name in _IMAGES if name in found), None)
    if name is None and len(found) != 1:
        raise RequestError(f"{path}: which array holds the pictures? It has {', '.join(found)}: call it images.")
    return name or next(iter(found))


def _member(path: Path, archive: zipfile.ZipFile, name: str, most: int | None = None) -> np.ndarray:
    with archive.open(name) as stream:
        return _array(path, stream, most)


def _array(path: Path, stream: IO[bytes], most: int | None = None) -> np.ndarray:
    """The array in a stream; RequestError if its header promises more than ``most`` bytes."""
    head = io.BytesIO(stream.read(_HEADER))
    version = np.lib.format.read_magic(head)
    header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, _, dtype = header(head)
    size = dtype.itemsize
    for length in shape:
        size *= int(length)
    refuse_large(path, size, most)
    if any(length < 1 for length in shape):
        raise RequestError(f"{path} says it holds an array of shape {shape}.")
    stream.seek(0)
    array: np.ndarray = np.lib.format.read_array(stream, allow_pickle=False)
    return array


def refuse_large(path: Path | str, size: int, most: int | None = None) -> None:
    """RequestError if pictures of so many bytes would not fit into memory."""
    most = MOST_BYTES if most is None else most
    if not 0 < size <= most:
        raise RequestError(f"{path} says it holds {size:,} bytes: from 1 to {most:,} can be read.")


def pictures(array: np.ndarray, where: Path | str, options: Options, labels: np.ndarray | None = None) -> Split:
    """A Split of bytes, whole numbers 0 … 255 or floats in [0, 1] or 0 … 255; RequestError for anything else.

    What was done to the values, and to a channel of transparency, is told in the notes.
    """
    from textvae_corpora.fit import fitted, flattened

    if labels is not None and labels.shape != array.shape[:1]:
        raise RequestError(f"{where} holds {len(array):,} pictures and labels of shape {labels.shape}.")
    array, notes = _to_bytes(array, where, options.limit)
    if array.ndim == 3:
        array = array[:, None]
    elif array.ndim == 4 and array.shape[1] not in (1, 3) and array.shape[-1] in (1, 3, 4):
        array = array.transpose(0, 3, 1, 2)
    if array.ndim == 4 and array.shape[1] == 4:
        array = flattened(array)
        notes.append("what is transparent was made white")
    if array.ndim != 4 or array.shape[1] not in (1, 3) or not array.size:
        raise RequestError(
            f"{where} holds an array of shape {array.shape}: pictures are [N, H, W], [N, H, W, 3] or [N, 3, H, W]."
        )
    array, told = fitted(array, options.size, options.colour)
    names = None if labels is None else [_name(label) for label in labels[: options.limit].tolist()]
    return split_of(array, names, [*notes, *told])


def _name(label: Any) -> str:
    """The name of a class: 3 for 3.0, too."""
    if isinstance(label, bytes):
        return label.decode("utf-8", "backslashreplace")
    return str(int(label)) if isinstance(label, float) and label.is_integer() else str(label)


def split_of(array: np.ndarray, labels: Sequence[str | None] | None, notes: Sequence[str] = ()) -> Split:
    """The Split of pictures uint8 [N, C, H, W] and the name of each one's class, None where it has none."""
    array = np.ascontiguousarray(array)
    ids, classes = (None, ()) if labels is None else name_labels(labels)
    content = hashlib.sha256(array.data).hexdigest()
    key = digest(content, array.shape, None if ids is None else ids.tobytes(), classes)
    return Split(cast(Any, array), "image", key, ids, classes, tuple(notes))


def name_labels(names: Sequence[str | None]) -> tuple[np.ndarray, tuple[str, ...]]:
    """Ids [N], -1 for None, and class names."""
    classes = sorted_classes(name for name in names if name is not None)
    place: dict[str | None, int] = {name: i for i, name in enumerate(classes)}
    return np.array([place.get(name, -1) for name in names], dtype=np.int64), classes


def _to_bytes(array: np.ndarray, where: Path | str, limit: int | None) -> tuple[np.ndarray, list[str]]:
    """The first values as uint8 0 … 255, and a note where their type did not say what they mean: all of them do."""
    if array.dtype.kind not in "biuf" or not array.size:
        raise RequestError(f"{where} holds an array of {array.dtype} and shape {array.shape}: no pictures.")
    low, high = float(array.min()), float(array.max())
    floats, array = array.dtype.kind == "f", array[:limit]
    if not (low >= 0 and high <= 255) or (floats and 1 < high <= 128):  # so that NaN is refused too
        raise RequestError(
            f"{where} holds pictures with values from {low:g} to {high:g}: whole numbers have to be in [0, 255], "
            "floats in [0, 1] or as bright as 255. Scale them first."
        )
    if not floats and high > 1:
        return array.astype(np.uint8, copy=False), []
    if not floats or high <= 1:
        told = ["the pixels are 0 and 1: taken as black and white"] if array.dtype.kind in "iu" and high else []
        return _scaled(array, 255), told
    return _scaled(array, 1), [f"the pixels are floats up to {high:g}: taken as 0 … 255"]


def _scaled(array: np.ndarray, factor: int) -> np.ndarray:
    """``array`` times ``factor``, rounded, without a second array of floats beside it."""
    result = np.empty(array.shape, np.uint8)
    for start in range(0, len(array), _SLICE):
        rows = slice(start, start + _SLICE)
        result[rows] = np.rint(array[rows].astype(np.float32) * factor)
    return result
