"""Why a document is near a query: its words without which it would be less near."""

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from textvae.codecs.bag_of_words import BagOfWordsCodec
from textvae.text_vae import TextVAE

MOST = 256  # distinct words of a document that are tried
BATCH = 128  # documents with a word left out, in a batch


@torch.no_grad()
def matches(vae: TextVAE, query: Tensor, document: str, n: int = 5) -> list[str]:
    """At most ``n`` words of ``document``, those first that bring its code nearest to the code ``query`` [Z].

    A word is worth by how much the cosine falls where it is left out of the document (occlusion; Zeiler & Fergus
    2014): an exact difference of what search compares, whatever the encoder. Words that lower it are not named.
    Of a document with more than 256 distinct words, the most frequent are tried. Documents of a bag of words only.
    """
    codec = vae.codec
    if not isinstance(codec, BagOfWordsCodec):
        return []
    [whole] = codec.encode([document])
    tried = (-whole[1].astype(int)).argsort(kind="stable")[:MOST]
    left = [whole, *(whole[:, whole[0] != word] for word in whole[0][tried])]
    nearness = torch.cat([_cosine(vae, query, left[i : i + BATCH]) for i in range(0, len(left), BATCH)])
    worth = nearness[0] - nearness[1:]
    order = worth.argsort(descending=True, stable=True)[:n].tolist()
    return [codec.words[whole[0][tried[i]]] for i in order if worth[i] > 0]


def _cosine(vae: TextVAE, query: Tensor, bags: Sequence[np.ndarray]) -> Tensor:
    x = vae.codec.collate(bags).to(vae.model.device)
    return F.cosine_similarity(vae.model.eval().posterior(x).mean, query[None].to(vae.model.device)).cpu()
