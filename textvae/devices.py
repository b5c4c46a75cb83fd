"""Where and in which precision to compute, and the seeds of its random numbers."""

import time
from contextlib import AbstractContextManager, nullcontext
from functools import cache

import torch
from torch import nn

from textvae.errors import RequestError
from textvae.settings import TrainSettings


def resolve(settings: TrainSettings) -> TrainSettings:
    """The settings with ``auto`` replaced by what this machine does best; RequestError for a device it lacks.

    Of a processor that has no bfloat16 LSTM the precision is fp32 even where bf16 was asked for: a run that began
    elsewhere goes on.
    """
    device = settings.device
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        torch.zeros(1, device=device)
    except (RuntimeError, AssertionError) as error:
        raise RequestError(f"There is no device {device!r} here. Use --device cpu.") from error
    precision = settings.precision
    if precision == "auto":
        precision = "bf16" if bf16_is_faster(torch.device(device)) else "fp32"
    if precision == "bf16" and not has_bf16(torch.device(device)):
        precision = "fp32"
    return settings.model_copy(update={"device": device, "precision": precision})


@cache
def has_bf16(device: torch.device) -> bool:
    """Whether an LSTM computes under autocast in bfloat16: oneDNN makes none for a processor without AVX-512."""
    if device.type != "cpu":
        return True
    try:
        with torch.random.fork_rng(devices=[]), torch.autocast("cpu", torch.bfloat16), torch.no_grad():
            nn.LSTM(1, 1)(torch.zeros(1, 1))
    except RuntimeError:
        return False
    return True


def bf16_is_faster(device: torch.device) -> bool:
    """Whether bfloat16 products are at least half as fast again as float32 ones: measured, 20 ms on a CPU."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported()

    def seconds(dtype: torch.dtype) -> float:
        a = torch.ones(256, 512, dtype=dtype, device=device)
        b = torch.ones(512, 512, dtype=dtype, device=device)
        times = []
        for _ in range(6):
            start = time.perf_counter()
            a @ b
            times.append(time.perf_counter() - start)
        return min(times)

    return seconds(torch.float32) > 1.5 * seconds(torch.bfloat16)


def autocast(device: torch.device, precision: str) -> AbstractContextManager[object]:
    """The context in which a step computes: bf16 where it was asked for and there is one."""
    half = precision == "bf16" and has_bf16(device)
    return torch.autocast(device.type, torch.bfloat16) if half else nullcontext()


def fold(*numbers: int) -> int:
    """One seed from several numbers, spread over 63 bits (the finaliser of SplitMix64)."""
    seed = 0
    for number in numbers:
        seed = (seed * 0x9E3779B97F4A7C15 + number + 1) % 2**64
        seed = (seed ^ (seed >> 30)) * 0xBF58476D1CE4E5B9 % 2**64
        seed = (seed ^ (seed >> 27)) * 0x94D049BB133111EB % 2**64
        seed ^= seed >> 31
    return seed >> 1


def seed(device: torch.device, number: int) -> None:
    """Begin the random numbers that a step on ``device`` draws anew.

    ``torch.manual_seed`` seeds every kind of device, and for those that are not in use it writes down from where it
    was called: 0.3 ms, a twentieth of a small model's step. A step on a CPU draws from the CPU's generator alone.
    """
    if device.type == "cpu":
        torch.default_generator.manual_seed(number)
    else:
        torch.manual_seed(number)
