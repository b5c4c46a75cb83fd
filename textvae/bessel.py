"""The modified Bessel function of the first kind, of any order, in logarithms."""

import torch
from torch import Tensor

SHIFT = 20  # how many orders up the expansion is used: its error falls with the fifth power of the order

# The polynomials U_1 … U_4 of DLMF 10.41.10, each p^k times a polynomial in p², lowest power first.
_U = (
    (3 / 24, -5 / 24),
    (81 / 1152, -462 / 1152, 385 / 1152),
    (30375 / 414720, -369603 / 414720, 765765 / 414720, -425425 / 414720),
    (
        4465125 / 39813120,
        -94121676 / 39813120,
        349922430 / 39813120,
        -446185740 / 39813120,
        185910725 / 39813120,
    ),
)


def log_bessel(order: float, x: Tensor) -> tuple[Tensor, Tensor]:
    """log I_v(x) and the ratio I_{v+1}(x) / I_v(x), float64 in the shape of x, for v = ``order`` ≥ 0 and x > 0.

    The uniform expansion (DLMF 10.41.3) is exact enough only for large orders. So it is taken ``SHIFT`` orders
    up, and I_{n−1} = (2n/x) I_n + I_{n+1} (DLMF 10.29.1) leads back down, the direction in which that recurrence
    is stable. Plain operations throughout: autograd gives the derivatives.
    """
    x = x.double()
    top = order + SHIFT
    log_i = _uniform(top, x)
    ratio = (_uniform(top + 1, x) - log_i).exp()
    for step in range(SHIFT):
        down = 2 * (top - step) / x + ratio  # I_{n−1} / I_n
        log_i, ratio = log_i + down.log(), 1 / down
    return log_i, ratio


def _uniform(v: float, x: Tensor) -> Tensor:
    """log I_v(x) for large v, whatever x is."""
    root = (v * v + x * x).sqrt()
    squared = (v / root) ** 2
    total = torch.ones_like(x)
    for k, coefficients in enumerate(_U, 1):
        polynomial = sum(c * squared**i for i, c in enumerate(coefficients))
        total = total + polynomial / root**k  # U_k(p) / v^k with p = v / root
    return root + v * (x / (v + root)).log() - 0.5 * (2 * torch.pi * root).log() + total.log()
