"""No network, and a cache of its own for the whole session: `datasets` reads these when it is imported."""

import os
import tempfile
from pathlib import Path

import pytest

_cache = tempfile.mkdtemp(prefix="textvae-test-")
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("HF_HOME", _cache)
os.environ.setdefault("HF_DATASETS_CACHE", str(Path(_cache) / "datasets"))


@pytest.fixture(autouse=True)
def cache(tmp_path_factory, monkeypatch):
    """An empty cache folder for each test."""
    import datasets

    folder = tmp_path_factory.mktemp("cache")
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", folder)
    return folder / "textvae"


@pytest.fixture
def write(tmp_path):
    """Write a file of that name and content (str, bytes or a list of lines); returns its path as str."""

    def write(name, content):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(content, list):
            content = "".join(line + "\n" for line in content)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return str(path)

    return write
