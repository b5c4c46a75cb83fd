"""Where codes live: a posterior and a prior go together only if they are distributions over the same set."""

from enum import Enum

import torch.nn.functional as F
from torch import Tensor


class Support(Enum):
    """The set that codes [Z] are drawn from; the value is its name in a sentence."""

    EUCLIDEAN = "all of R^Z"
    SPHERE = "the unit sphere in R^Z"
    BITS = "the strings of Z bits"

    def project(self, z: Tensor) -> Tensor:
        """Codes z [N, Z] to the nearest ones of this set: a straight line between codes leaves the sphere, and bits."""
        if self is Support.BITS:
            return (z > 0.5).to(z.dtype)
        return F.normalize(z, dim=-1) if self is Support.SPHERE else z
