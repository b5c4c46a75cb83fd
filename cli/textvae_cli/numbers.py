"""Numbers of a training run as words, for a terminal and for a log alike."""

from collections.abc import Mapping
from typing import Any, Protocol

from textvae.records import Record


class Progress(Protocol):
    """What a trainer tells of how far it is."""

    step: int
    epoch: int
    seconds: float

    @property
    def total_steps(self) -> int: ...
    @property
    def progress(self) -> float: ...


def duration(seconds: float) -> str:
    """``3:07``, ``2:03:07``, ``4d 02h``."""
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours >= 48:
        return f"{hours // 24}d {hours % 24:02}h"
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def time_left(at: Progress) -> str:
    """How long the rest of the plan takes at the pace so far."""
    if not at.progress or at.seconds < 1:
        return ""
    return f"{duration(at.seconds * (1 - at.progress) / at.progress)} left"


def where(at: Progress) -> str:
    """The step and the epoch."""
    return f"step {at.step:,}/{at.total_steps:,}  epoch {at.epoch + 1}"


def bounds(values: Mapping[str, Any], words: bool = True, counted: bool = False) -> str:
    """NLL, KL, perplexity (of words only; ``counted``: over how many) and active units, as far as they are there."""
    parts = [f"NLL {values['nll']:.2f}", f"KL {values.get('rate', 0):.2f}"]
    if words and "perplexity" in values:
        over = f" over {values.get('tokens', 0):,} tokens" if counted else ""
        parts.append(f"perplexity {values['perplexity']:,.1f}{over}")
    if values.get("accuracy") is not None:
        parts.append(f"accuracy {values['accuracy']:.3f}")
    if size := values.get("latent_size"):
        parts.append(f"units {values.get('active_units', 0):.0f}/{size:.0f}")
    return "  ".join(parts)


def speed(record: Record, words: bool = True) -> str:
    """Tokens (or pixels) per second."""
    return f"{record.values['tokens_per_second']:,.0f} {'tokens' if words else 'pixels'}/s"


def evaluation(record: Record, words: bool = True) -> str:
    """One line about an evaluation."""
    best = "  best" if record.values.get("best") else ""
    return f"step {record.step:,}  valid  {bounds(record.values, words)}{best}"
