"""Likelihoods p(x|z): each owns the last layer, from a decoder's hidden states to the distribution of x."""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from textvae.codecs.base import PAD
from textvae.errors import RequestError
from textvae.layers import ScaledBatchNorm, dense, packed_linear, packs
from textvae.registry import Registry

TINY = 1e-30  # under any probability of a word, over the least positive float32

LIKELIHOODS: Registry["Likelihood"] = Registry(
    "likelihood",
    {
        "categorical": "textvae.likelihoods:Categorical",
        "ngram_mixture": "textvae.ngram_mixture:NGramMixture",
        "multinomial": "textvae.likelihoods:Multinomial",
        "topic_mixture": "textvae.likelihoods:TopicMixture",
        "bernoulli": "textvae.likelihoods:Bernoulli",
        "gaussian": "textvae.likelihoods:Gaussian",
        "diagonal_gaussian": "textvae.likelihoods:DiagonalGaussian",
        "discretised_logistic": "textvae.likelihoods:DiscretisedLogistic",
    },
)


class Likelihood(nn.Module, ABC):
    """Scores x under hidden states, and draws x from them."""

    @abstractmethod
    def log_prob(self, hidden: Tensor, x: Tensor) -> Tensor:
        """hidden [N, …, H] and x [N, …] to log p(x|z) [N], in nats per example."""

    def mean(self, hidden: Tensor) -> Tensor:
        """The expected x [N, …]; likelihoods of words have none."""
        raise NotImplementedError

    def draw(self, hidden: Tensor) -> Tensor:
        """A random x [N, …]."""
        raise NotImplementedError

    @property
    def draws(self) -> bool:
        """Whether ``draw`` makes a whole x: words are written one by one, by the decoder."""
        return type(self).draw is not Likelihood.draw

    def units(self, x: Tensor) -> Tensor:
        """How many units perplexity (or bits per dimension) divides by: words, counts, pixels; [N]."""
        return torch.full((len(x),), math.prod(x.shape[1:]), device=x.device)


class Categorical(Likelihood):
    """One word of the vocabulary at each position of x [N, T] after BOS; padding is not scored.

    With ``tied`` the weight is the decoder's word embedding (Press & Wolf 2017), behind a projection where the
    sizes differ. ``temperature`` divides the logits, except in training (Guo et al. 2017): over 1 for a network that
    has seen its corpus so often that it is too sure of itself (``train.calibrate`` finds it).
    """

    reads: int = 0
    """How many of the words before the next one ``logits`` is to be told: what the hidden state does not say."""

    def __init__(
        self,
        hidden_size: int,
        vocab_size: int,
        embedding: nn.Embedding | None = None,
        tied: bool = False,
        temperature: float = 1.0,
    ):
        super().__init__()
        if not temperature > 0:
            raise RequestError(f"A temperature is a number over 0; {temperature} is not.")
        self.temperature = temperature
        self.projection: nn.Module = nn.Identity()
        if tied and embedding is not None:
            if embedding.embedding_dim != hidden_size:
                self.projection = nn.Linear(hidden_size, embedding.embedding_dim)
            self.weight = embedding.weight
        else:
            self.weight = nn.Parameter(torch.empty(vocab_size, hidden_size).normal_(std=hidden_size**-0.5))
        self.bias = nn.Parameter(torch.zeros(vocab_size))

    def log_prob(self, hidden: Tensor, x: Tensor) -> Tensor:
        """hidden [N, T-1, H] and ids x [N, T] to [N]: the sum over words and the end symbol."""
        mask = x[:, 1:] != PAD
        nll = self.nll(hidden, x, mask)
        return -nll.new_zeros(mask.shape).masked_scatter(mask, nll).sum(1)

    def nll(self, hidden: Tensor, x: Tensor, mask: Tensor) -> Tensor:
        """−log p [M] of those words of x [N, T] after BOS that ``mask`` [N, T-1] takes, under hidden [N, T-1, H]."""
        hidden, targets = hidden[mask], x[:, 1:][mask]
        missing = -len(targets) % ROWS
        hidden, filled = F.pad(hidden, (0, 0, 0, missing)), F.pad(targets, (0, missing))
        return linear_cross_entropy(self._read(hidden), self.weight, self._bias, filled)[: len(targets)]

    def logits(self, hidden: Tensor, before: Tensor) -> Tensor:
        """hidden [N, H] to unnormalised log-probabilities of the next word [N, V], for generation.

        ``before`` [N, T] are the last words, ``reads`` of them or all that there are, BOS included.
        """
        return F.linear(self._read(hidden), self.weight, self._bias).float()

    def stepwise_logits(self, rows: int, multiple: int) -> Callable[[Tensor, Tensor], Tensor]:
        """``logits``, for many calls without gradient of up to so many rows while the weights stay as they are.

        Where the weight is copied for that, which a single row does not pay for, the copy has words of probability 0
        at its end, so that their number is a ``multiple``.
        """
        if not packs(self.weight):
            return self.logits
        missing = -len(self.bias) % multiple if rows > 1 else 0
        weight: Tensor = F.pad(self.weight, (0, 0, 0, missing)) if missing else self.weight
        bias = F.pad(self._bias, (0, missing), value=-torch.inf) if missing else self._bias
        product = packed_linear(weight, bias, rows)
        return lambda hidden, before: product(self._read(hidden))

    def _read(self, hidden: Tensor) -> Tensor:
        """What the weight is multiplied by: the logits' temperature is in it, and in the bias."""
        return self._tempered(self.projection(hidden))

    @property
    def _bias(self) -> Tensor:
        return self._tempered(self.bias)

    def _tempered(self, values: Tensor) -> Tensor:
        return values if self.training or self.temperature == 1 else values / self.temperature

    def units(self, x: Tensor) -> Tensor:
        """Words and end symbols, [N]."""
        return (x[:, 1:] != PAD).sum(1)


class Multinomial(Likelihood):
    """Words drawn independently from one distribution per document; x [N, V] counts.

    log p leaves out the multinomial coefficient, which depends on no parameter: it is the probability of the
    words in one order, the convention of topic models' perplexities (Miao et al. 2016). The bias begins at the
    log of the words' document frequencies, so that the code need not carry how common a word is; with
    ``batch_norm`` each word's logits are standardised over the batch, and the bias is the shift that follows.
    """

    def __init__(
        self,
        hidden_size: int,
        input_shape: Sequence[int],
        document_frequency: Sequence[float] | None = None,
        batch_norm: bool = False,
    ):
        super().__init__()
        if len(input_shape) != 1:
            raise RequestError(f"A multinomial scores counts [V], not {list(input_shape)}.")
        size = math.prod(input_shape)
        self.head = dense(hidden_size, size, bias=not batch_norm)
        self.norm = ScaledBatchNorm(size, 1.0) if batch_norm else nn.Identity()
        if document_frequency is not None:
            bias = self.norm.shift if isinstance(self.norm, ScaledBatchNorm) else self.head.bias
            with torch.no_grad():
                bias.copy_(log_shares(document_frequency))

    def log_prob(self, hidden: Tensor, x: Tensor) -> Tensor:
        """hidden [N, H] and counts x [N, V] to [N]."""
        return (x * self.log_mean(hidden)).sum(-1)

    def log_mean(self, hidden: Tensor) -> Tensor:
        """The logarithm of the word distribution [N, V]."""
        return self.norm(self.head(hidden).float()).log_softmax(-1)

    def mean(self, hidden: Tensor) -> Tensor:
        """The word distribution [N, V]."""
        return self.log_mean(hidden).exp()

    def topics(self) -> Tensor:
        """The word distributions [H, V] of documents that have one hidden unit at 1 and the others at 0."""
        return self.mean(torch.eye(self.head.in_features, device=self.head.weight.device))

    def draw(self, hidden: Tensor, words: int = 100) -> Tensor:
        """Counts [N, V] of documents of ``words`` words."""
        ids = self.mean(hidden).multinomial(words, replacement=True)
        return torch.zeros(len(ids), self.head.out_features, device=ids.device).scatter_add_(
            1, ids, torch.ones(ids.shape, device=ids.device)
        )

    def units(self, x: Tensor) -> Tensor:
        """The words of each document, [N]."""
        return x.sum(-1)


class TopicMixture(Multinomial):
    """A mixture of topics: p(w) = Σ_k h_k softmax(β_k)_w for shares h, LDA (Srivastava & Sutton 2017, §3)."""

    def __init__(self, hidden_size: int, input_shape: Sequence[int], document_frequency: Sequence[float] | None = None):
        super().__init__(hidden_size, input_shape)
        self.head = dense(hidden_size, math.prod(input_shape), bias=False)
        if document_frequency is not None:  # every topic begins near how common the words are
            with torch.no_grad():
                self.head.weight += log_shares(document_frequency)[:, None]

    def log_mean(self, hidden: Tensor) -> Tensor:
        """Shares [N, H] to the logarithm of the word distribution [N, V]."""
        shares = hidden.float() / hidden.float().sum(-1, keepdim=True).clamp(min=TINY)  # dropout leaves some out
        return (shares @ self.head.weight.T.float().softmax(-1)).clamp(min=TINY).log()


def log_shares(frequency: Sequence[float] | np.ndarray) -> Tensor:
    """Logs of how often each word comes [V], around 0; a word that never comes has half the least."""
    shares = np.asarray(frequency, np.float32)
    least = shares[shares > 0].min(initial=1.0)
    logs = np.log(np.maximum(shares, least / 2))
    return torch.from_numpy(logs - logs.mean())


class Pixels(Likelihood):
    """Independent pixels x [N, C, H, W], each around what a linear head says of it.

    The head reads one hidden state [N, H] of the whole picture or, where the decoder has a ``grid``, a hidden state
    at each place of it [N, h, w, H], each of which writes its patch of ⌈H/h⌉ × ⌈W/w⌉ pixels.
    """

    def __init__(self, hidden_size: int, input_shape: Sequence[int], grid: Sequence[int] | None = None):
        super().__init__()
        self.shape = tuple(input_shape)
        self.patch = None if grid is None else _patch(self.shape, grid)
        self.head = dense(hidden_size, math.prod(self.shape) if self.patch is None else self.shape[0] * self.patch**2)

    def pixels(self, hidden: Tensor) -> Tensor:
        """hidden [N, H] or [N, h, w, H] to a number for each pixel [N, C, H, W], in float32."""
        return self._laid_out(self.head(hidden).float())

    def _laid_out(self, out: Tensor) -> Tensor:
        """What a head says of each place to pixels."""
        if self.patch is None:
            return out.view(-1, *self.shape)
        return F.pixel_shuffle(out.movedim(-1, 1), self.patch)[..., : self.shape[1], : self.shape[2]]


def _patch(shape: Sequence[int], grid: Sequence[int]) -> int:
    """The side of the patch that each place of the grid writes."""
    sides = {-(-pixels // places) for pixels, places in zip(shape[1:], grid)}
    if len(sides) != 1:
        raise RequestError(f"A picture {list(shape)} does not fall into square patches on a grid {list(grid)}.")
    return sides.pop()


class Bernoulli(Pixels):
    """Pixels in [0, 1]; grey values are scored by cross-entropy, as Kingma & Welling (2014) do."""

    def log_prob(self, hidden: Tensor, x: Tensor) -> Tensor:
        """hidden [N, …, H] and pixels x [N, C, H, W] to [N]."""
        loss = F.binary_cross_entropy_with_logits(self.pixels(hidden), x, reduction="none")
        return -loss.flatten(1).sum(1)

    def mean(self, hidden: Tensor) -> Tensor:
        """The probability of each pixel [N, C, H, W]."""
        return self.pixels(hidden).sigmoid()

    def draw(self, hidden: Tensor) -> Tensor:
        """Black and white pixels [N, C, H, W]."""
        return self.mean(hidden).bernoulli()


class Gaussian(Pixels):
    """Normal pixels around a linear mean, with one standard deviation for all of them.

    It begins at ``scale`` and is ``learned``, or stays there: at √½ the nats are the squared error Σ (x − x̂)² and
    the constant D/2 log π.
    """

    def __init__(
        self,
        hidden_size: int,
        input_shape: Sequence[int],
        grid: Sequence[int] | None = None,
        scale: float = 0.1,
        learned: bool = True,
    ):
        super().__init__(hidden_size, input_shape, grid)
        self.log_scale = nn.Parameter(_log_scale(scale), requires_grad=learned)

    def log_prob(self, hidden: Tensor, x: Tensor) -> Tensor:
        """hidden [N, …, H] and x [N, …] to [N]: a density, normaliser included."""
        normal = torch.distributions.Normal(self.mean(hidden), self.log_scale.exp(), validate_args=False)
        return normal.log_prob(x).flatten(1).sum(1)

    def mean(self, hidden: Tensor) -> Tensor:
        """The mean [N, …]."""
        return self.pixels(hidden)

    def draw(self, hidden: Tensor) -> Tensor:
        """The mean with noise [N, …]."""
        mean = self.mean(hidden)
        return mean + self.log_scale.exp() * torch.randn_like(mean)


class DiagonalGaussian(Pixels):
    """Normal pixels, each with a mean and a deviation that the decoder tells (Kingma & Welling 2014, app. C.2).

    Deviations are ``least`` or more: a density of pixels that are always the same would have no bound.
    """

    def __init__(
        self, hidden_size: int, input_shape: Sequence[int], grid: Sequence[int] | None = None, least: float = 0.01
    ):
        super().__init__(hidden_size, input_shape, grid)
        self.log_least = _log(least)
        self.spread = dense(hidden_size, self.head.out_features)

    def log_prob(self, hidden: Tensor, x: Tensor) -> Tensor:
        """hidden [N, …, H] and x [N, …] to [N]: a density, normaliser included."""
        log_scale = self.log_scale(hidden)
        standardised = (x - self.mean(hidden)) * (-log_scale).exp()
        return -(0.5 * standardised.square() + log_scale + 0.5 * LOG_2_PI).flatten(1).sum(1)

    def mean(self, hidden: Tensor) -> Tensor:
        """The mean [N, …]."""
        return self.pixels(hidden)

    def log_scale(self, hidden: Tensor) -> Tensor:
        """The logarithm of the deviation [N, …]."""
        return self._laid_out(self.spread(hidden).float()).clamp(min=self.log_least)

    def draw(self, hidden: Tensor) -> Tensor:
        """The mean with noise [N, …]."""
        mean = self.mean(hidden)
        return mean + self.log_scale(hidden).exp() * torch.randn_like(mean)


class DiscretisedLogistic(Pixels):
    """Bytes, each with the probability that a logistic distribution has on its own 1/255 (Kingma et al. 2016).

    The scale is one learned number for each channel; black and white take the tails (Salimans et al. 2017, eq. 2).
    log p is that of bytes, not a density: divided by the number of pixels and log 2 it is bits per dimension.
    """

    def __init__(
        self,
        hidden_size: int,
        input_shape: Sequence[int],
        grid: Sequence[int] | None = None,
        scale: float = 0.1,
    ):
        super().__init__(hidden_size, input_shape, grid)
        self.log_scale = nn.Parameter(_log_scale(scale).repeat(self.shape[0], *[1] * (len(self.shape) - 1)))

    def log_prob(self, hidden: Tensor, x: Tensor) -> Tensor:
        """hidden [N, …, H] and pixels x [N, C, H, W], k/255 for bytes k, to [N].

        σ(a) − σ(b) = σ(a) σ(−b) (1 − exp(b − a)), of which no factor is lost to rounding.
        """
        inverse = (-self.log_scale).exp()
        from_mean = (x - self.pixels(hidden)) * inverse
        half = 0.5 * STEP * inverse
        above, below = F.logsigmoid(from_mean + half), F.logsigmoid(half - from_mean)
        inside = above + below + torch.log(-torch.expm1(-2 * half))
        log_p = torch.where(x < 0.5 * STEP, above, torch.where(x > 1 - 0.5 * STEP, below, inside))
        return log_p.flatten(1).sum(1)

    def mean(self, hidden: Tensor) -> Tensor:
        """The middle of the distribution [N, C, H, W], in [0, 1]."""
        return self.pixels(hidden).clamp(0, 1)

    def draw(self, hidden: Tensor) -> Tensor:
        """Pixels [N, C, H, W], each k/255."""
        mean = self.pixels(hidden)
        noise = torch.rand_like(mean).clamp(1e-6, 1 - 1e-6).logit()
        return ((mean + self.log_scale.exp() * noise).clamp(0, 1) / STEP).round() * STEP


STEP = 1 / 255  # between two bytes, where white is 1
LOG_2_PI = math.log(2 * math.pi)


def _log_scale(scale: float) -> Tensor:
    return torch.tensor(_log(scale))


def _log(scale: float) -> float:
    if not scale > 0:
        raise RequestError(f"The scale of a likelihood is a number over 0; {scale} is not.")
    return math.log(scale)


ROWS = 128  # whose multiple is scored: oneDNN makes a kernel for each size of a product, in milliseconds
BLOCK = 256  # rows of logits that one product makes on a CPU
STRIP = 32  # rows whose softmax is taken at a time: they stay in the cache
KEPT = 2**25  # numbers that wait for the backward pass, at most; what is over is made again


class _LinearCrossEntropy(torch.autograd.Function):
    """Cross-entropy of a linear layer by blocks of rows; keeps d nll / d logits of the first ``keep`` of them."""

    @staticmethod
    def forward(ctx: Any, hidden: Tensor, weight: Tensor, bias: Tensor, targets: Tensor, keep: int) -> Tensor:
        """hidden [M, H], weight [V, H], bias [V], targets [M] to −log p [M], in float32 at least."""
        nll = torch.empty(len(hidden), dtype=bias.dtype, device=bias.device)
        kept = hidden.new_empty(keep, len(weight))
        for rows in _blocks(0, keep, hidden) + _blocks(keep, len(hidden), hidden):
            logits = torch.mm(hidden[rows], weight.T, out=kept[rows] if rows.stop <= keep else None)
            nll[rows] = _softmax_minus_one(logits, bias, targets[rows])
        ctx.save_for_backward(hidden, weight, bias, targets, kept)
        return nll

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        """``grad`` [M] scales rows, so it is applied to what is small: H numbers a row instead of V."""
        hidden, weight, bias, targets, kept = ctx.saved_tensors
        n, grad = len(kept), grad.to(hidden.dtype)
        d_hidden, d_weight, d_bias = torch.empty_like(hidden), None, None
        torch.mm(kept, weight, out=d_hidden[:n])
        if any(ctx.needs_input_grad[1:3]):
            scaled = hidden * grad[:, None]
            d_weight, d_bias = kept.T @ scaled[:n], (kept.T @ grad[:n]).to(bias.dtype)
        for rows in _blocks(n, len(hidden), hidden):
            d_logits = hidden[rows] @ weight.T
            _softmax_minus_one(d_logits, bias, targets[rows])
            torch.mm(d_logits, weight, out=d_hidden[rows])
            if d_weight is not None:
                d_weight.addmm_(d_logits.T, scaled[rows])
                d_bias += d_logits.T @ grad[rows]
        d_hidden *= grad[:, None]
        return d_hidden, d_weight, d_bias, None, None


def _softmax_minus_one(logits: Tensor, bias: Tensor, targets: Tensor) -> Tensor:
    """Logits [m, V], to which ``bias`` is yet to be added, become d nll / d logits in place; returns nll [m]."""
    nll = torch.empty(len(logits), dtype=bias.dtype, device=bias.device)
    for strip, target, out in zip(*(x.split(STRIP if x.is_cpu else len(x)) for x in (logits, targets[:, None], nll))):
        scores = strip + bias
        p = scores.softmax(-1)
        # The best word tells the normaliser exactly; a target may be too improbable for it.
        out[:] = scores.amax(-1) - p.amax(-1).log() - scores.gather(1, target)[:, 0]
        strip.copy_(p.scatter_add_(1, target, -torch.ones_like(target, dtype=p.dtype)))
    return nll


def linear_cross_entropy(hidden: Tensor, weight: Tensor, bias: Tensor, targets: Tensor) -> Tensor:
    """−log softmax(hidden weightᵀ + bias)[targets]: hidden [M, H], weight [V, H], targets [M] to [M], float32 at least.

    Holds at most ``KEPT`` numbers of the matrix [M, V]. Under autocast the products are in its precision.
    """
    device = hidden.device.type
    if torch.is_autocast_enabled(device):
        dtype = torch.get_autocast_dtype(device)
        hidden, weight = hidden.to(dtype), weight.to(dtype)
    keep = min(len(hidden), KEPT // len(weight)) if torch.is_grad_enabled() else 0
    with torch.autocast(device, enabled=False):
        return _LinearCrossEntropy.apply(hidden, weight, bias, targets, keep)


def _blocks(start: int, stop: int, hidden: Tensor) -> list[slice]:
    step = BLOCK if hidden.is_cpu else 16 * BLOCK
    return [slice(i, min(i + step, stop)) for i in range(start, stop, step)]
