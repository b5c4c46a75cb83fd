"""Sums and differences of codes."""

from torch import Tensor


def analogy(a: Tensor, b: Tensor, c: Tensor) -> Tensor:
    """The code [Z] that is to ``c`` what ``b`` is to ``a``: b − a + c (Mikolov et al. 2013)."""
    return b - a + c
