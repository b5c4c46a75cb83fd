"""Few labels, many examples: a bound on log p(x, y) where y is known, else on log p(x) (Kingma et al. 2014)."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from textvae.autoencoder import Autoencoder
from textvae.batching import Batch
from textvae.distributed import mean
from textvae.objectives.base import Objective, Terms, kl, need_classifier
from textvae.schedules import Schedule


class SemiSupervised(Objective):
    """loss = distortion + β · rate + ``weight`` · −log q(y|x), the last on labelled examples.

    A model that is told labels (``model.labels = "both"``) is their M2. Where y is known, the terms are those of
    −L(x, y) (eq. 6); where not, those of −U(x) = Σ_y q(y|x) −L(x, y) − H(q(y|x)) (eq. 7), every label tried and
    weighed. p(y) is uniform; what y costs counts as rate, so that distortion + rate bounds −log p(x, y) or
    −log p(x). A model that only tells labels (``"predict"``) has a label head on its code instead: the ELBO and
    the classifier's loss train one encoder together, so that codes of a class lie together.
    """

    def __init__(self, weight: float = 10.0, schedule: Schedule | None = None):
        super().__init__()
        self.weight, self.schedule = weight, schedule or self.schedule

    def attach(self, model: Autoencoder) -> None:
        """Refuse a model that tells no labels."""
        need_classifier(model, "Semi-supervised learning")

    def forward(self, model: Autoencoder, batch: Batch, progress: float) -> Terms:
        """The terms, with the classifier's loss in the loss."""
        features = model.features(batch.x)
        y = torch.full((len(features),), -1, device=features.device) if batch.y is None else batch.y
        logits = model.label_logits(features)
        if model.condition.classes:
            distortion, rate = _bounds(model, batch.scored, y, features, logits)
        else:
            distortion, rate = _terms(model, batch.scored, features, None)
        # The mean over what is labelled, as a ratio of means over the batch: of the whole one, if processes divide it.
        known = mean(F.cross_entropy(logits, y, ignore_index=-1, reduction="none"))
        known = known / mean((y >= 0).float()).clamp(min=1e-9)
        beta = self.schedule(progress)
        return Terms((distortion + beta * rate).mean() + self.weight * known, distortion, rate, beta)


def _terms(model: Autoencoder, x: Tensor, features: Tensor, y: Tensor | None) -> tuple[Tensor, Tensor]:
    """Distortion and rate [N] of x [N, …] under the posterior of its features and labels."""
    q = model.posterior_of(features, y)
    z = q.rsample(torch.Size([1]))
    return -model.log_px(x, z, y)[0], kl(q, model.prior(), z)


def _bounds(model: Autoencoder, x: Tensor, y: Tensor, features: Tensor, logits: Tensor) -> tuple[Tensor, Tensor]:
    """Distortion and rate [B]: at the label that is known, or in expectation over q(y|x), with KL(q(y|x) ‖ p(y))."""
    classes = logits.shape[-1]
    unknown = (y < 0)[:, None]
    log_q = logits.log_softmax(-1)
    share = torch.where(unknown, log_q.exp(), F.one_hot(y.clamp(min=0), classes))
    # Every pair (example, label) that counts is a row: one of a labelled example, all of an unlabelled one.
    row, label = (share > 0).nonzero(as_tuple=True)
    distortion, rate = (
        torch.zeros_like(share).index_put((row, label), term) for term in _terms(model, x[row], features[row], label)
    )
    entropy = torch.where(unknown, -(share * log_q), 0.0).sum(-1)
    return (share * distortion).sum(-1), (share * rate).sum(-1) + math.log(classes) - entropy
