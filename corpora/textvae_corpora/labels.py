"""Names of classes to ids and back."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np


def label_ids(column: Any) -> tuple[np.ndarray | None, tuple[str, ...]]:
    """Ids [N] (int64, -1 for none) and sorted class names of an Arrow column; no ids if it has no label."""
    import pyarrow as pa
    import pyarrow.compute as pc

    classes = sorted_classes(name for name in pc.unique(column).to_pylist() if name is not None)
    if not classes:
        return None, ()
    ids = pc.fill_null(pc.index_in(column, value_set=pa.array(classes, pa.string())), -1)
    return np.asarray(ids.to_numpy(), dtype=np.int64), classes


def sorted_classes(names: Iterable[str]) -> tuple[str, ...]:
    """Distinct names in order; whole numbers in the order of numbers."""
    distinct = set(names)
    numbers = all(name.isascii() and name.isdigit() and len(name) < 19 for name in distinct)
    return tuple(sorted(distinct, key=lambda name: (int(name) if numbers else 0, name)))


def renumber(labels: np.ndarray | None, classes: Sequence[str], into: Sequence[str]) -> np.ndarray | None:
    """Ids of ``classes`` as ids of ``into``; -1 for a class that is not there."""
    if labels is None:
        return None
    place = {name: i for i, name in enumerate(into)}
    table = np.array([place.get(name, -1) for name in classes] + [-1], dtype=np.int64)
    return table[labels]
