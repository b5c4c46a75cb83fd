"""Pictures that look alike instead of pixels that are alike: features, and an adversary (Dosovitskiy & Brox 2016)."""

from typing import Self

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.func import functional_call

from textvae import model_folder
from textvae.autoencoder import Autoencoder
from textvae.batching import Batch
from textvae.encoders import Encoder
from textvae.encoders.conv2d import Conv2dEncoder
from textvae.errors import RequestError
from textvae.likelihoods import Pixels
from textvae.objectives.base import Objective, Terms, kl, need_code
from textvae.schedules import Schedule

TINY = 1e-6  # of features that are all 0, as of a black picture


class Perceptual(Objective):
    """loss = distortion + β · rate + ``weight`` · d(x, x̂) + ``adversarial`` · −log D(x̂), x̂ the expected picture.

    d(x, x̂) = ‖C(x) − C(x̂)‖² / ‖C(x)‖² (eq. 3, made relative, so that a weight means as many nats whatever C is), where
    C is the encoder of the model in the folder ``features``, a classifier trained here (images/conv_classifier), which
    stays as it is. The discriminator D has two layers of convolutions; it belongs to the objective and learns in the
    same step to tell x from x̂ (eq. 4), while x̂ learns not to be told, by the loss that does not saturate (eq. 5). A
    weight of 0 leaves a term out, and so does ``features`` that names nothing. A Gaussian likelihood of a large fixed
    scale makes little of single pixels (L_img).

    Reported, and compared to keep the best model, are distortion and rate alone.
    """

    classifier: Encoder | None
    discriminator: nn.Sequential | None

    def __init__(
        self, features: str = "", weight: float = 50.0, adversarial: float = 0.0, schedule: Schedule | None = None
    ):
        super().__init__()
        if not (weight >= 0 and adversarial >= 0):
            raise RequestError(f"Weights of a loss are 0 or more: {weight} and {adversarial} are not such numbers.")
        self.features, self.weight, self.adversarial = features, weight, adversarial
        self.schedule = schedule or self.schedule
        self.classifier = self.discriminator = None

    def attach(self, model: Autoencoder) -> None:
        """Read the classifier and make the discriminator; refuse words, counts and pictures of another shape."""
        need_code(model, "A perceptual loss")
        if not isinstance(model.likelihood, Pixels) or len(model.likelihood.shape) != 3:
            raise RequestError("A perceptual loss is one of pictures: this model reads something else.")
        shape = model.likelihood.shape
        if self.features and self.weight and self.classifier is None:
            self.classifier = classifier_of(self.features, shape).to(model.device)
        if self.adversarial and self.discriminator is None:
            convolutions = Conv2dEncoder(shape)
            layers = nn.Sequential(convolutions, nn.Linear(convolutions.output_size, 1))
            self.discriminator = layers.to(model.device)

    def train(self, mode: bool = True) -> Self:
        """Put the discriminator in training mode; the classifier never is."""
        super().train(mode)
        if self.classifier is not None:
            self.classifier.eval()
        return self

    def forward(self, model: Autoencoder, batch: Batch, progress: float) -> Terms:
        """The terms, with what features and discriminator say in the loss."""
        q = model.posterior(batch.x, batch.y)
        z = q.rsample(torch.Size([1]))
        x, hidden = batch.scored, model.hidden(batch.scored, z[0], batch.y)
        distortion = -model.likelihood.log_prob(hidden, x)
        rate, beta = kl(q, model.prior(), z), self.schedule(progress)
        loss = (distortion + beta * rate).mean()
        seen = model.likelihood.mean(hidden)
        if self.classifier is not None:
            loss = loss + self.weight * feature_distance(self.classifier, x, seen).mean()
        if self.discriminator is not None:
            loss = loss + _discriminates(self.discriminator, x, seen.detach()).mean()
            loss = loss + self.adversarial * _passes(self.discriminator, seen).mean()
        return Terms(loss, distortion, rate, beta)


def classifier_of(name: str, shape: tuple[int, ...]) -> Encoder:
    """The encoder of a model, which no longer learns; RequestError if it is not there or reads no such pictures."""
    try:
        source, codec, _, _ = model_folder.load(model_folder.find(name))
    except RequestError as error:
        raise RequestError(
            f"objective.features is {name!r}, and no features can be had from there. {error} A classifier of the same "
            f"pictures makes one: textvae train CORPUS --recipe images/conv_classifier --out {name}."
        ) from None
    reads = codec.dims.get("input_shape")
    if reads is None or tuple(reads) != shape or not source.encoder.output_size:
        holds = "text" if reads is None or len(reads) != 3 else f"pictures {list(reads)}"
        raise RequestError(
            f"objective.features is {name!r}, a model that reads {holds}, and this one reads pictures {list(shape)} "
            "(channels, height, width): train a classifier of the same pictures, --recipe images/conv_classifier."
        )
    return source.encoder.eval().requires_grad_(False)


def feature_distance(classifier: Encoder, x: Tensor, other: Tensor) -> Tensor:
    """‖C(x) − C(other)‖² / ‖C(x)‖² [B] of pictures x and other [B, C, H, W]; the gradient is one of ``other``."""
    with torch.no_grad():
        wanted = classifier(x).float()
    squares = (classifier(other).float() - wanted).square().sum(1)
    return squares / wanted.square().sum(1).clamp(min=TINY)


def _discriminates(discriminator: nn.Module, x: Tensor, made: Tensor) -> Tensor:
    """−log D(x) − log(1 − D(made)) [B]: what the discriminator learns by."""
    return F.softplus(-discriminator(x).float()[:, 0]) + F.softplus(discriminator(made).float()[:, 0])


def _passes(discriminator: nn.Module, made: Tensor) -> Tensor:
    """−log D(made) [B]: what the pictures learn by, and the discriminator does not."""
    fixed = {name: parameter.detach() for name, parameter in discriminator.named_parameters()}
    told: Tensor = functional_call(discriminator, fixed, (made,))
    return F.softplus(-told.float()[:, 0])
