"""A lagging encoder is trained more aggressively than the decoder, until it no longer lags (He et al. 2019)."""

import math
from collections.abc import Callable, Iterable

import torch
from torch import Tensor, nn
from torch.distributions import Distribution

from textvae.autoencoder import Autoencoder
from textvae.batching import Batch
from textvae.distributed import mean
from textvae.errors import RequestError
from textvae.objectives.base import Objective, Terms, need_code
from textvae.objectives.elbo import ELBO
from textvae.schedules import Linear, Schedule


class Lagging(Objective):
    """The ELBO, its steps taken in turns: the encoder's until they stop helping, then one of the decoder.

    He et al. (2019), algorithm 1. The encoder's turn ends when the loss per word over ``window`` steps is no
    lower than over the ``window`` before, or after ``limit`` steps. Once the mutual information of x and z
    stops rising, the turns are over, and what follows is the plain ELBO.

    Three differences from the paper. A step of the encoder counts as a step of the run and reads the next batch,
    so that an epoch holds fewer steps of the decoder while the turns last. The mutual information is not that of
    the validation split after each epoch, which an objective does not see, but its mean over the training batches
    of each ``share`` of the run, estimated within the batch (within each process's part of it): it cannot exceed
    ln(batch size). And it has stopped rising after ``patience`` such shares without a new highest mean, not after
    one: while the code carries next to nothing, which of two estimates is the higher one is chance.
    """

    aggressive: Tensor
    encoder_turn: Tensor
    sums: Tensor
    before: Tensor
    compare_at: Tensor

    def __init__(
        self,
        schedule: Schedule | None = None,
        window: int = 10,
        limit: int = 100,
        share: float = 0.03,
        patience: int = 3,
    ):
        super().__init__()
        if window < 1 or limit < window:
            raise RequestError(f"The encoder's turn is a window of 1 step or more, within its limit; {window} is not.")
        if not 0 < share <= 1:
            raise RequestError(f"The share of the run between two estimates is over 0 and at most 1; {share} is not.")
        if patience < 1:
            raise RequestError(f"Patience is 1 estimate or more; {patience} is too few.")
        self.schedule, self.patience = schedule or Linear(0.3, start=0.1), patience
        self.elbo, self.window, self.limit, self.share = ELBO(self.schedule), window, limit, share
        self.register_buffer("aggressive", torch.tensor(True))
        self.register_buffer("encoder_turn", torch.tensor(True))
        # In this turn: steps, loss and units; since the last comparison: mutual information and batches.
        self.register_buffer("sums", torch.zeros(5, dtype=torch.float64))
        # The mean loss of the window before; the highest mean information, and how many are not above it since.
        self.register_buffer("before", torch.tensor([math.inf, -math.inf, 0.0], dtype=torch.float64))
        self.register_buffer("compare_at", torch.zeros((), dtype=torch.float64))

    def attach(self, model: Autoencoder) -> None:
        """Refuse a model without a code, whose encoder has nothing to lag with."""
        need_code(model, "A lagging encoder")

    def forward(self, model: Autoencoder, batch: Batch, progress: float) -> Terms:
        """The terms of the ELBO; while the turns last, what they are decided by is gathered."""
        if not self.training or not self.aggressive:
            return self.elbo(model, batch, progress)
        q = model.posterior(batch.x, batch.y)
        terms, z = self.elbo.terms(model, batch, q, progress)
        with torch.no_grad():
            loss, units = terms.loss.detach(), model.likelihood.units(batch.scored).double().mean()
            found = [torch.ones_like(loss), loss, units, mutual_information(q, z), torch.ones_like(loss)]
            self.sums += mean(torch.stack([value.double() for value in found])[None])
        return terms

    def begin_step(
        self, model: Autoencoder, progress: float, fresh: Callable[[], Autoencoder]
    ) -> Iterable[nn.Parameter]:
        """Decide whose step this is, and whether the turns are over."""
        if not self.aggressive:
            return ()
        if progress >= float(self.compare_at):
            self._compare()
            self.compare_at.fill_(progress + self.share)
        steps, loss, units = self.sums[:3].tolist()
        if not self.encoder_turn:  # the decoder has had its step
            self._turn(True)
        elif steps >= self.limit:
            self._turn(False)
        elif steps and steps % self.window == 0:
            mean = loss / max(units, 1.0)
            if mean >= float(self.before[0]):
                self._turn(False)
            else:
                self.before[0] = mean
                self.sums[1:3] = 0
        return ()

    def _compare(self) -> None:
        """End the turns if the mutual information has stopped rising."""
        information, batches = self.sums[3:].tolist()
        if batches:
            mean = information / batches
            if mean > float(self.before[1]):
                self.before[1:] = torch.tensor([mean, 0.0])
            else:
                self.before[2] += 1
                self.aggressive.fill_(bool(self.before[2] < self.patience))
        self.sums[3:] = 0

    def _turn(self, of_encoder: bool) -> None:
        self.encoder_turn.fill_(of_encoder)
        self.sums[:3] = 0
        self.before[0] = math.inf

    def held_back(self, model: Autoencoder, progress: float) -> Iterable[nn.Parameter]:
        """The decoder, likelihood and prior in the encoder's turn, the encoder and posterior in the decoder's."""
        if not self.aggressive:
            return []
        generative: list[nn.Module] = [model.decoder, model.likelihood, model.prior]
        parts = generative if self.encoder_turn else [model.encoder, model.posterior_head]
        return [parameter for part in parts for parameter in part.parameters()]


def mutual_information(q: Distribution, z: Tensor) -> Tensor:
    """I(x; z) [] in nats within a batch of q [B] and a code of each, z [B, Z]: E log q(z|x) − log 1/B Σ_x q(z|x)."""
    every = q.log_prob(z[:, None])  # [B, B]: each code under each posterior
    return (every.diagonal() - every.logsumexp(1) + math.log(len(z))).mean()
