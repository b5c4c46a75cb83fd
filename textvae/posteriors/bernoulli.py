"""Codes of bits, for semantic hashing (Salakhutdinov & Hinton 2009; Shen et al. 2018)."""

from collections.abc import Sequence
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.distributions import Bernoulli, Distribution, Independent
from torch.distributions.kl import register_kl

from textvae.errors import RequestError
from textvae.layers import dense
from textvae.posteriors.base import Posterior
from textvae.supports import Support


class Bits(Bernoulli):
    """Independent bits, whose draws and whose ``mean`` have gradients of the straight-through estimator.

    A bit is passed on as it is, and its gradient as if it were the probability (Bengio et al. 2013). ``mean`` is the
    most probable code, which is itself a code; the expectation is ``probs``, which is none.
    """

    has_rsample = True

    @property
    def mean(self) -> Tensor:
        """The bits with a probability over ½, zeros and ones in the shape of the probabilities."""
        return _straight_through((self.logits > 0).to(self.probs.dtype), self.probs)

    def rsample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        """Bits [*sample_shape, …]."""
        probs = self.probs.expand(self._extended_shape(torch.Size(sample_shape)))
        return _straight_through(torch.bernoulli(probs.detach()), probs)


class LogisticCode(Bits):
    """What stands in for the bits while training with noise: ``mean`` and draws are the probabilities themselves."""

    @property
    def mean(self) -> Tensor:
        """The probabilities."""
        return self.probs

    def rsample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        """The probabilities, as often as asked for."""
        return self.probs.expand(self._extended_shape(torch.Size(sample_shape)))


def _straight_through(bits: Tensor, probs: Tensor) -> Tensor:
    return bits + (probs - probs.detach())


@register_kl(Bits, Bernoulli)  # type: ignore[untyped-decorator]
def _kl(q: Bits, p: Bernoulli) -> Tensor:
    """KL of each bit, in nats; torch's own wants the two in one shape, and a prior has no batch."""
    of_one = q.probs * (F.softplus(-p.logits) - F.softplus(-q.logits))
    return of_one + (1 - q.probs) * (F.softplus(p.logits) - F.softplus(q.logits))


class BernoulliPosterior(Posterior):
    """A linear head gives the log odds of each bit.

    In training, normal noise of deviation ``noise`` is added to them, which drives them apart until it changes nothing
    (Salakhutdinov & Hinton 2009). What the decoder reads then is the ``code``:

    - ``bits``: zeros and ones, with straight-through gradients (Shen et al. 2018);
    - ``logistic``: the logistic function of the noisy log odds (Salakhutdinov & Hinton 2009).

    In evaluation there is no noise, and codes are bits.
    """

    support = Support.BITS

    def __init__(
        self, feature_size: int, latent_size: int, code: Literal["bits", "logistic"] = "bits", noise: float = 0.0
    ):
        super().__init__()
        if not noise >= 0:
            raise RequestError(f"The noise of a code of bits is a standard deviation, 0 or more; {noise} is not.")
        self.logits = dense(feature_size, latent_size)
        self.code, self.noise = code, noise

    def forward(self, features: Tensor) -> Distribution:
        """Features [B, F] to q(z|x), in float32."""
        with torch.autocast(features.device.type, enabled=False):
            logits = self.logits(features.float())
            if self.training and self.noise:
                logits = logits + self.noise * torch.randn_like(logits)
            kind = LogisticCode if self.training and self.code == "logistic" else Bits
            return Independent(kind(logits=logits, validate_args=False), 1, validate_args=False)
