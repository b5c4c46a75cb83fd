"""Word vectors from the counts of a corpus, for a model of sentences to begin with."""

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from textvae.autoencoder import Autoencoder
from textvae.batching import Examples, shuffled
from textvae.codecs import Codec
from textvae.codecs.tokens import TokenCodec
from textvae.likelihoods import Categorical, log_shares
from textvae.settings import ModelSettings

READ = 2_000_000  # tokens of the corpus that are counted, at most
APART = 2  # words that stand so far apart count as together, 1/distance times
SMOOTHED = 0.75  # power of the frequency of the words around (Levy, Goldberg & Dagan 2015, §3.1)
SCALE = 0.2  # standard deviation of a vector's elements; those that are drawn at random have half of it
BEYOND, ROUNDS = 20, 2  # of the randomised decomposition: dimensions more than wanted, power iterations


def begin_with_counts(model: Autoencoder, codec: Codec, settings: ModelSettings, examples: Examples) -> None:
    """Let the embeddings of a new model begin with ``word_vectors``, and its softmax with how common words are.

    A network drawn at random spends its first epochs on just that. Words that the ``examples``, encoded by the codec,
    lack keep what was drawn; so does what the settings take from another model, and a model that reads no sentences.
    """
    if not (settings.word_vectors and isinstance(codec, TokenCodec)):
        return
    encoder, decoder = (not (settings.all_from or other) for other in (settings.encoder_from, settings.decoder_from))
    sides: list[nn.Module] = [model.encoder] * encoder + [model.decoder] * decoder
    found = [m for side in sides for m in side.modules() if isinstance(m, nn.Embedding)]
    embeddings = [e for e in found if e.num_embeddings == codec.vocab_size]
    x, place = _read(examples)
    vectors = {size: word_vectors(x, place, codec.vocab_size, size) for size in {e.embedding_dim for e in embeddings}}
    with torch.no_grad():
        for embedding in embeddings:
            own = SCALE * vectors[embedding.embedding_dim].to(embedding.weight)
            embedding.weight.copy_(torch.where(own.any(1, keepdim=True), own, embedding.weight))
        if decoder and isinstance(model.likelihood, Categorical):
            model.likelihood.bias.copy_(log_shares(np.bincount(x[place > 0], minlength=codec.vocab_size)))


def word_vectors(x: np.ndarray, place: np.ndarray, vocab_size: int, size: int) -> Tensor:
    """Vectors [V, size] of the words, whose elements have variance 1 and any two of which are alike as their company.

    They are U √S of the singular value decomposition of the positive pointwise mutual information of words and those
    that stand near them (Levy & Goldberg 2014), before and after counted apart, for order is what a language model
    learns. All are brought to one length and turned at random, so that no dimension has more to say than another.
    Words that stand with none are 0. x [M] are the ids of sentences one after the other, and place [M] the position
    of each in its sentence.
    """
    pairs = [(x[:-d][place[d:] >= d], x[d:][place[d:] >= d]) for d in range(1, APART + 1)]
    words = np.concatenate([side for first, second in pairs for side in (first, second)])
    near = np.concatenate([side for first, second in pairs for side in (second + vocab_size, first)])
    weights = np.concatenate([np.full(2 * len(first), 1 / d) for d, (first, _) in enumerate(pairs, 1)])
    keys, which = np.unique(words * (2 * vocab_size) + near, return_inverse=True)
    row, column = np.divmod(keys, 2 * vocab_size)
    n = np.bincount(which, weights, minlength=len(keys))
    total = np.bincount(row, n, minlength=vocab_size)
    around = np.bincount(column, n, minlength=2 * vocab_size).reshape(2, -1) ** SMOOTHED
    around = (around / around.sum(1, keepdims=True) / 2).ravel()
    information = np.log(n / total[row] / around[column]).clip(min=0.0)
    matrix = torch.sparse_coo_tensor(
        torch.from_numpy(np.stack([row, column])),
        torch.from_numpy(information).float(),
        (vocab_size, 2 * vocab_size),
        check_invariants=False,
        is_coalesced=True,
    )
    kept = min(size, vocab_size)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        u, s, _ = torch.svd_lowrank(matrix, min(kept + BEYOND, vocab_size), ROUNDS)
        turn, _ = torch.linalg.qr(torch.randn(size, size))
    vectors = F.normalize(u[:, :kept] * s[:kept].sqrt()) @ turn[:kept] * size**0.5
    return vectors * torch.from_numpy(total > 0)[:, None]


def _read(examples: Examples) -> tuple[np.ndarray, np.ndarray]:
    """The ids [M] of the examples, or of so many drawn at random as hold ``READ`` tokens, and the place of each."""
    chosen, read = [], 0
    for row in shuffled(np.arange(min(len(examples), READ)), len(examples), (0, 0)):
        chosen.append(np.asarray(examples[int(row)], np.int64))
        read += len(chosen[-1])
        if read >= READ:
            break
    x = np.concatenate(chosen)
    lengths = np.array([len(ids) for ids in chosen])
    place = np.arange(len(x)) - np.repeat(np.cumsum(lengths) - lengths, lengths)
    return x, place
