"""What every objective does, the terms it reports, and the KL divergence that most are made of."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor, nn
from torch.distributions import Distribution, Independent, Normal, kl_divergence

from textvae.autoencoder import Autoencoder
from textvae.batching import Batch
from textvae.corruptions.base import NoCorruption
from textvae.errors import RequestError
from textvae.priors.hierarchical import TopDown
from textvae.schedules import Constant, Schedule

if TYPE_CHECKING:
    from textvae.evaluation.bounds import Report


class Terms(NamedTuple):
    """The loss that is minimised, beside what is reported whatever the loss weighs: nats per example, at β = 1."""

    loss: Tensor  # []
    distortion: Tensor  # [B]  −log p(x|z)
    rate: Tensor  # [B]  KL(q(z|x) ‖ p(z))
    beta: float | Tensor


class Objective(nn.Module, ABC):
    """Turns a batch into a loss. It may own parameters and buffers, which train and are saved with the model's."""

    schedule: Schedule = Constant()

    @abstractmethod
    def forward(self, model: Autoencoder, batch: Batch, progress: float) -> Terms:
        """The terms of one batch, at ``progress`` from 0 to 1 through the run.

        Several processes may divide a batch. A loss that is a mean of terms of single examples needs nothing for
        that; what follows from the batch as a whole takes ``distributed.mean`` for ``x.mean(0)``.
        """

    def attach(self, model: Autoencoder) -> None:
        """Make what needs the model's sizes; RequestError, with the reason, where the two do not go together.

        Called once the model is built and before the optimiser is, perhaps more than once.
        """

    def begin_step(
        self, model: Autoencoder, progress: float, fresh: Callable[[], Autoencoder]
    ) -> Iterable[nn.Parameter]:
        """What happens between two steps: a turn that passes, or weights replaced by those of a ``fresh`` model.

        Returns the parameters that were replaced, of which the optimiser then forgets what it gathered. What
        happens once, or in turns, is noted in buffers: they are saved, so that a resumed run does the same.
        """
        return ()

    def held_back(self, model: Autoencoder, progress: float) -> Iterable[nn.Parameter]:
        """Parameters that this step leaves alone (a lagging encoder's decoder, layers that wait their turn)."""
        return ()

    def settled(self, progress: float) -> bool:
        """Whether β has reached its last value (to a hundredth), so that models can be compared and kept."""
        return abs(self.schedule(progress) - self.schedule(1.0)) < 0.01

    def criterion(self, distortion: float, rate: float) -> float:
        """What the best model has the least of, on validation data: −ELBO, unless an objective says otherwise."""
        return distortion + rate

    def compared(self, report: "Report") -> float:
        """The criterion, of all that was measured there: an objective of labels looks at their errors."""
        return self.criterion(report.distortion, report.rate)


def latent_size(model: Autoencoder) -> int:
    """The size Z of the model's codes, 0 for one without."""
    return model.prior().event_shape[0]


def need_code(model: Autoencoder, method: str) -> None:
    """Raise RequestError if the model has no code."""
    if not latent_size(model):
        raise RequestError(f"{method} needs a code, and this model has none (model.latent_size is 0).")


def need_draws(model: Autoencoder, method: str) -> None:
    """Raise RequestError if x is not drawn at once, but written word by word."""
    if not model.likelihood.draws:
        raise RequestError(f"{method} is for pictures and counts, which are drawn at once: this model writes words.")


def need_noise(model: Autoencoder, method: str) -> None:
    """Raise RequestError if the encoder reads x as it is."""
    if isinstance(model.encoder_noise, NoCorruption):
        raise RequestError(f"{method} needs noise on what is read: model.encoder_noise.name=masking, for one.")


def need_classifier(model: Autoencoder, method: str) -> None:
    """Raise RequestError if the model tells no labels."""
    if model.classifier is None:
        raise RequestError(f"{method} needs a model that tells labels: take model.labels=predict, or both.")


def need_normal(model: Autoencoder, method: str) -> None:
    """Raise RequestError unless the model's posterior is a normal distribution with diagonal covariance."""
    if not is_normal(_any_posterior(model)):
        name = type(model.posterior_head).__name__
        raise RequestError(
            f"{method} needs a mean and a variance of each dimension, which the posterior {name} does not give: take "
            "model.posterior.name=diagonal_normal."
        )


def need_dimensions(model: Autoencoder, method: str) -> None:
    """Raise RequestError unless posterior and prior have a KL of each dimension."""
    try:
        kl_per_dimension(_any_posterior(model), model.prior())
    except (TypeError, NotImplementedError):
        q, p = type(model.posterior_head).__name__, type(model.prior).__name__
        raise RequestError(
            f"{method} needs the KL of each dimension, which the posterior {q} and the prior {p} do not give: take "
            "diagonal_normal and standard_normal, or a floor on the whole rate (free_bits with per=batch)."
        ) from None


def need_layers(model: Autoencoder, method: str) -> None:
    """Raise RequestError unless posterior and prior are codes in the same layers."""
    if not _in_layers(_any_posterior(model), model.prior()):
        raise RequestError(
            f"{method} needs codes in layers, the same in posterior and prior: take model.posterior.name=top_down and "
            "model.prior.name=hierarchical, with as many layers, or a floor on the whole rate (objective.per=batch)."
        )


def need_free_rate(model: Autoencoder, method: str) -> None:
    """Raise RequestError if options and not the data set the rate (a von Mises-Fisher of fixed κ, a fixed σ)."""
    with torch.enable_grad():
        fixed = not kl(_any_posterior(model), model.prior()).requires_grad
    if fixed or not learns_deviation(model):
        raise RequestError(
            f"{method} cannot move the rate of the posterior {type(model.posterior_head).__name__}, which its "
            "options fix: let it learn (model.posterior.learned=true, or model.posterior.name=diagonal_normal), or "
            "take objective.name=elbo."
        )


def learns_deviation(model: Autoencoder) -> bool:
    """Whether the noise of the codes is learned, where the posterior is a normal distribution."""
    with torch.enable_grad():
        q = _any_posterior(model)
        return not is_normal(q) or q.stddev.requires_grad


def is_normal(q: Distribution) -> bool:
    """Whether q is a normal distribution with diagonal covariance."""
    return isinstance(q, Independent) and isinstance(q.base_dist, Normal)


def _any_posterior(model: Autoencoder) -> Distribution:
    """The posterior of made-up features, to see what it can do."""
    head = model.posterior_head
    training = head.training
    try:
        return head.eval()(torch.zeros(2, model.encoder.output_size + model.condition.classes, device=model.device))
    finally:
        head.train(training)


def kl(q: Distribution, p: Distribution, z: Tensor | None = None) -> Tensor:
    """KL(q ‖ p) [B] in nats: in closed form where there is one, else at codes z [K, B, Z] from q.

    The estimate is log q(z) − log p(z), or, of two codes in the same layers, that of ``kl_per_layer``.
    """
    try:
        return kl_divergence(q, p).expand(q.batch_shape)
    except NotImplementedError:
        z = q.rsample(torch.Size([1])) if z is None else z
    if _in_layers(q, p):
        return kl_per_layer(q, p, z).sum(-1)
    return (q.log_prob(z) - p.log_prob(z)).mean(0)


def kl_per_dimension(q: Distribution, p: Distribution) -> Tensor:
    """KL of each dimension [B, Z] in nats, for posteriors and priors whose dimensions are independent."""
    if not (isinstance(q, Independent) and isinstance(p, Independent)):
        raise TypeError(f"{type(q).__name__} and {type(p).__name__} have no KL per dimension.")
    return kl_divergence(q.base_dist, p.base_dist)


def _in_layers(q: Distribution, p: Distribution) -> bool:
    """Whether both are codes in the same layers."""
    return isinstance(q, TopDown) and isinstance(p, TopDown) and q.sizes == p.sizes


def kl_per_layer(q: Distribution, p: Distribution, z: Tensor) -> Tensor:
    """KL of each layer [B, L] in nats, for codes in the same layers, given those above it in z [K, B, Z] from q.

    It is in closed form where the layers have one, which varies less than log q(z) − log p(z) does.
    """
    assert isinstance(q, TopDown)
    assert isinstance(p, TopDown)
    try:
        each = torch.stack([kl_divergence(*both) for both in zip(q.given(z), p.given(z))], -1)
    except NotImplementedError:
        each = q.log_prob_per_layer(z) - p.log_prob_per_layer(z)
    return each.mean(0)
