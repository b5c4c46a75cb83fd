"""`python -m tests.perf.search`: a million codes in an index on disk, memory-mapped, a query at a time on one core.

Run with OMP_NUM_THREADS=1. Prints milliseconds and CPU-milliseconds of a query by faiss and without it, for packed
bits and for real codes; the median of some queries, after one that brings the pages into memory, and that one.
"""

import argparse
import json
import os
import resource
import statistics
import tempfile
import time
from pathlib import Path
from unittest import mock

import numpy as np
import torch

from textvae.latent import index as module
from textvae.latent.index import Header, Index, Indexing


class Rows:
    """Examples that are their own numbers."""

    labels, classes, fingerprint = None, (), "numbers"

    def __init__(self, n: int):
        self.n = n

    @property
    def examples(self) -> "Rows":
        return self

    def __len__(self) -> int:
        return self.n

    def __getitem__(self, rows: slice) -> list[str]:
        return [str(row) for row in range(rows.start, rows.stop)]


def made(folder: Path, n: int, size: int, binary: bool) -> Index:
    """An index of ``n`` random codes."""
    rng = np.random.default_rng(0)
    header = Header("random", "none", "text", size, (0.0,) * size if binary else None)
    encode = lambda raw: rng.standard_normal((len(raw), size), np.float32)  # noqa: E731
    Indexing(folder, Rows(n), encode, header, "numbers").write()
    return Index.open(folder)


def measured(index: Index, queries: np.ndarray, k: int) -> dict[str, float]:
    """Milliseconds of the first query, and the median of the others, by the clock and of the processor."""
    wall, cpu = [], []
    for query in queries:
        clock, used = time.perf_counter(), time.process_time()
        index.search(query[None], k)
        wall.append(1000 * (time.perf_counter() - clock))
        cpu.append(1000 * (time.process_time() - used))
    return {"first_ms": wall[0], "ms": statistics.median(wall[1:]), "cpu_ms": statistics.median(cpu[1:])}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("-n", type=int, default=1_000_000, help="codes")
    parser.add_argument("--size", type=int, default=128, help="bits, or dimensions")
    parser.add_argument("-k", type=int, default=10)
    parser.add_argument("--queries", type=int, default=20)
    asked = parser.parse_args()
    torch.set_num_threads(1)
    rng = np.random.default_rng(1)
    queries = rng.standard_normal((asked.queries + 1, asked.size), np.float32)
    with tempfile.TemporaryDirectory() as folder:
        for binary in (True, False):
            used = time.process_time()
            index = made(Path(folder) / str(binary), asked.n, asked.size, binary)
            facts = {"codes": asked.n, "size": asked.size, "metric": index.header.metric, "k": asked.k}
            facts["bytes"] = os.path.getsize(index.folder / module.CODES)
            print(json.dumps({**facts, "indexing_cpu_s": round(time.process_time() - used, 1)}))
            for engine in ("faiss", "without faiss"):
                with mock.patch.object(module, "_has_faiss", return_value=engine == "faiss"):
                    found = measured(Index.open(index.folder), queries, asked.k)
                print(json.dumps({"engine": engine, **{key: round(value, 2) for key, value in found.items()}}))
    print(json.dumps({"peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024}))


if __name__ == "__main__":
    main()
