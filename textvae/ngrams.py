"""Interpolated n-grams of a corpus, smoothed by modified Kneser-Ney (Chen & Goodman 1999)."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from textvae import tensors
from textvae.codecs.base import BOS, EOS, PAD
from textvae.errors import CorruptFolder, RequestError

FILE = "ngrams.safetensors"
MAX_ORDER = 8
MOST = 3  # n-grams seen as often or more share a discount


class NGrams(nn.Module):
    """p(word | the order − 1 words before it), from the counts of a corpus.

    The n-grams are a tree. Its first V nodes are the words; node V + i is the n-gram that ``keys``[i] spells, as its
    prefix's node · V + its last word. Keys ascend, so that all that follows a context stands side by side. An n-gram
    of the highest order, or one that begins a sentence, has the ``count`` of its occurrences, any other the number
    of words that it was seen after (Kneser & Ney 1995).

    Nothing here is trained, nor saved with a model's weights: it belongs to the codec, as a vocabulary does.
    """

    keys: Tensor  # int64 [M]
    counts: Tensor  # [V + M]
    totals: Tensor  # [1 + V + M] of the counts that follow a context; contexts are nodes + 1, and 0 has no words
    types: Tensor  # [1 + V + M, MOST] how many words follow it that were counted once, twice, more often
    discounts: Tensor  # [order + 1, MOST + 1]

    def __init__(self, vocab_size: int, order: int, keys: np.ndarray, counts: np.ndarray):
        super().__init__()
        self.vocab_size, self.order = vocab_size, order
        parents = np.concatenate([np.zeros(vocab_size, np.int64), 1 + keys // vocab_size])
        buckets = np.minimum(counts, MOST)
        n = 1 + len(counts)
        types = [np.bincount(parents, buckets == j, minlength=n) for j in range(1, MOST + 1)]
        depths = _depths(vocab_size, order, keys)
        discounts = [np.zeros(MOST + 1), *(_discounts(counts[depths == k]) for k in range(1, order + 1))]
        values: dict[str, Any] = {
            "keys": keys,
            "counts": counts.astype(np.float32),
            "totals": np.bincount(parents, counts, minlength=n).astype(np.float32),
            "types": np.stack(types, 1).astype(np.float32),
            "discounts": np.stack(discounts).astype(np.float32),
        }
        for name, value in values.items():
            self.register_buffer(name, torch.from_numpy(value), persistent=False)

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        """Itself: it never changes, and is large."""
        return self

    @classmethod
    def fit(cls, sentences: Iterable[Sequence[int] | np.ndarray], vocab_size: int, order: int) -> Self:
        """Count sentences of ids BOS w₁ … EOS, all held in memory; of none, the empty one.

        Raises RequestError for an order out of range.
        """
        if not 2 <= order <= MAX_ORDER:
            raise RequestError(f"N-grams have an order from 2 to {MAX_ORDER}; {order} is not.")
        arrays = [np.asarray(ids, np.int64) for ids in sentences] or [np.array([BOS, EOS])]
        lengths, x = np.array([len(ids) for ids in arrays]), np.concatenate(arrays)
        place = np.arange(len(x)) - np.repeat(np.cumsum(lengths) - lengths, lengths)
        nodes, keys, size = [x], [np.zeros(0, np.int64)], vocab_size  # nodes: of the k-gram that ends at each place
        for k in range(2, order + 1):
            whole = place >= k - 1
            spelt = np.roll(nodes[-1], 1)[whole] * vocab_size + x[whole]
            found, which = np.unique(spelt, return_inverse=True)
            nodes.append(np.full(len(x), -1))
            nodes[-1][whole] = size + which
            keys.append(found)
            size += len(found)
        counts = np.zeros(size, np.int64)
        for k, node in enumerate(nodes, 1):
            occurs = (place >= k - 1 if k == order else place == k - 1) & (place > 0)
            counts += np.bincount(node[occurs], minlength=size)
        for longer, shorter in zip(nodes[1:], nodes):
            _, first = np.unique(longer[longer >= 0], return_index=True)
            counts += np.bincount(shorter[longer >= 0][first], minlength=size)
        return cls(vocab_size, order, np.concatenate(keys), counts)

    def forward(self, x: Tensor, held_out: bool = False) -> tuple[Tensor, Tensor]:
        """Ids x [N, T] to p of x[:, 1:] [N, T−1], and what each context leaves to a shorter one [N, T−1, order−1].

        ``held_out`` is for the sentences that were counted: each word's p is that of a corpus without this one
        occurrence of it, so that it is about as large as it would be in a sentence never seen.
        """
        nodes, place = self._nodes(x), torch.arange(1, x.shape[1], device=x.device)
        less = torch.zeros(x[:, 1:].shape, device=x.device)  # 1 where the occurrence was all that a count had
        found, left = [], []
        for k in range(self.order, 0, -1):
            node = nodes[k - 1][:, 1:]
            context = 1 + nodes[k - 2][:, :-1] if k > 1 else torch.zeros_like(node)
            count = self.counts[node.clamp(min=0)].masked_fill(node < 0, 0.0)
            total, types = self.totals[context], self.types[context]
            if held_out:
                longest = place >= k - 1 if k == self.order else place == k - 1
                less = less.where(~longest, 1.0) * (node >= 0)
                kept = count - less
                types = types + _bucket(kept)[..., 1:] - _bucket(count)[..., 1:]
                less, total, count = less * (kept == 0), total - less, kept
            discounts = self.discounts[k]
            known = (total > 0) & (context > 0 if k > 1 else True)
            above = (count - discounts[count.clamp(max=MOST).long()]).clamp(min=0.0)
            found.append(torch.where(known, above / total.clamp(min=1.0), 0.0))
            left.append(torch.where(known, (types * discounts[1:]).sum(-1) / total.clamp(min=1.0), 1.0))
        p = torch.full_like(less, 1 / self.vocab_size)
        for share, rest in zip(reversed(found), reversed(left)):
            p = share + rest * p
        return p, torch.stack(left[:-1], -1)

    def log_prob(self, x: Tensor) -> Tensor:
        """log p [N] in nats of sentences x [N, T], end symbols included and padding not."""
        return self(x)[0].log().masked_fill(x[:, 1:] == PAD, 0.0).double().sum(1)

    def following(self, before: Tensor) -> tuple[Tensor, Tensor]:
        """The last words, before [N, T], to p of all that may follow [N, V], and what contexts leave [N, order−1].

        BOS stands before the first word. What stands before BOS says nothing, nor do words further back than
        ``order`` − 1.
        """
        nodes = self._nodes(before[:, -(self.order - 1) :])
        counts, words = self.counts[: self.vocab_size], torch.arange(len(before), device=before.device)
        discounts = self.discounts[1]
        above = (counts - discounts[counts.clamp(max=MOST).long()]).clamp(min=0.0)
        total = self.totals[0].clamp(min=1.0)
        p = ((above + (self.types[0] * discounts[1:]).sum() / self.vocab_size) / total).expand(len(before), -1).clone()
        left = []
        for k in range(2, self.order + 1):
            node = nodes[k - 2][:, -1]
            total, discounts = self.totals[1 + node], self.discounts[k]
            known = (node >= 0) & (total > 0)
            rest = torch.where(known, (self.types[1 + node] * discounts[1:]).sum(-1) / total.clamp(min=1.0), 1.0)
            left.append(rest)
            p *= rest[:, None]
            node = node.where(known, -1)
            start, end = (torch.searchsorted(self.keys, (node + i) * self.vocab_size) for i in (0, 1))
            lengths = (end - start).where(known, 0)
            rows = words.repeat_interleave(lengths)
            places = torch.arange(len(rows), device=rows.device) + (start - lengths.cumsum(0) + lengths)[rows]
            counts = self.counts[self.vocab_size + places]
            above = (counts - discounts[counts.clamp(max=MOST).long()]).clamp(min=0.0)
            p[rows, self.keys[places] % self.vocab_size] += above / total[rows]
        return p, torch.stack(left[::-1], -1)

    def _nodes(self, x: Tensor) -> list[Tensor]:
        """For each k the node of the k-gram that ends at each place of x [N, T], −1 where there is none."""
        nodes = [x]
        for _ in range(1, min(self.order, x.shape[1])):
            longer = self._child(nodes[-1][:, :-1], x[:, 1:])
            nodes.append(F.pad(longer, (1, 0), value=-1))
        nodes += [torch.full_like(x, -1)] * (self.order - len(nodes))
        return nodes

    def _child(self, node: Tensor, word: Tensor) -> Tensor:
        """The node of an n-gram and one more word, −1 where there is none."""
        key = node * self.vocab_size + word
        place = torch.searchsorted(self.keys, key).clamp(max=len(self.keys) - 1)
        return torch.where((node >= 0) & (self.keys[place] == key), self.vocab_size + place, -1)

    def save(self, folder: Path) -> None:
        """Write ``ngrams.safetensors``: the keys and their counts."""
        tensors.save(folder / FILE, {"keys": self.keys, "counts": self.counts.int()})

    @classmethod
    def load(cls, folder: Path, vocab_size: int, order: int) -> Self:
        """Read what ``save`` wrote; CorruptFolder if it is missing, damaged, or not a tree of that order."""
        read = tensors.load(folder / FILE)
        try:
            keys, counts = read["keys"].numpy(), read["counts"].numpy().astype(np.int64)
            whole = keys.dtype == np.int64 and keys.ndim == 1 and counts.shape == (vocab_size + len(keys),)
            parents = keys // vocab_size
            # A prefix stands before what it is the prefix of, which also makes all depths finite.
            ordered = whole and (np.diff(keys) > 0).all() and (parents < vocab_size + np.arange(len(keys))).all()
            if not (ordered and len(keys) and keys[0] >= 0 and (counts >= 0).all() and 2 <= order <= MAX_ORDER):
                raise ValueError("no tree")
            return cls(vocab_size, order, keys, counts)
        except (KeyError, ValueError) as error:
            raise CorruptFolder(f"{folder / FILE} does not hold n-grams of this vocabulary.") from error


def _depths(vocab_size: int, order: int, keys: np.ndarray) -> np.ndarray:
    """The number of words of each node [V + M]; ValueError where one has more than ``order``."""
    depths = np.zeros(vocab_size + len(keys), np.int64)
    start, end = 0, vocab_size
    for k in range(1, order + 1):
        depths[start:end] = k
        start, end = end, vocab_size + int(np.searchsorted(keys, end * vocab_size))
    if end > start:
        raise ValueError("deeper than its order")
    return depths


def _discounts(counts: np.ndarray) -> np.ndarray:
    """What is taken from counts of 0, 1, 2, and 3 or more (Chen & Goodman 1999), never all of them."""
    n = [int((counts == j).sum()) for j in range(MOST + 2)]
    share = n[1] / max(1, n[1] + 2 * n[2])
    found = [j - (j + 1) * share * n[j + 1] / n[j] if n[j] else 0.5 for j in range(1, MOST + 1)]
    return np.array([0.0, *(min(max(d, 0.1), j - 0.05) for j, d in enumerate(found, 1))])


def _bucket(counts: Tensor) -> Tensor:
    """Which discount falls on counts [...], one-hot [..., MOST + 1]."""
    return F.one_hot(counts.clamp(0, MOST).long(), MOST + 1)
