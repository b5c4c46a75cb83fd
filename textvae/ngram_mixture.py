"""A mixture of the word that a network expects and the one that n-grams do."""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from textvae.errors import RequestError
from textvae.likelihoods import Categorical
from textvae.ngrams import NGrams


class NGramMixture(Categorical):
    """p(w | before, z) = g · softmax(hidden)_w + (1 − g) · p_ngram(w | before) (Neubig & Dyer 2016).

    The gate g reads the hidden state, and how much the n-grams leave to shorter contexts. In training they leave out
    the very occurrence that is scored, so that the gate learns what they are worth on new text.

    N-grams are good before the network is: of the mixture's own gradient it would hardly get any, and never learn
    (Neubig & Dyer leave them out at random). So a share ``alone`` of what the network gets is the gradient of its own
    log p, and the rest that of the mixture's: at 1 it learns as if there were no n-grams.
    """

    def __init__(
        self,
        hidden_size: int,
        vocab_size: int,
        embedding: nn.Embedding | None = None,
        ngrams: NGrams | None = None,
        tied: bool = False,
        temperature: float = 1.0,
        alone: float = 1.0,
    ):
        super().__init__(hidden_size, vocab_size, embedding, tied, temperature)
        if ngrams is None:
            raise RequestError(
                "A mixture with n-grams needs their counts, which the codec makes: --set codec.ngrams=5."
            )
        if not 0 <= alone <= 1:
            raise RequestError(f"The share that a network learns alone is from 0 to 1; {alone} is not.")
        self.ngrams, self.alone = ngrams, alone
        self.reads = ngrams.order - 1
        self.gate = nn.Linear(hidden_size + self.reads, 1)

    def nll(self, hidden: Tensor, x: Tensor, mask: Tensor) -> Tensor:
        """−log p [M] of those words of x [N, T] after BOS that ``mask`` [N, T-1] takes, under hidden [N, T-1, H]."""
        own = super().nll(hidden, x, mask)
        p, left = self.ngrams(x, held_out=self.training)
        gate, log_p = self._gate(hidden[mask].detach(), left[mask]), p[mask].log()
        mixed = _mixed(own.detach(), log_p, gate)
        if not own.requires_grad:
            return mixed
        network = self.alone * own + (1 - self.alone) * _mixed(own, log_p, gate.detach())
        return mixed + network - network.detach()

    def logits(self, hidden: Tensor, before: Tensor) -> Tensor:
        """hidden [N, H] to log p of the next word [N, V]; ``before`` [N, T] are the last words, BOS included."""
        return self._log_p(super().logits(hidden, before), hidden, before)

    def stepwise_logits(self, rows: int, multiple: int) -> Callable[[Tensor, Tensor], Tensor]:
        """``logits``, for many calls without gradient of up to so many rows while the weights stay as they are."""
        own = super().stepwise_logits(rows, multiple)
        return lambda hidden, before: self._log_p(own(hidden, before), hidden, before)

    def _log_p(self, logits: Tensor, hidden: Tensor, before: Tensor) -> Tensor:
        p, left = self.ngrams.following(before)
        p = F.pad(p, (0, logits.shape[1] - p.shape[1]))  # words that fill up a block have none
        return -_mixed(-logits.log_softmax(-1), p.log(), self._gate(hidden, left)[:, None])

    def _gate(self, hidden: Tensor, left: Tensor) -> Tensor:
        """hidden [N, H] and what contexts leave [N, order − 1] to the log odds of the network [N], in float32."""
        with torch.autocast(hidden.device.type, enabled=False):
            return self.gate(torch.cat([hidden.float(), left], -1))[:, 0]


def _mixed(nll: Tensor, log_p: Tensor, gate: Tensor) -> Tensor:
    """−log p of the mixture: of the network's own −log p, the n-grams' log p, and the log odds of the network."""
    return -torch.logaddexp(F.logsigmoid(gate) - nll, F.logsigmoid(-gate) + log_p)
