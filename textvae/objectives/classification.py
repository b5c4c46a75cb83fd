"""Labels alone: the encoder as a classifier, from a random start or from a trained one (Hinton et al. 2006, §6)."""

from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F

from textvae.autoencoder import Autoencoder
from textvae.batching import Batch
from textvae.distributed import mean
from textvae.objectives.base import Objective, Terms, kl, need_classifier

if TYPE_CHECKING:
    from textvae.evaluation.bounds import Report


class Classification(Objective):
    """loss = −log q(y|x), the mean over what is labelled.

    The classifier reads the mean of the code, whose layer is the last hidden one: with logistic codes this is the
    network that layer-wise pre-training was first for, and ``model.encoder_from`` names what it begins with (Bengio
    et al. 2007; Rifai et al. 2011). The decoder is not trained; distortion and rate are only reported.
    """

    def attach(self, model: Autoencoder) -> None:
        """Refuse a model that tells no labels."""
        need_classifier(model, "Classification")

    def forward(self, model: Autoencoder, batch: Batch, progress: float) -> Terms:
        """The terms at the code's mean, with the classifier's loss for the loss."""
        features = model.features(batch.x)
        y = torch.full((len(features),), -1, device=features.device) if batch.y is None else batch.y
        wrong = F.cross_entropy(model.label_logits(features), y, ignore_index=-1, reduction="none")
        loss = mean(wrong) / mean((y >= 0).float()).clamp(min=1e-9)  # a ratio of means over the whole batch
        with torch.no_grad():
            q = model.posterior_of(features, batch.y)
            distortion, rate = -model.log_px(batch.scored, q.mean[None], batch.y)[0], kl(q, model.prior())
        return Terms(loss, distortion, rate, 0.0)

    def compared(self, report: "Report") -> float:
        """The share of the labels that is told wrong."""
        return super().compared(report) if report.accuracy is None else 1 - report.accuracy
