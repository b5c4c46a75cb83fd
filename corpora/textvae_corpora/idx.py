"""The idx files that MNIST comes in."""

from __future__ import annotations

import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np

from textvae.errors import RequestError
from textvae_corpora.arrays import pictures, refuse_large
from textvae_corpora.base import Options, Split, Splits
from textvae_corpora.decode import opened

_MOST_RATIO = 1100
"""No gzip stream is more than so many times as long unpacked."""


def splits(folder: Path, options: Options) -> Splits | None:
    """The splits of a folder with train-images-idx3-ubyte and its like; None if it has none."""
    found: dict[str, Callable[[], Split]] = {}
    for split, prefix in (("train", "train"), ("test", "t10k")):
        images = next((p for p in sorted(folder.glob(f"{prefix}-images*idx3-ubyte*")) if p.is_file()), None)
        if images is not None:
            found[split] = lambda images=images: read(images, options)  # type: ignore[misc]
    return found or None


def read(path: Path, options: Options) -> Split:
    """Pictures of an idx3 file, with the labels of the idx1 file that stands beside it, if one does."""
    images = read_array(path)
    beside = path.with_name(path.name.replace("images", "labels").replace("idx3", "idx1"))
    found = next((p for p in (beside, beside.with_suffix(""), Path(f"{beside}.gz")) if p.is_file()), None)
    labels = read_array(found) if found is not None and found != path else None
    return pictures(images, path, options, labels)


def read_array(path: Path) -> np.ndarray:
    """The uint8 array of an idx file. RequestError if the file is not as long as its header says."""
    packed = path.stat().st_size
    with opened(path) as stream:
        head = stream.read(4)
        if len(head) < 4 or head[:3] != b"\x00\x00\x08" or not 1 <= head[3] <= 4:
            raise RequestError(f"{path} is not an idx file of bytes.")
        sizes = stream.read(4 * head[3])
        if len(sizes) < 4 * head[3]:
            raise RequestError(f"{path} is cut off inside its header.")
        shape = struct.unpack(f">{head[3]}I", sizes)
        size = 1
        for length in shape:
            size *= length
        refuse_large(path, size)
        content = stream.read(size + 1) if size <= packed * _MOST_RATIO else b""
    if len(content) != size:
        says = " x ".join(map(str, shape))
        held = "more" if len(content) > size else f"only {len(content):,}"
        raise RequestError(f"{path} is damaged: its header says {says} bytes, it holds {held}.")
    return np.frombuffer(content, np.uint8).reshape(shape)
