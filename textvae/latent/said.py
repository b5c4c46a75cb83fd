"""How well a sentence says what codes stand for: what finds a picture by its caption."""

import torch
from torch import Tensor

from textvae.codecs.base import EOS, PAD
from textvae.text_vae import TextVAE

AT_ONCE = 1024  # codes


@torch.no_grad()
def said_of(vae: TextVAE, text: str, z: Tensor) -> Tensor:
    """log p(text …|z) [N] in nats, of codes z [N, Z]: that what is written begins with ``text``.

    Among pictures that are equally likely beforehand, the order is that of p(picture | text), by Bayes' rule. Of
    models that write words.
    """
    codec = vae.codec.written
    x = codec.collate(codec.encode([text])).to(vae.model.device)
    x = x.masked_fill(x == EOS, PAD)  # which is not scored: the text may go on
    model = vae.model.eval()
    return torch.cat([model.log_px(x, some[:, None])[:, 0] for some in z.to(x.device).split(AT_ONCE)])
