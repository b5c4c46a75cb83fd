"""The von Mises–Fisher distribution: codes are directions (Xu & Durrett 2018; Davidson et al. 2018)."""

import math
from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.distributions import Beta, Distribution, constraints
from torch.distributions.kl import register_kl

from textvae.bessel import log_bessel
from textvae.errors import RequestError
from textvae.layers import dense
from textvae.posteriors.base import Posterior
from textvae.priors.uniform_sphere import UniformOnSphere, check_sphere, log_area
from textvae.supports import Support

ROUNDS = 100  # of the rejection sampler, each of which takes over half of what is left
NODES, WEIGHTS = (torch.from_numpy(a) for a in np.polynomial.legendre.leggauss(48))
LEAST = 1e-3  # of a learned κ


class VonMisesFisher(Distribution):
    """Density C(κ) exp(κ μ·z) on the unit sphere in R^Z, with respect to its area.

    ``mean`` is the mean on the sphere, the direction μ, which is itself a code; the expectation in R^Z is
    ``resultant`` · μ, inside the ball, where no code is.
    """

    arg_constraints: dict[str, constraints.Constraint] = {}  # noqa: RUF012
    support = constraints.real_vector
    has_rsample = True

    def __init__(self, direction: Tensor, concentration: Tensor):
        """μ [B, Z] of length 1, and κ [B] or []."""
        self.direction, self.concentration = direction, concentration.double()
        self._log_bessel, self.resultant = log_bessel(direction.shape[-1] / 2 - 1, self.concentration)
        super().__init__(direction.shape[:-1], direction.shape[-1:], validate_args=False)

    @property
    def mean(self) -> Tensor:
        """The mean direction [B, Z]."""
        return self.direction

    @property
    def log_normaliser(self) -> Tensor:
        """log C(κ), float64 in the shape of κ."""
        half = self.event_shape[0] / 2
        return (half - 1) * self.concentration.log() - half * math.log(2 * math.pi) - self._log_bessel

    def log_prob(self, value: Tensor) -> Tensor:
        """log q(z|x) in nats, for value [..., B, Z] on the sphere."""
        cosine = (value * self.direction).sum(-1)
        return (self.concentration * cosine + self.log_normaliser).to(value.dtype)

    def rsample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        """Codes [*sample_shape, B, Z], with exact pathwise gradients of μ and κ."""
        shape = self._extended_shape(torch.Size(sample_shape))
        kappa = self.concentration.expand(shape[:-1])
        with torch.no_grad():
            angle = _draw_angle(kappa, shape[-1])
        if kappa.requires_grad:
            with torch.no_grad():
                slope = _slope(angle, kappa, self.resultant, shape[-1])
            angle = angle + slope * (kappa - kappa.detach())
        around = torch.randn(shape, dtype=self.direction.dtype, device=self.direction.device)
        tangent = F.normalize(around - (around * self.direction).sum(-1, keepdim=True) * self.direction, dim=-1)
        angle = angle.to(self.direction.dtype)[..., None]
        return angle.cos() * self.direction + angle.sin() * tangent


def _draw_angle(kappa: Tensor, z: int) -> Tensor:
    """The angle between code and mean direction, in the shape of κ: Ulrich's sampler (Wood 1994, algorithm VM*)."""
    b = (z - 1) / (2 * kappa + (4 * kappa**2 + (z - 1) ** 2).sqrt())
    x = (1 - b) / (1 + b)
    c = kappa * x + (z - 1) * (4 * b / (1 + b) ** 2).log()  # 1 − x² without the difference
    beta = Beta(torch.full_like(kappa, (z - 1) / 2), torch.full_like(kappa, (z - 1) / 2), validate_args=False)
    cosine, done = torch.zeros_like(kappa), torch.zeros_like(kappa, dtype=torch.bool)
    for _ in range(ROUNDS):  # a loop without an end would hang on a κ that is not finite
        draw = beta.sample()
        w = (1 - (1 + b) * draw) / (1 - (1 - b) * draw)
        accepted = kappa * w + (z - 1) * (1 - x * w).log() - c >= torch.rand_like(kappa).log()
        cosine, done = torch.where(done, cosine, w), done | accepted
        if done.all():
            break
    return cosine.clamp(-1, 1).acos()


def _slope(angle: Tensor, kappa: Tensor, resultant: Tensor, z: int) -> Tensor:
    """dθ/dκ of an angle that keeps its quantile, −∂F(θ; κ)/∂κ / p(θ) (implicit reparameterisation, Figurnov 2018).

    With p(θ) ∝ exp(κ cos θ) sin^(Z−2) θ, ∂F/∂κ is the integral of (cos − A) p from the end of the tail that θ
    stands in up to θ: of one sign, and by Gauss–Legendre over the ten deviations that hold all of it. Plain
    gradients through the rejection sampler would leave out a term (Naesseth et al. 2017).
    """
    width = 10 / (kappa + z - 2).sqrt()
    near = angle.cos() >= resultant
    end = torch.where(near, (angle - width).clamp(min=0), (angle + width).clamp(max=math.pi))
    half = ((angle - end) / 2)[..., None]
    at = end[..., None] + half * (1 + NODES.to(angle.device))
    theta, kappa, resultant = angle[..., None], kappa[..., None], resultant[..., None]
    sines = at.sin().clamp(min=1e-300).log() - theta.sin().clamp(min=1e-300).log()
    density = (kappa * (at.cos() - theta.cos()) + (z - 2) * sines).exp()  # relative to that at θ
    return -((at.cos() - resultant) * density * half * WEIGHTS.to(angle.device)).sum(-1)


@register_kl(VonMisesFisher, UniformOnSphere)  # type: ignore[untyped-decorator]
def _kl(q: VonMisesFisher, p: UniformOnSphere) -> Tensor:
    """κ A(κ) + log C(κ) + log area [B], which does not depend on μ (Xu & Durrett 2018; Davidson et al. 2018)."""
    rate = q.concentration * q.resultant + q.log_normaliser + log_area(q.event_shape[0])
    return rate.to(q.direction.dtype).expand(q.batch_shape)


class VonMisesFisherPosterior(Posterior):
    """A linear head gives the direction; the concentration is ``kappa``, or with ``learned`` a head of its own.

    A fixed κ fixes the rate (Xu & Durrett 2018): the KL cannot collapse, and cannot grow. A learned one starts
    near ``kappa`` (Davidson et al. 2018). latent_size Z is the dimension of the space, not of the sphere in it.
    """

    support = Support.SPHERE

    def __init__(self, feature_size: int, latent_size: int, kappa: float = 35.0, learned: bool = False):
        super().__init__()
        check_sphere(latent_size)
        if not 0 < kappa <= 1e6:
            raise RequestError(f"A concentration is a number over 0 and up to 1e6; {kappa} is not.")
        self.kappa, self.direction = kappa, dense(feature_size, latent_size)
        self.concentration = dense(feature_size, 1) if learned else None

    def forward(self, features: Tensor) -> Distribution:
        """Features [B, F] to q(z|x); lengths and densities in float64."""
        with torch.autocast(features.device.type, enabled=False):
            features = features.float()
            kappa = torch.tensor(self.kappa, device=features.device)
            if self.concentration is not None:
                one = math.log(math.e - 1)  # softplus of it is 1
                kappa = kappa * F.softplus(self.concentration(features)[:, 0] + one) + LEAST
            return VonMisesFisher(F.normalize(self.direction(features), dim=-1), kappa)
