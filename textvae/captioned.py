"""A picture and what is said of it."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np


class Captioned(NamedTuple):
    """A picture uint8 [C, H, W], and all that is said of it, the first caption first."""

    picture: np.ndarray
    captions: Sequence[str]
