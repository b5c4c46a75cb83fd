"""Codes of bits: from numbers to packed bytes, and what is near in Hamming distance."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from textvae.errors import RequestError

Packed = NDArray[np.uint8]
"""Codes of Z bits [N, ⌈Z/8⌉]: eight to a byte, the first the most significant, zeros at the end."""


def medians(codes: ArrayLike) -> NDArray[np.float32]:
    """The thresholds [Z] that cut each dimension of codes [N, Z] in two halves (Chaidaroon & Fang 2017).

    Taken from the training documents, they make bits of any real-valued codes.
    """
    return np.median(np.asarray(codes, np.float32), axis=0)


def bits(codes: ArrayLike, thresholds: ArrayLike = 0.5) -> Packed:
    """Codes [N, Z] to packed bits: 1 where a number is over its threshold, [Z] or one for all.

    A model with a code of bits gives zeros and ones, for which ½ is right.
    """
    return np.packbits(np.asarray(codes) > np.asarray(thresholds), axis=-1)


def hamming(queries: Packed, database: Packed) -> NDArray[np.int32]:
    """How many bits differ [N, M], of packed codes [N, B] and [M, B]."""
    if queries.shape[-1] != database.shape[-1]:
        raise RequestError(
            f"Codes of {8 * queries.shape[-1]} and of {8 * database.shape[-1]} bits have no Hamming distance."
        )
    distances = np.zeros((len(queries), len(database)), np.int32)
    for query, code in zip(queries.T, database.T):  # a byte at a time: no [N, M, B]
        distances += np.bitwise_count(query[:, None] ^ code)
    return distances
