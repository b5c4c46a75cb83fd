"""Disentanglement: whether each factor of the data has a dimension of the code to itself."""

import numpy as np

from textvae.errors import RequestError

BINS = 20  # of each dimension of the code (Locatello et al. 2019, appendix C)


def mutual_information_gap(codes: np.ndarray, factors: np.ndarray, bins: int = BINS) -> float:
    """MIG from 0 to 1 (Chen et al. 2018, eq. 6), of codes [N, Z] and the classes [N, K] of K factors.

    The mean over the factors of (I(z_1; v) − I(z_2; v)) / H(v), for the two dimensions that tell most of v. The
    information is that between v and the posterior means, cut into ``bins`` of equal width between the least and
    the largest. Chen et al. estimate it from q(z|x) itself; numbers by the two ways are not to be compared.

    Raises RequestError for sizes that do not go together, and for a factor that is the same everywhere.
    """
    if codes.ndim != 2 or factors.ndim != 2 or len(codes) != len(factors) or not codes.shape[1] or not factors.shape[1]:
        raise RequestError(f"Codes are [N, Z] and factors [N, K], not {list(codes.shape)} and {list(factors.shape)}.")
    if not np.isfinite(codes).all():
        raise RequestError("Some codes are not finite numbers.")
    cut = [_classes(_bin(column, bins)) for column in codes.T]
    gaps = []
    for k, column in enumerate(factors.T):
        v = _classes(column)
        entropy = _information(v, v)
        if not entropy:
            raise RequestError(f"Factor {k} is the same in all examples: there is nothing to tell.")
        *_, second, first = sorted([0.0, *(_information(z, v) for z in cut)])
        gaps.append((first - second) / entropy)
    return float(np.mean(gaps))


def _bin(values: np.ndarray, bins: int) -> np.ndarray:
    low, high = values.min(), values.max()
    return np.minimum((values - low) / ((high - low) or 1.0) * bins, bins - 1).astype(np.int64)


def _classes(values: np.ndarray) -> np.ndarray:
    return np.unique(values, return_inverse=True)[1].ravel()


def _information(a: np.ndarray, b: np.ndarray) -> float:
    """I(a; b) in nats, of two columns of classes [N]; I(b; b) is the entropy of b."""
    joint = np.zeros((a.max() + 1, b.max() + 1))
    np.add.at(joint, (a, b), 1 / len(a))
    apart = joint.sum(1, keepdims=True) * joint.sum(0, keepdims=True)
    there = joint > 0
    return float((joint[there] * np.log(joint[there] / apart[there])).sum())
