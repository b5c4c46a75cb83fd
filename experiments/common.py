"""What the experiments share: commands of this Python, settings as flags, the machine, and what a run cost."""

import platform
import subprocess
import sys
from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from textvae.run_folder import RunFolder


def textvae(*words: str) -> bytes:
    """What a textvae command of this Python prints."""
    command = [sys.executable, "-m", "textvae_cli", *words]
    return subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout


def flags(settings: Mapping[str, Any]) -> list[str]:
    """Settings as words of a command line."""
    written = {k: str(v).lower() if isinstance(v, bool) else str(v) for k, v in settings.items()}
    return [f"--set={name}={value}" for name, value in written.items()]


def train_to_the_end(place: Path, words: list[str], device: str = "auto") -> None:
    """Train in ``place`` by ``words``; what was begun there and killed, or told to stop, is resumed."""
    begun = (place / "config.toml").exists()
    ends = [record for record in RunFolder(place).records() if record.kind == "end"] if begun else []
    if not any(not record.texts["why"].startswith("Stopped") for record in ends):
        textvae(*(["train", "--resume"] if begun else words), "--out", str(place), "--device", device)


def machine() -> str:
    """The processor, as the system calls it, with the numbers that tell one generation from another."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return f"{platform.machine()} {platform.processor()}"
    said = {key.strip(): value.strip() for key, _, value in (line.partition(":") for line in lines)}
    numbers = [f"{key} {said[key]}" for key in ("cpu family", "model") if key in said]
    return " ".join([platform.machine(), said.get("model name", ""), *([f"({', '.join(numbers)})"] if numbers else [])])


def cost(place: Path) -> dict[str, Any]:
    """What a run cost, from its own records; ``tokens`` are whatever the model's likelihood counts."""
    folder = RunFolder(place)
    train = [r.values for r in folder.records() if r.kind == "train"]
    spans = [b["tokens"] - a["tokens"] for a, b in pairwise([{"tokens": 0}, *train])]
    settings = folder.settings().train
    return {
        "seed": settings.seed,
        "epochs": settings.epochs,
        "precision": settings.precision,
        "device": settings.device,
        "machine": machine(),
        "tokens_trained": train[-1]["tokens"],
        "seconds": round(train[-1]["seconds"]),
        "cpu_seconds": round(sum(n / v["tokens_per_cpu_second"] for n, v in zip(spans, train))),
    }


def quantising_rotation(codes: np.ndarray, seed: int, rounds: int = 50) -> np.ndarray:
    """The rotation [Z, Z] that brings centred codes [N, Z] near to signs (ITQ, Gong & Lazebnik 2011, §3.2)."""
    size = codes.shape[1]
    rotation = np.linalg.qr(np.random.default_rng(seed).standard_normal((size, size)))[0]
    for _ in range(rounds):
        u, _, v = np.linalg.svd(np.sign(codes @ rotation).T @ codes)
        rotation = (u @ v).T
    return rotation
