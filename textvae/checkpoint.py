"""Checkpoints: a folder per step, verified by its manifest before a byte of it is used."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from torch import Tensor

from textvae import tensors
from textvae.errors import CorruptFolder
from textvae.files import link, new_folder, sha256

FORMAT = 1
MODEL, OPTIMIZER, TRAINER, MANIFEST = "model.safetensors", "optimizer.safetensors", "trainer.json", "manifest.json"


def write(folder: Path, step: int, model: dict[str, Tensor], optimizer: dict[str, Tensor], trainer: Any) -> Path:
    """Write ``step-NNNNNNNN`` into the folder of checkpoints, whole or not at all, and point ``last`` at it."""
    place = folder / f"step-{step:08d}"
    with new_folder(place) as fresh:
        tensors.save(fresh / MODEL, model)
        tensors.save(fresh / OPTIMIZER, optimizer)
        (fresh / TRAINER).write_text(json.dumps({"format": FORMAT, "step": step, **trainer}))
        files = {f.name: {"bytes": f.stat().st_size, "sha256": sha256(f)} for f in sorted(fresh.iterdir())}
        (fresh / MANIFEST).write_text(json.dumps({"format": FORMAT, "step": step, "files": files}))
    link(folder / "last", place.name)
    return place


def verify(place: Path) -> None:
    """Raise CorruptFolder unless every file is as its writer left it: no common tensor format notices flipped bits."""
    try:
        manifest = json.loads((place / MANIFEST).read_bytes())
        number, files = manifest["format"], dict(manifest["files"])
        whole = place.name == f"step-{manifest['step']:08d}" and {MODEL, OPTIMIZER, TRAINER} <= files.keys()
        whole &= number >= 1
        for name, facts in files.items():
            file = place / Path(name).name
            whole &= file.stat().st_size == facts["bytes"] and sha256(file) == facts["sha256"]
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise CorruptFolder(f"The checkpoint {place} is incomplete ({error}).") from error
    if not whole:
        raise CorruptFolder(f"The checkpoint {place} is damaged: a file differs from what was written.")
    if number > FORMAT:
        raise CorruptFolder(f"The checkpoint {place} is of the newer format {number}: upgrade textvae.")


def newest(folder: Path, skipped: Callable[[str], None]) -> Path | None:
    """The newest checkpoint that verifies, or None; ``skipped`` is told of each one that does not."""
    for place in sorted(folder.glob("step-*"), reverse=True):
        try:
            verify(place)
            return place
        except CorruptFolder as error:
            skipped(str(error))
    return None


def read(place: Path) -> tuple[dict[str, Tensor], dict[str, Tensor], dict[str, Any]]:
    """The tensors of model and optimiser, and the trainer's numbers."""
    return tensors.load(place / MODEL), tensors.load(place / OPTIMIZER), json.loads((place / TRAINER).read_bytes())


def prune(folder: Path, keep: int) -> None:
    """Remove all checkpoints but the newest ``keep`` and those that ``best`` and ``last`` point at."""
    linked = {(folder / name).resolve() for name in ("best", "last")}
    for place in sorted(folder.glob("step-*"))[:-keep]:
        if place.resolve() not in linked:
            shutil.rmtree(place)
