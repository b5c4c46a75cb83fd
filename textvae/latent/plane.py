"""Many numbers in two dimensions, to be looked at: principal components, and t-SNE."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from textvae.codecs.bag_of_words import BagOfWordsCodec
from textvae.codecs.pixels import PixelCodec
from textvae.errors import RequestError
from textvae.text_vae import TextVAE

FEWEST = 3  # points
OVERSAMPLED = 8  # dimensions beside the two, for the randomised decomposition to be exact (Halko et al. 2011)
BEFORE_TSNE = 50  # components that t-SNE reads (van der Maaten & Hinton 2008, §4.2)


def pca(x: Tensor, size: int = 2, seed: int = 0) -> tuple[Tensor, float]:
    """The first principal components [N, size] of x [N, D], dense or sparse, and their share of the variance.

    Of each component the greatest loading is positive, so that the same numbers give the same picture.
    """
    n, d = x.shape
    if n < FEWEST:
        raise RequestError(f"A picture needs {FEWEST} points or more; there are {n}.")
    with torch.random.fork_rng(), torch.no_grad(), torch.sparse.check_sparse_tensor_invariants():
        torch.manual_seed(seed)
        _, scale, loadings = torch.pca_lowrank(x, q=min(n, d, size + OVERSAMPLED), niter=8)
    mean = torch.sparse.sum(x, 0).to_dense() / n if x.is_sparse else x.mean(0)
    loadings = loadings[:, :size] * _signs(loadings[:, :size])
    points = (torch.sparse.mm(x, loadings) if x.is_sparse else x @ loadings) - mean @ loadings
    square = (x * x).sum() if not x.is_sparse else x.coalesce().values().square().sum()
    total = float(square - n * mean.square().sum())
    share = float(scale[:size].square().sum()) / total if total > 0 else 1.0
    return torch.nn.functional.pad(points, (0, size - points.shape[1])), min(1.0, share)


def tsne(x: Tensor, seed: int = 0) -> Tensor:
    """t-SNE [N, 2] of x [N, D], dense or sparse (van der Maaten & Hinton 2008); by scikit-learn.

    It reads at most fifty principal components. Raises RequestError where scikit-learn is not installed.
    """
    try:
        from sklearn.manifold import TSNE
    except ImportError:
        raise RequestError("t-SNE is scikit-learn's: pip install 'textvae[plot]'.") from None
    components, _ = pca(x, min(BEFORE_TSNE, x.shape[1]), seed) if x.shape[1] > BEFORE_TSNE else (x.float(), 1.0)
    spread = min(30.0, (len(components) - 1) / 3)
    placed = TSNE(2, perplexity=spread, init="random", random_state=seed).fit_transform(components.cpu().numpy())
    return torch.from_numpy(np.asarray(placed, np.float32))


def inputs(vae: TextVAE, raw: Sequence[Any]) -> Tensor | None:
    """What the codes are to be compared with: pixels [N, D], or words by tf-idf, sparse [N, V]; None for sentences.

    Words are weighted (1 + log n)(1 + log N/df) and each document is scaled to length 1, as LSA reads them.
    """
    if isinstance(vae.codec, PixelCodec):
        return vae.codec.collate(vae.codec.encode(raw)).flatten(1)
    if not isinstance(vae.codec, BagOfWordsCodec):
        return None
    bags = vae.codec.encode(raw)
    rows = np.repeat(np.arange(len(bags)), [bag.shape[1] for bag in bags])
    ids, counts = np.concatenate(bags, 1).astype(np.int64)
    share = np.maximum(np.array(vae.codec.found_in), 1)[ids] / max(1, vae.codec.documents)
    weights = (1 + np.log(counts)) * (1 - np.log(share))
    length = np.sqrt(np.bincount(rows, weights**2, len(bags)))
    values = torch.from_numpy((weights / length[rows]).astype(np.float32))
    shape = (len(bags), len(vae.codec.words))
    return torch.sparse_coo_tensor(torch.from_numpy(np.stack([rows, ids])), values, shape, check_invariants=True)


def _signs(loadings: Tensor) -> Tensor:
    rows = loadings.abs().argmax(0)
    return loadings.gather(0, rows[None]).sign()
