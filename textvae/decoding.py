"""From codes to examples: greedy, sampled and beam decoding of whole batches."""

from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from textvae.autoencoder import Autoencoder
from textvae.codecs.base import BOS, EOS, PAD
from textvae.decoders import AutoregressiveDecoder
from textvae.errors import RequestError
from textvae.likelihoods import Categorical

BLOCK = 128  # words: long rows are searched in two stages, the best block and then the word in it
ROUND = {"cpu": 1}  # words between two looks at which sentences have ended: a look waits for the device


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
def generate(model: Autoencoder, z: Tensor, decoding: Decoding, source: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """Codes z [N, Z] to x [N, …] and log p(x|z) [N] in nats, under the model as it is (temperature 1).

    Sentences come as ids BOS … EOS PAD; one whose end symbol has not come after ``max_length`` words is cut.
    ``source`` [N, …] is what z are the codes of; RequestError where it is missing and the decoder reads it (switches).
    """
    decoder, likelihood = model.decoder, model.likelihood
    if not isinstance(decoder, AutoregressiveDecoder) or not isinstance(likelihood, Categorical):
        hidden = decoder(z, z if source is None else source)
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
    """Greedy decoding and sampling; sentences that have ended leave the batch, at the end of a round."""
    greedy = decoding.method != "sample" or decoding.temperature == 0
    x = torch.full((len(z), decoding.max_length + 1), PAD, device=z.device)
    x[:, 0] = BOS
    log_prob = torch.zeros(len(z), device=z.device)
    step, logits = decoder.stepper(len(z)), likelihood.stepwise_logits(len(z), BLOCK)
    rows, tokens, state = torch.arange(len(z), device=z.device), x[:, 0], decoder.start(z)
    going = torch.ones_like(rows, dtype=torch.bool)
    for t in range(1, decoding.max_length + 1):
        hidden, state = step(tokens, state)
        words, log_p = _choose(logits(hidden, x[rows, max(0, t - likelihood.reads) : t]), greedy, decoding)
        tokens = words[:, 0].where(going, PAD)
        x[rows, t] = tokens
        log_prob[rows] += log_p[:, 0].where(going, 0.0)
        going = going & (tokens != EOS)
        if _round_ends(t, z.device) and not going.all():
            rows, tokens, state = rows[going], tokens[going], tuple(s[going] for s in state)
            if not len(rows):
                break
            going = going[going]
    return x[:, : t + 1], log_prob


def _round_ends(t: int, device: torch.device) -> bool:
    """Whether it is time, after t words, to look at which sentences have ended."""
    return t % ROUND.get(device.type, 8) == 0


def _choose(logits: Tensor, greedy: bool, decoding: Decoding) -> tuple[Tensor, Tensor]:
    """A word for each row of logits [N, V], which are changed, and its log p under the model as it is, both [N, 1]."""
    if not greedy and (decoding.temperature != 1 or decoding.top_k or decoding.top_p < 1):
        log_p = _speakable(logits)
        words = _draw(log_p, decoding)
        return words, log_p.gather(1, words)
    silent = logits[:, :EOS].logsumexp(-1, keepdim=True)
    logits[:, :EOS] = -torch.inf
    p = logits.softmax(-1)  # of what can be written: the normaliser of all words is the one of these and of the silent
    words = _top(logits, 1)[1] if greedy else _draw_any(p)
    score = logits.gather(1, words)
    return words, score - torch.logaddexp(score - p.gather(1, words).log(), silent)


def _speakable(logits: Tensor) -> Tensor:
    """log p of the words [N, V] under the model as it is; -inf for PAD, UNK and BOS, which are never written."""
    log_p = logits.log_softmax(-1)
    log_p[:, :EOS] = -torch.inf
    return log_p


def _blocks(scores: Tensor, fill: float) -> Tensor:
    """Scores [N, V] as [N, blocks, BLOCK], filled up at the end."""
    missing = -scores.shape[-1] % BLOCK
    return (F.pad(scores, (0, missing), value=fill) if missing else scores).unflatten(-1, (-1, BLOCK))


def _top(scores: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """The k best of scores [N, V] and their words, both [N, k]: they stand in the k blocks with the best maxima."""
    blocks = _blocks(scores, -torch.inf)
    if k >= blocks.shape[1]:
        return scores.topk(min(k, scores.shape[-1]))
    best = blocks.amax(-1).topk(k).indices
    values, places = blocks.gather(1, best[..., None].expand(-1, -1, BLOCK)).flatten(1).topk(k)
    return values, best.gather(1, places // BLOCK) * BLOCK + places % BLOCK


def _draw(log_p: Tensor, decoding: Decoding) -> Tensor:
    """One word per row of log_p [N, V], at a temperature, among the top k and the top p; [N, 1]."""
    if decoding.temperature != 1:
        log_p = log_p / max(decoding.temperature, 1e-30)  # log p is at most 0: a smaller one overflows nothing
    if not decoding.top_k and decoding.top_p == 1:
        return _draw_any(log_p.softmax(-1))
    ranked, order = _top(log_p, decoding.top_k or log_p.shape[-1])
    p = ranked.softmax(-1)
    if decoding.top_p < 1:
        p[p.cumsum(-1) - p >= decoding.top_p] = 0.0
    return order.gather(1, _pick(p))


def _draw_any(p: Tensor) -> Tensor:
    """One word per row of p [N, V]: its block, then the word in it; [N, 1]."""
    blocks = _blocks(p, 0.0)
    block = _pick(blocks.sum(-1))
    return block * BLOCK + _pick(blocks.gather(1, block[..., None].expand(-1, -1, BLOCK))[:, 0])


def _pick(p: Tensor) -> Tensor:
    """One place per row of p [N, M] with a probability in proportion to it, never one where p is 0; [N, 1].

    By the inverse of the distribution function, from one random number a row: ``multinomial`` draws one a word.
    """
    total = p.cumsum(-1, dtype=torch.float64)
    u = torch.rand(len(p), 1, dtype=torch.float64, device=p.device) * total[:, -1:]
    return torch.searchsorted(total, u, right=True)


def _beam(
    decoder: AutoregressiveDecoder, likelihood: Categorical, z: Tensor, decoding: Decoding
) -> tuple[Tensor, Tensor]:
    """Beam search over the whole batch: the most probable sentence that K hypotheses find.

    Scores only fall as a sentence grows, so a code is done when its best hypothesis has ended, and may leave.
    """
    n, k, length = len(z), decoding.beam_size, decoding.max_length + 1
    out = torch.full((n, length), PAD, device=z.device)
    best = torch.zeros(n, device=z.device)
    rows = torch.arange(n, device=z.device)  # which code each group of K hypotheses belongs to
    x = torch.full((n, 1, length), PAD, device=z.device)  # one hypothesis at first: BOS
    x[:, :, 0] = BOS
    scores = torch.zeros(n, 1, device=z.device)
    step, logits = decoder.stepper(n * k), likelihood.stepwise_logits(n * k, BLOCK)
    state = decoder.start(z)
    for t in range(1, length):
        ended = (x[:, :, t - 1] == EOS) | (x[:, :, t - 1] == PAD)
        hidden, state = step(x[:, :, t - 1].flatten(), state)
        before = x[:, :, max(0, t - likelihood.reads) : t].flatten(0, 1)
        # The best K of all the continuations are among the best K of each hypothesis; [N, ≤K, ≤K].
        values, words = (part.view(*scores.shape, -1) for part in _top(_speakable(logits(hidden, before)), k))
        values[ended] = -torch.inf
        words[values.isinf()] = PAD  # where so few words can follow, and after the end
        values[..., 0].masked_fill_(ended, 0.0)  # what has ended goes on, as it is, in one way
        first = torch.arange(len(rows), device=z.device)[:, None] * scores.shape[1]  # of each group
        total = (scores[..., None] + values).flatten(1)
        scores, flat = total.topk(min(k, total.shape[1]))
        parent, word = flat // words.shape[-1], words.flatten(1).gather(1, flat)
        x = x.gather(1, parent[..., None].expand(-1, -1, length))
        x[:, :, t] = word
        if not _round_ends(t, z.device) and t < length - 1:
            state = tuple(s[(first + parent).flatten()] for s in state)
            continue
        done = (x[:, 0, t] == EOS) | (x[:, 0, t] == PAD) | (t == length - 1)
        out[rows[done]], best[rows[done]] = x[done, 0], scores[done, 0]
        going = ~done
        if not going.any():
            break
        chosen = (first + parent)[going].flatten()  # the survivors' states, in the order of their new hypotheses
        rows, x, scores = rows[going], x[going], scores[going]
        state = tuple(s[chosen] for s in state)
    return out[:, : t + 1], best
