"""Filling blanks in a sentence: the words that make the whole sentence most probable under the model itself.

The words of a blank depend on what stands on both sides of it. The decoder reads from left to right; what it knows
of the right side it knows by z. So codes and words are found in turns, as in imputation by a Markov chain between
q(z|x) and p(x|z) (Rezende et al. 2014, appendix F; Mattei & Frellsen 2018): a code proposes fillings by a beam search
in which the known words are forced, and the fillings give the next codes. Proposals of all turns are judged together,
by the importance-weighted bound on log p(x) of the whole sentence.
"""

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from textvae.autoencoder import Autoencoder
from textvae.codecs.base import BOS, EOS, PAD
from textvae.codecs.tokens import TokenCodec
from textvae.decoders import AutoregressiveDecoder
from textvae.decoders.base import State
from textvae.errors import RequestError
from textvae.likelihoods import Categorical
from textvae.text_vae import TextVAE

BLANK = re.compile("_{3,}")
MARGIN = 12.0  # nats behind the best at which a hypothesis is given up
ROWS = 512  # sentences in a batch


class Completion(NamedTuple):
    """A sentence with its blanks filled, what was put in each, and a bound on log p(x) of the sentence in nats."""

    text: str
    words: list[str]
    log_prob: float


@dataclass(frozen=True)
class Imputation:
    """How blanks are filled."""

    max_words: int = 2  # in a blank
    max_tokens: int = 4  # in a blank
    beam_size: int = 16
    codes: int = 4  # that propose fillings in each turn
    turns: int = 3
    iw_samples: int = 64  # codes per sentence of the bound

    def __post_init__(self) -> None:
        """Raise RequestError for a value out of its range."""
        if min(self.max_words, self.max_tokens, self.beam_size, self.codes, self.turns, self.iw_samples) < 1:
            raise RequestError("Words, tokens, hypotheses, codes, turns and samples are 1 or more.")


def parts_of(text: str) -> list[str]:
    """What stands around the blanks: one part more than there are blanks.

    Raises RequestError where there is no blank, or where one touches a word that it would be a piece of.
    """
    parts = BLANK.split(text)
    if len(parts) == 1:
        raise RequestError('There is no blank to fill: write ___ where words are missing, as in "the ___ sat down".')
    for left, right in pairwise(parts):
        touching = [char for char in (left[-1:], right[:1]) if char.islower() or char.isupper() or char.isdigit()]
        if touching:
            raise RequestError(f"A blank stands for whole words: put a space between ___ and {touching[0]!r}.")
    return parts


@torch.no_grad()
def impute(
    vae: TextVAE, text: str, n: int = 5, how: Imputation | None = None, seed: int | None = 0
) -> list[Completion]:
    """The ``n`` best ways to fill the blanks of ``text`` (``___``), each a word or a few, the best first.

    There may be fewer, where the search finds fewer. A language model (without a code) does it as well, by log p(x)
    itself. Raises RequestError for a text without a blank, and for a model that does not write word by word.
    """
    how = how or Imputation()
    parts = parts_of(text)
    with torch.random.fork_rng(enabled=seed is not None):
        if seed is not None:
            torch.manual_seed(seed)
        search = _Search(vae, parts, how)
        found: dict[tuple[str, ...], float] = {}
        z = search.first_codes()
        for _ in range(how.turns):
            new = [words for words in search.proposals(z) if words not in found]
            found |= zip(new, search.bounds(new, min(4, how.iw_samples)).tolist())
            best = sorted(found, key=lambda words: -found[words])
            if not new or not z.shape[1]:  # without a code there is but one turn
                break
            z = search.codes_of(best[: how.codes])
        best = best[: 2 * n + 8]  # few samples rank the many, many samples the few
        scores = search.bounds(best, how.iw_samples).tolist()
    ranked = sorted(zip(best, scores), key=lambda pair: -pair[1])[:n]
    return [Completion(search.fill(words), list(words), score) for words, score in ranked]


class _Beam(NamedTuple):
    """Hypotheses: what the decoder remembers before ``last`` is read, and what stands in the blanks so far."""

    state: State
    last: Tensor  # [N, W] the words that the likelihood is told, of which the decoder reads the last one
    score: Tensor  # [N] log p of what was read or is to be read
    owner: Tensor  # [N] the code that each belongs to
    fills: list[tuple[str, ...]]

    def take(self, rows: Tensor) -> "_Beam":
        return _Beam(
            tuple(s[rows] for s in self.state),
            self.last[rows],
            self.score[rows],
            self.owner[rows],
            [self.fills[i] for i in rows.tolist()],
        )


class _Search:
    """The search for one text under one model."""

    def __init__(self, vae: TextVAE, parts: Sequence[str], how: Imputation):
        model, codec = vae.model.eval(), vae.codec
        decoder, likelihood = model.decoder, model.likelihood
        if (
            not isinstance(codec, TokenCodec)
            or not isinstance(decoder, AutoregressiveDecoder)
            or not isinstance(likelihood, Categorical)
        ):
            raise RequestError("Blanks are filled by models that write word by word, and this model does not.")
        self.model: Autoencoder = model
        self.decoder, self.likelihood, self.codec = decoder, likelihood, codec
        self.device, self.parts, self.how = model.device, parts, how
        self.anchor = codec.ids(["a"])[0]
        first, *others = parts
        for part in parts[:-1]:
            if part and not part[-1].isspace() and not self._kinds[1].any():
                raise _touching(part[-1])
        self.known = [codec.ids([first])[0], *map(self._continued, others)]
        room = codec.max_length - sum(map(len, self.known))
        if room < len(others):
            raise RequestError(
                f"The text is too long: this model writes up to {codec.max_length} tokens, and "
                f"{len(others)} blanks need more. Shorten it."
            )

    def _continued(self, part: str) -> list[int]:
        """The tokens of what follows a blank, which no space may part from it."""
        if not part or part[0].isspace():
            return self.codec.ids([part])[0]
        ids, n = self.codec.ids(["a" + part])[0], len(self.anchor)
        if ids[:n] != self.anchor or self.codec.text(ids)[len(self.codec.text(self.anchor)) :][:1] in ("", " "):
            raise _touching(part[0])
        return ids[n:]

    def fill(self, words: Sequence[str]) -> str:
        """The text with ``words`` in its blanks."""
        return self.parts[0] + "".join(word + part for word, part in zip(words, self.parts[1:]))

    def first_codes(self) -> Tensor:
        """Codes [S, Z] to begin with: of the text without its blanks, and draws from its posterior and the prior."""
        size, bare = self.how.codes, " ".join(" ".join(self.parts).split())
        prior = self.model.prior().sample(torch.Size([size]))
        if not prior.shape[1]:
            return prior[:1]
        if not bare:
            return prior
        q = self.model.posterior(self._batch([bare]))
        return torch.cat([q.mean, q.sample(), prior])[:size]

    def codes_of(self, fillings: Sequence[tuple[str, ...]]) -> Tensor:
        """A draw from the posterior [S, Z] of each filled text, but of the first its mean."""
        q = self.model.posterior(self._batch([self.fill(words) for words in fillings]))
        return torch.cat([q.mean[:1], q.sample()[1:]])

    def bounds(self, fillings: Sequence[tuple[str, ...]], samples: int) -> Tensor:
        """log 1/K Σ_k p(x|z_k) p(z_k) / q(z_k|x) [N] of the filled texts (Burda et al. 2016)."""
        each = max(1, ROWS // samples)
        found = [torch.zeros(0, device=self.device)]
        prior = self.model.prior()
        for start in range(0, len(fillings), each):
            x = self._batch([self.fill(words) for words in fillings[start : start + each]])
            q = self.model.posterior(x)
            z = q.sample(torch.Size([samples if self.model.prior().event_shape[0] else 1]))
            log_w = self.model.log_px(x, z) + prior.log_prob(z) - q.log_prob(z)
            found.append(log_w.logsumexp(0) - torch.tensor(float(len(z))).log())
        return torch.cat(found)

    def proposals(self, z: Tensor) -> list[tuple[str, ...]]:
        """Fillings that a beam search finds at codes z [S, Z], the best first, each once."""
        n = len(z)
        beam = _Beam(
            self.decoder.start(self.model.condition(z, None)),
            F.pad(torch.full((n, 1), BOS, device=self.device), (max(1, self.likelihood.reads) - 1, 0), value=PAD),
            torch.zeros(n, device=self.device),
            torch.arange(n, device=self.device),
            [()] * n,
        )
        beam = self._force(beam, self.known[0])
        for number in range(1, len(self.parts)):
            before, end = self.parts[number - 1], [EOS] if number == len(self.parts) - 1 else []
            beam = self._blank(beam, spaced=not before or before[-1].isspace())
            if not beam.fills:
                return []
            beam = self._best(self._force(beam, self.known[number] + end))
        order = beam.score.sort(descending=True, stable=True).indices.tolist()
        kept = [beam.fills[i] for i in order]
        short = [words for words in kept if not self.codec.truncated(self.fill(words))]
        return list(dict.fromkeys(short))

    def _read(self, beam: _Beam) -> tuple[Tensor, State]:
        """log p of the next token [N, V], and the state that comes with it."""
        hidden, state = self.decoder.step(beam.last[:, -1], beam.state)
        return self.likelihood.logits(hidden, beam.last).log_softmax(-1), state

    def _force(self, beam: _Beam, tokens: Sequence[int]) -> _Beam:
        """Let each hypothesis go on with known tokens."""
        for token in tokens:
            log_p, state = self._read(beam)
            last = F.pad(beam.last[:, 1:], (0, 1), value=token)
            beam = beam._replace(state=state, last=last, score=beam.score + log_p[:, token])
        return beam

    def _blank(self, beam: _Beam, spaced: bool) -> _Beam:
        """Hypotheses with a word or a few in the next blank, the best of each number of tokens."""
        first, glued, later = self._kinds
        beam = beam._replace(fills=[(*fills, "") for fills in beam.fills])
        ended: list[_Beam] = []
        for i in range(self.how.max_tokens):
            log_p, state = self._read(beam)
            if i:
                full = [len(fills[-1].split()) >= self.how.max_words for fills in beam.fills]
                allowed = torch.where(torch.tensor(full, device=self.device)[:, None], later, first | later)
            else:
                allowed = first if spaced else glued
            total = beam.score[:, None] + log_p.masked_fill(~allowed, -torch.inf)
            rows, tokens = self._choose(total, beam.owner)
            beam = beam._replace(state=state).take(rows)
            fills = [(*f[:-1], f[-1] + self._spelling[t]) for f, t in zip(beam.fills, tokens.tolist())]
            last = torch.cat([beam.last[:, 1:], tokens[:, None]], 1)
            beam = beam._replace(last=last, score=total[rows, tokens], fills=fills)
            whole = [k for k, f in enumerate(fills) if all(map(_word, f[-1].split()))]
            ended.append(beam.take(torch.tensor(whole, dtype=torch.long, device=self.device)))
            if not len(rows):
                break
        done = [b._replace(fills=[(*f[:-1], f[-1].strip()) for f in b.fills]) for b in ended]
        states = zip(*(b.state for b in done))
        return _Beam(
            tuple(torch.cat(parts) for parts in states),
            torch.cat([b.last for b in done]),
            torch.cat([b.score for b in done]),
            torch.cat([b.owner for b in done]),
            [fills for b in done for fills in b.fills],
        )

    def _choose(self, total: Tensor, owner: Tensor) -> tuple[Tensor, Tensor]:
        """Rows and tokens of the best continuations of each code, among total [N, V]."""
        rows, tokens = [owner[:0]], [owner[:0]]
        for code in owner.unique():
            mine = (owner == code).nonzero()[:, 0]
            scores = total[mine].flatten()
            best = scores.topk(min(self.how.beam_size, len(scores)))
            kept = best.indices[(best.values > best.values[0] - MARGIN) & best.values.isfinite()]
            rows.append(mine[kept // total.shape[1]])
            tokens.append(kept % total.shape[1])
        return torch.cat(rows), torch.cat(tokens)

    def _best(self, beam: _Beam) -> _Beam:
        """The best hypotheses of each code, once what follows the blank has been read."""
        return beam.take(self._choose(beam.score[:, None], beam.owner)[0])

    def _batch(self, texts: Sequence[str]) -> Tensor:
        return self.codec.collate(self.codec.encode(texts)).to(self.device)

    @cached_property
    def _spelling(self) -> list[str]:
        """What each token adds to a text, its space before it included."""
        start = len(self.codec.text(self.anchor))
        return [self.codec.text([*self.anchor, i])[start:] if i > EOS else "" for i in range(self.codec.vocab_size)]

    @cached_property
    def _kinds(self) -> tuple[Tensor, Tensor, Tensor]:
        """Which tokens [V] may begin a word after a space, which after a quote or bracket, which may go on with one."""
        words = [text.removeprefix(" ") for text in self._spelling]
        usable = [bool(word) and all(map(_letter, word)) for word in words]
        spaced = {text for text in self._spelling if text.startswith(" ")}
        begins = [ok and text in spaced for ok, text in zip(usable, self._spelling)]
        later = [ok and text not in spaced for ok, text in zip(usable, self._spelling)]
        glued = [ok and f" {text}" in spaced for ok, text in zip(later, self._spelling)]  # not the end of a word
        return (
            torch.tensor(begins, device=self.device),
            torch.tensor(glued, device=self.device),
            torch.tensor(later, device=self.device),
        )


def _letter(char: str) -> bool:
    """Whether a character may stand in a word: letters, their marks, digits, apostrophes and hyphens."""
    return char in "'’-" or unicodedata.category(char)[0] in "LMN"


def _word(text: str) -> bool:
    """Whether letters make a word: not hyphens and apostrophes alone, and no hyphen at an end."""
    return any(map(str.isalnum, text)) and not text.startswith("-") and not text.endswith("-")


def _touching(char: str) -> RequestError:
    return RequestError(f"This model reads words between spaces: put a space between ___ and {char!r}.")
