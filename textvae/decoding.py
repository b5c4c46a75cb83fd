"""From codes to examples: greedy, sampled and beam decoding of whole batches."""

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from textvae.autoencoder import Autoencoder
from textvae.codecs.base import BOS, EOS, PAD, UNK
from textvae.decoders import AutoregressiveDecoder
from textvae.errors import RequestError
from textvae.likelihoods import Categorical


@dataclass(frozen=True)
class Decoding:
    """How words are chosen; for pictures and bags of words, ``sample`` draws and the others take the mean."""

    method: Literal["greedy", "sample", "beam"] = "greedy"
    temperature: float = 1.0
    top_k: int = 0  # 0: all words
    top_p: float = 1.0
    beam_size: int = 5
    max_length: int = 200

    def __post_init__(self) -> None:
        """Raise RequestError for a value out of its range."""
        if not 0 <= self.temperature < float("inf"):
            raise RequestError(f"A temperature is a number of 0 or more; {self.temperature} is not.")
        if not 0 < self.top_p <= 1:
            raise RequestError(f"top-p is a probability over 0 and up to 1; {self.top_p} is not.")
        if self.top_k < 0 or self.beam_size < 1 or self.max_length < 1:
            raise RequestError("top-k is 0 or more; a beam and a maximal length are 1 or more.")


@torch.no_grad()
def generate(model: Autoencoder, z: Tensor, decoding: Decoding) -> tuple[Tensor, Tensor]:
    """Codes z [N, Z] to x [N, …] and log p(x|z) [N] in nats, under the model as it is (temperature 1).

    Sentences come as ids BOS … EOS PAD; one whose end symbol has not come after ``max_length`` words is cut.
    """
    decoder, likelihood = model.decoder, model.likelihood
    if not isinstance(decoder, AutoregressiveDecoder) or not isinstance(likelihood, Categorical):
        hidden = decoder(z, z)
        x = likelihood.draw(hidden) if decoding.method == "sample" else likelihood.mean(hidden)
        return x, likelihood.log_prob(hidden, x)
    if not len(z):
        return z.new_full((0, 1), BOS, dtype=torch.long), z.new_zeros(0)
    if decoding.method == "beam" and decoding.beam_size > 1:
        return _beam(decoder, likelihood, z, decoding)
    return _one_by_one(decoder, likelihood, z, decoding)


def _one_by_one(
    decoder: AutoregressiveDecoder, likelihood: Categorical, z: Tensor, decoding: Decoding
) -> tuple[Tensor, Tensor]:
    """Greedy decoding and sampling; a sentence that has ended leaves the batch."""
    greedy = decoding.method != "sample" or decoding.temperature == 0
    x = torch.full((len(z), decoding.max_length + 1), PAD, device=z.device)
    x[:, 0] = BOS
    log_prob = torch.zeros(len(z), device=z.device)
    rows, tokens, state = torch.arange(len(z), device=z.device), x[:, 0], decoder.start(z)
    for t in range(1, decoding.max_length + 1):
        hidden, state = decoder.step(tokens, state)
        logits = likelihood.logits(hidden)
        tokens = _speakable(logits).argmax(-1) if greedy else _draw(_speakable(logits), decoding)
        x[rows, t] = tokens
        log_prob[rows] += logits.log_softmax(-1).gather(1, tokens[:, None])[:, 0]
        going = tokens != EOS
        if not going.all():
            rows, tokens, state = rows[going], tokens[going], tuple(s[going] for s in state)
            if not len(rows):
                break
    return x[:, : t + 1], log_prob


def _speakable(logits: Tensor) -> Tensor:
    """Logits without the symbols that are never written."""
    logits = logits.clone()
    logits[:, [PAD, BOS, UNK]] = -torch.inf
    return logits


def _draw(logits: Tensor, decoding: Decoding) -> Tensor:
    """One word per row of logits [N, V], at a temperature, among the top k and the top p."""
    # From the best word down, so that a temperature next to 0 overflows nothing.
    logits = (logits - logits.amax(-1, keepdim=True)) / max(decoding.temperature, 1e-30)
    if decoding.top_k:
        least = logits.topk(min(decoding.top_k, logits.shape[-1])).values[:, -1:]
        logits = logits.masked_fill(logits < least, -torch.inf)
    if decoding.top_p < 1:
        ranked, order = logits.sort(-1, descending=True)
        p = ranked.softmax(-1)
        ranked[p.cumsum(-1) - p >= decoding.top_p] = -torch.inf
        logits = torch.empty_like(logits).scatter_(1, order, ranked)
    return logits.softmax(-1).multinomial(1)[:, 0]


def _beam(
    decoder: AutoregressiveDecoder, likelihood: Categorical, z: Tensor, decoding: Decoding
) -> tuple[Tensor, Tensor]:
    """Beam search over the whole batch: the most probable sentence that K hypotheses find.

    Scores only fall as a sentence grows, so a code is done, and leaves, when its best hypothesis has ended.
    """
    n, k, length = len(z), decoding.beam_size, decoding.max_length + 1
    out = torch.full((n, length), PAD, device=z.device)
    best = torch.zeros(n, device=z.device)
    rows = torch.arange(n, device=z.device)  # which code each group of K hypotheses belongs to
    x = torch.full((n, k, length), PAD, device=z.device)
    x[:, :, 0] = BOS
    scores = torch.full((n, k), -torch.inf, device=z.device)
    scores[:, 0] = 0.0  # all hypotheses are the same at first: only one counts
    state = tuple(s.repeat_interleave(k, 0) for s in decoder.start(z))
    for t in range(1, length):
        ended = (x[:, :, t - 1] == EOS) | (x[:, :, t - 1] == PAD)
        hidden, state = decoder.step(x[:, :, t - 1].flatten(), state)
        logits = likelihood.logits(hidden)
        step = logits.log_softmax(-1).masked_fill(_speakable(logits).isinf(), -torch.inf)
        step = step.view(len(rows), k, -1)
        only_pad = torch.full_like(step[:1, :1], -torch.inf)
        only_pad[..., PAD] = 0.0
        total = scores[..., None] + torch.where(ended[..., None], only_pad, step)
        scores, flat = total.flatten(1).topk(k, -1)
        parent, word = flat // step.shape[-1], flat % step.shape[-1]
        x = x.gather(1, parent[..., None].expand_as(x))
        x[:, :, t] = word
        chosen = (torch.arange(len(rows), device=z.device)[:, None] * k + parent).flatten()
        done = (x[:, 0, t] == EOS) | (x[:, 0, t] == PAD) | (t == length - 1)
        out[rows[done]], best[rows[done]] = x[done, 0], scores[done, 0]
        going = ~done
        if not going.any():
            break
        keep = going.repeat_interleave(k)
        rows, x, scores = rows[going], x[going], scores[going]
        # The survivors' states, in the order of their new hypotheses.
        state = tuple(s[chosen[keep]] for s in state)
    return out[:, : t + 1], best
