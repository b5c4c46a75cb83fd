"""Greedy layer-wise pre-training of a deep autoencoder, then fine-tuning (Hinton & Salakhutdinov 2006)."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Literal, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from textvae.autoencoder import Autoencoder
from textvae.batching import Batch
from textvae.corruptions.masking import Masking
from textvae.decoders.mlp import MLPDecoder
from textvae.encoders.mlp import MLPEncoder
from textvae.errors import RequestError
from textvae.layers import make_activation
from textvae.likelihoods import Bernoulli, Gaussian, Multinomial
from textvae.objectives.autoencoder import PlainAutoencoder
from textvae.objectives.base import Objective, Terms
from textvae.posteriors.bernoulli import BernoulliPosterior
from textvae.posteriors.constant_variance import ConstantVariance
from textvae.posteriors.diagonal_normal import DiagonalNormal

Units = Literal["bernoulli", "gaussian", "multinomial"]


@dataclass(frozen=True)
class RBM:
    """A restricted Boltzmann machine between v [B, V] and h [B, H], with E(v, h) = −a·v − b·h − hᵀWv.

    Gaussian units have unit variance and add half the square of their distance from the bias, in its place.
    Multinomial ones are the words of a document, Σ v of them, all from one softmax (Hinton & Salakhutdinov 2006).
    """

    weight: Tensor  # W [H, V]
    visible_bias: Tensor  # a [V]
    hidden_bias: Tensor  # b [H]
    visible: Units
    hidden: Units

    def free_energy(self, v: Tensor) -> Tensor:
        """−log Σ_h exp(−E(v, h)) [B], up to a constant."""
        below = 0.5 * (v - self.visible_bias).square() if self.visible == "gaussian" else -v * self.visible_bias
        inputs = _inputs(v, self.weight, self.hidden_bias)
        return below.sum(-1) - (0.5 * inputs.square() if self.hidden == "gaussian" else F.softplus(inputs)).sum(-1)

    def reconstruction(self, v: Tensor, steps: int) -> Tensor:
        """v [B, V] after ``steps`` of Gibbs sampling; the last visible units are their means (Hinton 2010, §3)."""
        particles = v
        for step in range(steps):
            if step:
                particles = _draw(particles, self.visible, v)
            hidden = _mean(_inputs(particles, self.weight, self.hidden_bias), self.hidden, v)
            hidden = _draw(hidden, self.hidden, v)
            particles = _mean(_inputs(hidden, self.weight.T, self.visible_bias), self.visible, v)
        return particles

    def contrastive_divergence(self, v: Tensor, steps: int = 1) -> Tensor:
        """A loss [] whose gradient is that of contrastive divergence (Hinton 2002): F(data) − F(particles).

        The particles are held fixed, so that the gradient is the difference of the expected −∂E between them.
        """
        with torch.no_grad():
            particles = self.reconstruction(v, steps)
        return (self.free_energy(v) - self.free_energy(particles)).mean()


def _inputs(v: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """What units get from those on their other side, in float32 at least: energies are differences of large sums."""
    inputs = F.linear(v, weight, bias)
    return inputs.to(torch.promote_types(inputs.dtype, torch.float32))


def _mean(inputs: Tensor, units: Units, v: Tensor) -> Tensor:
    """The expected units [B, …]; of words, as many as ``v`` [B, V] has."""
    if units == "multinomial":
        return v.sum(-1, keepdim=True) * inputs.softmax(-1)
    return inputs.sigmoid() if units == "bernoulli" else inputs


def _draw(mean: Tensor, units: Units, v: Tensor) -> Tensor:
    """Units with that mean; words stay at their mean, since their number need not be whole."""
    if units == "bernoulli":
        return torch.bernoulli(mean)
    return mean + torch.randn_like(mean) if units == "gaussian" else mean


@dataclass(frozen=True)
class Layer:
    """One layer up, its mirror image down, and what the units above and below it are."""

    up: nn.Linear
    down: nn.Linear
    activation: nn.Module  # of the units above
    below: nn.Module  # of the units below: of the data, which no layer has made, the identity
    visible: Units
    hidden: Units

    def ascend(self, v: Tensor) -> Tensor:
        """v [B, V] to the units above [B, H]."""
        return self.activation(self.up(v))

    def machine(self) -> RBM:
        """The layer as a restricted Boltzmann machine."""
        return RBM(self.up.weight, self.down.bias, self.up.bias, self.visible, self.hidden)

    def cost(self, noisy: Tensor, v: Tensor) -> Tensor:
        """−log p(v|h) [B] of units v [B, V], where h comes from noisy ones and goes down by tied weights."""
        inside = _inputs(self.ascend(noisy), self.up.weight.T, self.down.bias)
        if self.visible == "multinomial":
            return -(v * inside.log_softmax(-1)).sum(-1)
        if self.visible == "bernoulli":
            return F.binary_cross_entropy_with_logits(inside, v, reduction="none").sum(-1)
        return 0.5 * (self.below(inside) - v).square().sum(-1)

    def contraction(self, v: Tensor) -> Tensor:
        """‖∂h/∂v‖² [B], the squared Frobenius norm of the Jacobian of the units h = φ(Wv + b) above v [B, V]."""
        inputs = _inputs(v, self.up.weight, self.up.bias)
        slope = torch.autograd.grad(self.activation(inputs).sum(), inputs, create_graph=True)[0]
        return (slope.square() * self.up.weight.square().sum(1)).sum(-1)


def stack(model: Autoencoder) -> list[Layer]:
    """The layers of a deep autoencoder, from the data to the code; RequestError, with the reason, if it is none."""
    encoder, decoder = model.encoder, model.decoder
    if not isinstance(encoder, MLPEncoder) or not isinstance(decoder, MLPDecoder):
        raise RequestError("Layer-wise pre-training is for fully connected layers: take the encoder and decoder 'mlp'.")
    if model.condition.classes:
        raise RequestError("Layer-wise pre-training has no place for labels: leave model.labels=condition out.")
    data, head = _data(model)
    code, activation = _code(model)
    ups = [*_linear(encoder.layers), code]
    downs = [head, *reversed(_linear(decoder.layers))]
    if [up.weight.shape for up in ups] != [down.weight.T.shape for down in downs]:
        raise RequestError(
            "Layer-wise pre-training unrolls the encoder into the decoder, which must be its mirror image: "
            f"model.decoder.hidden_sizes={[up.out_features for up in reversed(ups[:-1])]}."
        )
    inner, mirrored = ([layer for layer in part.layers if not _inert(layer)] for part in (encoder, decoder))
    if {type(layer) for layer in inner} != {type(layer) for layer in mirrored}:
        raise RequestError("Layer-wise pre-training wants the same activation in the encoder and the decoder.")
    activations = [*inner, activation]
    kinds: list[Units] = [data, *(("bernoulli" if isinstance(a, nn.Sigmoid) else "gaussian") for a in activations)]
    below = [nn.Identity(), *activations]
    return [Layer(*parts) for parts in zip(ups, downs, activations, below, kinds, kinds[1:])]


def _data(model: Autoencoder) -> tuple[Units, nn.Linear]:
    """What units the data are, and the layer that they are scored by."""
    match model.likelihood:
        case Multinomial(head=head):
            return "multinomial", head
        case Bernoulli(head=head):
            return "bernoulli", head
        case Gaussian(head=head):
            return "gaussian", head
    raise RequestError(f"Layer-wise pre-training cannot model the data of {type(model.likelihood).__name__}.")


def _code(model: Autoencoder) -> tuple[nn.Linear, nn.Module]:
    """The layer that makes the code, and its activation."""
    match model.posterior_head:
        case DiagonalNormal(mean=mean):
            return mean, nn.Identity()
        case ConstantVariance(mean=mean, activation=activation):
            return mean, nn.Identity() if activation == "linear" else make_activation(activation)
        case BernoulliPosterior(logits=logits):
            return logits, nn.Sigmoid()
    name = type(model.posterior_head).__name__
    raise RequestError(f"Layer-wise pre-training knows no layer of the posterior {name}: take constant_variance.")


def _inert(layer: nn.Module) -> bool:
    return isinstance(layer, nn.Linear | nn.Dropout)


def _linear(layers: nn.Sequential) -> list[nn.Linear]:
    return [layer for layer in layers if isinstance(layer, nn.Linear)]


class Layerwise(Objective):
    """Layer by layer, each learns to model what the one under it says; then all are fine-tuned together.

    The first ``share`` of the run is divided evenly between the layers, the code among them. A layer is trained

    - as a restricted Boltzmann machine (``rbm``) by ``steps`` of contrastive divergence: logistic hidden units, linear
      ones with unit Gaussian noise in the code, and below them words, pixels or logistic units
      (Hinton & Salakhutdinov 2006); or
    - as a denoising autoencoder (``denoising``) with tied weights, a share ``corruption`` of whose inputs is blanked
      out (Vincent et al. 2010); with 0, as a plain one (Bengio et al. 2007); or
    - as a contractive autoencoder (``contractive``), with a cost of ``contraction`` · ‖∂h/∂v‖² (Rifai et al. 2011,
      eq. 5). Its weights are tied too: a free decoder could undo by large weights what small ones of the encoder gain.

    Then the stack is unrolled: the decoder's weights are the transposes of the encoder's, its biases those of the units
    below, and the loss is that of the plain autoencoder. All weights are the model's own. While a layer is trained,
    the distortion that is reported is that of the layers so far, unrolled, and the rate is 0. The learning rate is
    that of the run throughout (Adam does not mind how the losses are scaled), with the optimiser new at the end.
    """

    unrolled: Tensor

    def __init__(
        self,
        method: Literal["rbm", "denoising", "contractive"] = "rbm",
        share: float = 0.5,
        steps: int = 1,
        corruption: float = 0.25,
        contraction: float = 0.1,
    ):
        super().__init__()
        if not 0 <= share < 1:
            raise RequestError(f"The share of the run that pre-trains is from 0 to under 1; {share} is not.")
        if steps < 1:
            raise RequestError(f"Contrastive divergence takes 1 step or more; {steps} is too few.")
        if not contraction >= 0:
            raise RequestError(f"The weight of a contraction is a number of 0 or more; {contraction} is not.")
        self.method, self.share, self.steps, self.contraction = method, share, steps, contraction
        self.corruption = Masking(corruption)
        self.then = PlainAutoencoder()
        self.register_buffer("unrolled", torch.tensor(False))

    def attach(self, model: Autoencoder) -> None:
        """Refuse a model that is no stack of layers and its mirror image, and an RBM of units that are not logistic."""
        hidden = [layer.activation for layer in stack(model)]
        logistic = all(isinstance(activation, nn.Sigmoid) for activation in hidden[:-1])
        if self.method == "rbm" and not (logistic and isinstance(hidden[-1], nn.Sigmoid | nn.Identity)):
            raise RequestError(
                "A restricted Boltzmann machine has logistic hidden units, and a code that is logistic or linear: set "
                "model.encoder.activation=sigmoid and model.decoder.activation=sigmoid, or objective.method=denoising."
            )

    def forward(self, model: Autoencoder, batch: Batch, progress: float) -> Terms:
        """The terms of the layer whose turn it is, or of the fine-tuning."""
        if progress >= self.share:
            return self.then(model, batch, progress)
        x, read = batch.x, cast(MLPEncoder, model.encoder).inputs
        *under, layer = self._up_to(model, progress)
        with torch.no_grad():
            clean = _ascend(under, read(x))
            distortion = -model.likelihood.log_prob(_descend([*under, layer], layer.ascend(clean)), x)
        if self.method == "rbm":
            loss = layer.machine().contrastive_divergence(clean, self.steps)
        elif self.method == "contractive":
            loss = (layer.cost(clean, clean) + self.contraction * layer.contraction(clean)).mean()
        else:
            noisy = self.corruption(clean) if under else read(self.corruption(x)).detach()
            loss = layer.cost(noisy, clean).mean()
        return Terms(loss, distortion, torch.zeros_like(distortion), 0.0)

    def begin_step(
        self, model: Autoencoder, progress: float, fresh: Callable[[], Autoencoder]
    ) -> Iterable[nn.Parameter]:
        """Let the decoder follow the layer in training; where the fine-tuning begins, unroll all and forget."""
        if self.unrolled:
            return ()
        if progress < self.share:
            _unroll(self._up_to(model, progress)[-1:])
            return ()
        self.unrolled.fill_(True)
        layers = stack(model) if self.share else []
        _unroll(layers)
        return [parameter for layer in layers for part in (layer.up, layer.down) for parameter in part.parameters()]

    def settled(self, progress: float) -> bool:
        """In the fine-tuning."""
        return progress >= self.share

    def criterion(self, distortion: float, rate: float) -> float:
        """The distortion alone."""
        return distortion

    def _up_to(self, model: Autoencoder, progress: float) -> list[Layer]:
        """The layers up to the one whose turn it is."""
        layers = stack(model)
        return layers[: int(progress / self.share * len(layers)) + 1]


def _ascend(layers: Sequence[Layer], v: Tensor) -> Tensor:
    for layer in layers:
        v = layer.ascend(v)
    return v


def _descend(layers: Sequence[Layer], h: Tensor) -> Tensor:
    """The units above the last of the layers to the hidden states from which the likelihood scores x."""
    for layer in reversed(layers[1:]):
        h = layer.below(layer.down(h))
    return h


def _unroll(layers: Sequence[Layer]) -> None:
    with torch.no_grad():
        for layer in layers:
            layer.down.weight.copy_(layer.up.weight.T)
