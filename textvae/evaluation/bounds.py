"""The ELBO and the importance-weighted bound over a split, in memory that does not grow with it."""

import math
from collections.abc import Callable
from dataclasses import dataclass, fields

import torch
from torch import Tensor
from torch.distributions import Distribution, Independent, Normal

from textvae import distributed
from textvae.autoencoder import Autoencoder
from textvae.batching import Batches
from textvae.devices import fold
from textvae.errors import RequestError
from textvae.evaluation.latent import LatentStatistics
from textvae.layers import frozen
from textvae.objectives.base import is_normal, kl
from textvae.refinement import normal, parameters_of, refine

TOKENS_AT_ONCE = 32_768  # padded words that the K samples of a batch are cut to, which bounds the memory


@dataclass(frozen=True)
class Report:
    """A model on a split: nats per example, at β = 1 and without corruption."""

    nll: float  # −ELBO: distortion + rate
    distortion: float
    rate: float
    mi: float  # I(x; z) under q, over the whole split
    active_units: int
    latent_size: int
    perplexity: float  # exp of nats per word, from −ELBO
    tokens: int  # the words that perplexity divides by, end symbols included
    sentences: int
    nll_iw: float | None = None
    nll_iw_stderr: float | None = None  # Monte Carlo error of nll_iw
    iw_samples: int = 0
    refinement: int = 0  # gradient steps on the posterior of each example, before all of this
    widen: float = 1.0  # factor on the standard deviations of what the codes of nll_iw are drawn from
    perplexity_iw: float | None = None
    accuracy: float | None = None  # of the labels that the model tells, where the split has some
    perplexity_document: float = math.nan  # exp of the mean over the examples of their nats per word
    empty: int = 0  # examples without a word that the model knows, which that mean leaves out

    def to_dict(self) -> dict[str, float | int | None]:
        """The fields by name."""
        return {f.name: getattr(self, f.name) for f in fields(self)}


@torch.no_grad()
def evaluate(
    model: Autoencoder,
    batches: Batches,
    iw_samples: int = 0,
    refinement: int = 0,
    mutual_information: bool = True,
    seed: int = 0,
    progress: Callable[[int], None] = lambda examples: None,
    widen: float = 1.0,
) -> Report:
    """−ELBO from one code per example, the IW bound (Burda et al. 2016) from ``iw_samples``, MI and active units.

    After ``refinement`` gradient steps on each example's own ELBO the bounds are tighter, by what the encoder's
    posterior falls short of the best one of its family (Kim et al. 2018; Cremer et al. 2018).

    ``widen`` makes the IW bound tighter for the same ``iw_samples``, and touches nothing else: its codes are drawn
    from the posterior with so many times its standard deviations, which is a bound on log p(x) whatever they are. A
    proposal should be no narrower than what it stands for (Owen 2013, §9.1), and a posterior that was trained at
    β < 1, as a target rate does, is: its precision is the likelihood's over β, so that β^(−1/2) is about right.

    A model that needs a label is told its own guess where the split has none: the bounds are then on log p(x|y).

    The noise of a batch is drawn from ``seed`` and its number; the caller's own random state is left as it was.
    Several processes, which all call this, take the batches in turns and return what one alone would: sums and
    mutual information are those of the whole split, up to the order of the sums. ``progress`` is called with the
    number of examples done.
    """
    training = model.training
    model.eval()
    sums, latent, n = torch.zeros(9, dtype=torch.float64), LatentStatistics(), 0
    with torch.random.fork_rng():
        for number, rows in enumerate(batches.plan()):
            n += len(rows)
            if number % distributed.size() != distributed.rank():
                continue
            torch.manual_seed(fold(seed, number))
            batch = batches.take(rows).to(model.device)
            x, y, features = batch.scored, batch.y, model.features(batch.x)
            right = labelled = torch.zeros(0)
            if model.classifier is not None and y is not None:
                labelled = y[y >= 0]
                right = model.label_logits(features).argmax(-1)[y >= 0] == labelled
            if (guess := model.guess(features)) is not None:
                y = guess if y is None else torch.where(y < 0, guess, y)
            q, p = model.posterior_of(features, y), model.prior()
            q = _refined(model, x, y, q, refinement) if refinement else q
            z = q.sample(torch.Size([1]))
            distortion, rate = -model.log_px(x, z, y)[0], kl(q, p, z)
            iw, variance = (
                _importance_weighted(model, x, y, _widened(q, widen), iw_samples) if iw_samples else (rate, rate)
            )
            units = model.likelihood.units(x).double()
            per_word = ((distortion + rate).double() / units)[units > 0]
            found = distortion, rate, iw, variance, units, per_word, units == 0, right, labelled >= 0
            sums += torch.stack([each.double().sum().cpu() for each in found])
            latent.add(q, z[0], n - len(x))
            progress(n)
        mi = latent.mutual_information() if mutual_information else math.nan
    model.train(training)
    distortion_sum, rate_sum, iw_sum, variance_sum, *counts = distributed.total(sums).tolist()
    words, per_word_sum, empty, right_sum, labelled_sum = counts
    words = max(words, 1.0)  # documents may hold none that the model knows
    iw_nll = iw_sum / n if iw_samples else None
    return Report(
        nll=(distortion_sum + rate_sum) / n,
        distortion=distortion_sum / n,
        rate=rate_sum / n,
        mi=mi,
        active_units=latent.active_units(),
        latent_size=model.prior().event_shape[0],
        perplexity=_exp((distortion_sum + rate_sum) / words),
        tokens=round(words),
        sentences=n,
        nll_iw=iw_nll,
        nll_iw_stderr=math.sqrt(variance_sum) / n if iw_samples else None,
        iw_samples=iw_samples,
        refinement=refinement,
        widen=widen,
        perplexity_iw=_exp(iw_sum / words) if iw_samples else None,
        accuracy=right_sum / labelled_sum if labelled_sum else None,
        perplexity_document=_exp(per_word_sum / max(n - empty, 1)),
        empty=round(empty),
    )


def _refined(model: Autoencoder, x: Tensor, y: Tensor | None, q: Distribution, steps: int) -> Distribution:
    """q [B] after gradient steps on the ELBO of each example; RequestError if it is no diagonal normal."""
    if not is_normal(q):
        raise RequestError(
            "Refinement moves the mean and the variance of each dimension, which this model's posterior does not have: "
            "take a model with model.posterior.name=diagonal_normal."
        )

    def loss(q: Distribution) -> Tensor:
        z = q.rsample(torch.Size([1]))
        return -model.log_px(x, z, y)[0] + kl(q, model.prior(), z)

    with frozen(model.parameters()):
        return normal(refine(loss, parameters_of(q), steps))


def _widened(q: Distribution, factor: float) -> Distribution:
    """q [B] with ``factor`` times its standard deviations; RequestError if it is no diagonal normal."""
    if factor == 1.0:
        return q
    if not is_normal(q):
        raise RequestError(
            "Only a normal posterior can be widened, and this model's is another: leave widen at 1, or take a model "
            "with model.posterior.name=diagonal_normal."
        )
    if not 0 < factor < math.inf:
        raise RequestError(f"A posterior is widened by a factor over 0; {factor} is not.")
    return Independent(Normal(q.mean, q.stddev * factor, validate_args=False), 1, validate_args=False)


def _importance_weighted(
    model: Autoencoder, x: Tensor, y: Tensor | None, q: Distribution, samples: int
) -> tuple[Tensor, Tensor]:
    """−log 1/K Σ_k p(x|z_k) p(z_k) / q(z_k|x) [B], and the variance of its estimate by the delta method [B]."""
    p = model.prior()
    samples = samples if p.event_shape[0] else 1  # of a model without a code they would all be the same
    at_once = max(1, TOKENS_AT_ONCE // x[0].numel() // len(x)) if x.dtype == torch.long else 64
    log_w = []
    for start in range(0, samples, at_once):
        z = q.sample(torch.Size([min(at_once, samples - start)]))
        log_w.append(model.log_px(x, z, y) + p.log_prob(z) - q.log_prob(z))
    w = torch.cat(log_w).double()
    share = (w - w.logsumexp(0)).exp()  # the weights, which sum to 1
    variance = ((share - 1 / samples) ** 2).sum(0)
    return math.log(samples) - w.logsumexp(0), variance


def _exp(x: float) -> float:
    return math.exp(min(x, 700.0)) if x == x else math.nan
