"""What is measured of documents: their topics, the unigram model beside them, and the codes by which they are found."""

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from textvae.autoencoder import Autoencoder
from textvae.batching import Batches, Examples
from textvae.errors import RequestError
from textvae.likelihoods import Multinomial

COHERENT, DIVERSE = 10, 25  # words of a topic: Lau et al. (2014), Dieng et al. (2020)
AT_ONCE = 4096  # documents
LAMBDA = 0.6  # at which people told topics apart best (Sievert & Shirley 2014, §4)


class Topics(NamedTuple):
    """What each unit of the code says of words, beside what is said without any."""

    words: Tensor  # [K, V] the word distribution of a document that is all about it
    background: Tensor  # [V] that of the code 0
    weight: float = LAMBDA  # λ, what a word's own probability counts for in its rank

    def relevance(self) -> Tensor:
        """By what words are ranked [K, V]: λ log p(w|k) + (1 − λ) log p(w|k) / p(w) (Sievert & Shirley 2014, eq. 1)."""
        return self.words.log() - (1 - self.weight) * self.background.log()

    def first(self, n: int) -> Tensor:
        """The ids [K, n] of the most relevant words; of a smaller vocabulary, all of it in order."""
        return first_words(self.relevance(), n)


@torch.no_grad()
def topics(model: Autoencoder) -> Topics:
    """The topics of a model, in evaluation mode; where its code is no shares, words are ranked by lift alone (λ = 0).

    Under batch norm the decoder's weights alone do not rank words, since each word's are of a scale of their own.
    Raises RequestError for a model with layers between the code and the words, or whose x are not counts.
    """
    likelihood = model.likelihood
    if not (model.decoder.topical and isinstance(likelihood, Multinomial)):
        raise RequestError(
            "This model has no topics: layers of its decoder stand between the code and the words, or it does not "
            "count words. Train one with --recipe documents/prodlda, documents/nvlda, documents/nvdm or documents/vae."
        )
    training = model.training
    model.eval()
    zero = torch.zeros(1, model.prior().event_shape[0], device=model.device)
    # A unit of a real code at 1 does not fill a document: only what it changes tells it from the others.
    weight = LAMBDA if model.decoder.simplex else 0.0
    found = Topics(likelihood.topics(), likelihood.mean(model.decoder(zero, zero))[0], weight)
    model.train(training)
    return found


def first_words(scores: Tensor, n: int) -> Tensor:
    """The ids [K, n] of the highest of scores [K, V]."""
    return scores.topk(min(n, scores.shape[1])).indices.cpu()


def codes(model: Autoencoder, batches: Batches) -> Tensor:
    """The posterior means [N, Z], in the order of the examples: by these documents are compared, topic models' too.

    (Their cosines found more documents of the same label than those of the shares, which forget the sign of a topic.)
    """
    return _of_each(model, batches, shares=False)


def shares(model: Autoencoder, batches: Batches) -> Tensor:
    """The topics' shares in each document [N, K]; the posterior means of a model whose hidden units are no shares."""
    return _of_each(model, batches, shares=model.decoder.simplex)


@torch.no_grad()
def _of_each(model: Autoencoder, batches: Batches, shares: bool) -> Tensor:
    training = model.training
    model.eval()
    found = torch.zeros(len(batches.examples), model.prior().event_shape[0])
    for rows in batches.plan(0):
        x = batches.take(rows).x.to(model.device)
        z = model.posterior(x).mean
        found[torch.from_numpy(rows)] = (model.decoder(z, x) if shares else z).float().cpu()
    model.train(training)
    return found


def npmi(words: Tensor, documents: Iterable[np.ndarray]) -> float:
    """Normalised pointwise mutual information of the words [K, n] of each topic: its mean over pairs and topics.

    A pair co-occurs where it stands in one document, of those encoded as ids and counts [2, m]; a pair that never
    does has −1 (Bouma 2009; Lau et al. 2014). ``documents`` should be held out: of its own, any topic is coherent.
    """
    used, place = words.unique(return_inverse=True)
    column = np.full(int(used.max()) + 1, -1)
    column[used.numpy()] = np.arange(len(used))
    together, n = torch.zeros(len(used), len(used), dtype=torch.float64), 0
    held: list[np.ndarray] = []

    def count() -> None:
        nonlocal together
        present = torch.zeros(len(held), len(used))
        for row, ids in zip(present, held):
            known = column[ids[ids < len(column)]]
            row[torch.from_numpy(known[known >= 0])] = 1
        together += present.T @ present
        held.clear()

    for document in documents:
        held.append(document[0].astype(np.int64))
        n += 1
        if len(held) == AT_ONCE:
            count()
    count()
    share = together / max(n, 1)
    single = share.diagonal()
    ratio = (share / (single[:, None] * single)).log()
    scores = torch.where(share > 0, ratio / -share.log(), -1.0).nan_to_num(0.0)  # 0 / 0: both are in all documents
    pairs = torch.combinations(torch.arange(words.shape[1])).T
    first, second = place[:, pairs[0]], place[:, pairs[1]]
    return float(scores[first, second].mean())


def diversity(words: Tensor) -> float:
    """The share of different words among the words [K, n] of all topics (Dieng et al. 2020, §6)."""
    return len(words.unique()) / words.numel()


def unigram_perplexity(train: Examples, test: Examples, vocab_size: int) -> float:
    """The corpus perplexity of the words' shares in ``train``, each counted once more than it was (Laplace)."""
    counts, held = (np.zeros(vocab_size), np.zeros(vocab_size))
    for total, examples in ((counts, train), (held, test)):
        for i in range(len(examples)):
            ids, times = examples[i]
            total[ids] += times
    share = (counts + 1) / (counts + 1).sum()
    return float(np.exp(-(held @ np.log(share)) / max(held.sum(), 1)))
