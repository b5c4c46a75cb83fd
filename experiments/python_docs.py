"""How well ``textvae search`` knows Python's documentation, beside tf-idf and LSA: `python -m experiments.python_docs`.

Forty queries, each with the modules that answer it; both halves were written down before they were measured. The
first half chose the recipe and what a document is; the second chose nothing.
"""

import json
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.decomposition import TruncatedSVD
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.preprocessing import normalize

from textvae import TextVAE
from textvae.latent.means import Means
from textvae_cli import python_docs
from textvae_corpora import load_split

CHOSEN_BY = {
    "read a csv file": "csv",
    "compress files": "gzip zipfile zlib bz2 lzma tarfile shutil",
    "send an email": "smtplib email",
    "parse command line arguments": "argparse optparse getopt",
    "random number": "random secrets",
    "download a web page": "urllib http",
    "regular expression": "re",
    "run a subprocess": "subprocess",
    "square root": "math cmath decimal",
    "current date and time": "datetime time",
    "parse json": "json",
    "temporary file": "tempfile",
    "copy a directory tree": "shutil",
    "thread lock": "threading",
    "hash of a password": "hashlib crypt hmac secrets",
    "parse xml": "xml",
    "connect to a database": "sqlite3 dbm",
    "priority queue": "heapq queue",
    "measure how long code takes": "timeit time profile cProfile",
    "draw graphics with a turtle": "turtle",
}
HELD_OUT = {
    "unzip an archive": "zipfile zlib gzip shutil tarfile",
    "sleep for some seconds": "time asyncio",
    "calculate the median": "statistics",
    "base64 encode": "base64 binascii",
    "list files in a directory": "os pathlib glob posix",
    "check type annotations": "typing inspect",
    "serialize objects": "pickle marshal shelve json copyreg",
    "count items": "collections",
    "permutations and combinations": "itertools",
    "profile code performance": "cProfile profile pstats timeit",
    "set breakpoints and debug": "pdb bdb",
    "serve http requests": "http wsgiref socketserver",
    "format a traceback": "traceback",
    "translate messages internationalization": "gettext locale",
    "binary search in a sorted list": "bisect",
    "log messages to a file": "logging",
    "unit tests": "unittest doctest",
    "abstract base class": "abc collections",
    "environment variables": "os posix",
    "convert html entities": "html",
}


def scored(ranks: Sequence[int | None]) -> dict[str, float]:
    """Of queries whose first right answer stands at those ranks (from 0, None: not among ten)."""
    first = sum(rank == 0 for rank in ranks)
    mrr = sum(1 / (rank + 1) for rank in ranks if rank is not None) / len(ranks)
    return {"hits@10": sum(rank is not None for rank in ranks), "hits@1": first, "mrr@10": round(mrr, 3)}


def main() -> None:
    split = load_split(python_docs.CORPUS)
    texts, modules = list(split.examples), [split.classes[i] for i in split.labels]
    queries = [*CHOSEN_BY, *HELD_OUT]
    print(json.dumps({"documents": len(texts), "queries": len(queries)}))
    words = TfidfVectorizer(token_pattern=r"[^\W\d_]{2,}", sublinear_tf=True, max_df=0.5)
    documents, asked = words.fit_transform(texts), words.transform(queries)
    report("tf-idf", documents, asked, modules)
    for size in (128, 256):
        lsa = TruncatedSVD(size, random_state=0).fit(documents)
        report(f"LSA {size}", lsa.transform(documents), lsa.transform(asked), modules)
    for seed in range(3):
        used = time.process_time()
        with tempfile.TemporaryDirectory() as folder:
            python_docs.train(Path(folder) / "run", seed)
            means = Means(TextVAE.from_pretrained(Path(folder) / "run"))
        codes = means(texts)
        facts = {"seed": seed, "cpu_s": round(time.process_time() - used, 1)}
        report("textvae", codes, means(queries), modules, **facts)


def report(by: str, documents: Any, queries: Any, modules: Sequence[str], **facts: float) -> None:
    """Print how well the cosine of those rows finds the modules."""
    near = normalize(queries) @ normalize(documents).T
    near = near.toarray() if hasattr(near, "toarray") else near
    rows, ranks = np.argsort(-near, axis=1, kind="stable")[:, :10], []
    for (_, wanted), hits in zip([*CHOSEN_BY.items(), *HELD_OUT.items()], rows.tolist()):
        ranks.append(next((rank for rank, row in enumerate(hits) if modules[row] in wanted.split()), None))
    half = len(CHOSEN_BY)
    print(json.dumps({"by": by, **facts, "chosen by": scored(ranks[:half]), "held out": scored(ranks[half:])}))


if __name__ == "__main__":
    main()
