"""Schedules of β, the weight of the KL term, over the progress of a run from 0 to 1."""

import math
from abc import ABC, abstractmethod

from textvae.errors import RequestError
from textvae.registry import Registry

SCHEDULES: Registry["Schedule"] = Registry(
    "schedule",
    {name: f"textvae.schedules:{name.capitalize()}" for name in ("constant", "linear", "logistic", "cyclical")},
)


class Schedule(ABC):
    """β as a function of progress: steps done / steps planned, so that one recipe suits every corpus."""

    @abstractmethod
    def __call__(self, progress: float) -> float:
        """β at ``progress`` in [0, 1]."""


class Constant(Schedule):
    """The same β throughout; β ≠ 1 is the β-VAE (Higgins et al. 2017)."""

    def __init__(self, beta: float = 1.0):
        self.beta = beta

    def __call__(self, progress: float) -> float:
        """β."""
        return self.beta


class Linear(Schedule):
    """From ``start`` to ``beta`` over the first ``warmup`` of the run, then ``beta`` (Bowman et al. 2015, to 1)."""

    def __init__(self, warmup: float = 0.2, start: float = 0.0, beta: float = 1.0):
        self.warmup, self.start, self.beta = _share("warmup", warmup), start, beta

    def __call__(self, progress: float) -> float:
        """β rises on a line."""
        done = min(1.0, progress / self.warmup) if self.warmup else 1.0
        return self.start + (self.beta - self.start) * done


class Logistic(Schedule):
    """A logistic curve through ½ at ``middle``, all but 0 and 1 at ``width`` before and after it (Bowman et al.)."""

    def __init__(self, middle: float = 0.15, width: float = 0.1):
        self.middle, self.width = _share("middle", middle), _share("width", width)

    def __call__(self, progress: float) -> float:
        """β rises on an S: 0.0025 at middle − width, 0.9975 at middle + width."""
        x = 6 * (progress - self.middle) / max(self.width, 1e-6)
        return 1 / (1 + math.exp(-max(-60.0, min(60.0, x))))


class Cyclical(Schedule):
    """``cycles`` times from 0 to 1, rising over the first ``rise`` of each cycle (Fu et al. 2019)."""

    def __init__(self, cycles: int = 4, rise: float = 0.5):
        if cycles < 1:
            raise RequestError(f"A cyclical schedule has 1 cycle or more; {cycles} is too few.")
        self.cycles, self.rise = cycles, _share("rise", rise)

    def __call__(self, progress: float) -> float:
        """β rises and restarts; the run ends at 1."""
        if progress >= 1:
            return 1.0
        return min(1.0, (progress * self.cycles % 1.0) / max(self.rise, 1e-6))


def _share(name: str, value: float) -> float:
    if not 0 <= value <= 1:
        raise RequestError(f"The schedule's {name} is a share of the run, from 0 to 1; {value} is not.")
    return value
