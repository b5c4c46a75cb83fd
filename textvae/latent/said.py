"""How well a sentence says what codes stand for: what finds a picture by its caption."""

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from textvae.codecs.base import EOS, PAD
from textvae.likelihoods import Categorical
from textvae.text_vae import TextVAE

AT_ONCE = 8192  # pairs of a text and a code
GAPS, WORDS, READINGS = 2, 4, 8  # words left out at most, tried for one that is, and texts that are kept
SAMPLE = 64  # codes that the words left out are looked for with
ENOUGH = 0.05  # rise in log p under which no more words are looked for


@torch.no_grad()
def said_of(vae: TextVAE, text: str, z: Tensor, gaps: int = GAPS) -> Tensor:
    """log p(text …|z) [N] in nats, of codes z [N, Z]: that what is written begins so, few words left out.

    Among pictures that are equally likely beforehand, the order is that of p(picture | text), by Bayes' rule. "A red
    square" is a part of "a small red square left of …", and no beginning of it: summed over are the likeliest ways to
    put up to ``gaps`` words before or between those of the text, so that the sum is a lower bound. Of models that
    write words.
    """
    vae.model.eval()
    z = z.to(vae.model.device)
    return _scores(vae, readings(vae, text, z, gaps), z).logsumexp(0)


@torch.no_grad()
def readings(vae: TextVAE, text: str, z: Tensor, gaps: int = GAPS) -> list[Tensor]:
    """The text itself, and the likeliest that it may be where up to ``gaps`` words were left out: ids BOS w₁ … wₙ.

    A beam search, by the mean of p(text|z) over some of the codes z [N, Z].
    """
    codec = vae.codec.written
    ids = codec.collate(codec.encode([text]))[0].to(z.device)
    found, some = [ids[ids != EOS]], z[:: -(-len(z) // SAMPLE)]
    before = float(_scores(vae, found, some).logsumexp(1))
    for _ in range(gaps):
        tried = {tuple(one.tolist()): one for one in found}
        for one in found:
            for place, words in enumerate(_likely(vae, one, some), 1):
                for word in words:
                    filled = torch.cat([one[:place], word[None], one[place:]])
                    tried[tuple(filled.tolist())] = filled
        every = list(tried.values())
        mass = _scores(vae, every, some).logsumexp(1)
        best = mass[1:].topk(min(READINGS, len(every)) - 1).indices + 1  # the text itself comes first, and stays
        found = [every[i] for i in [0, *best.tolist()]]
        total = float(mass.logsumexp(0))
        if total - before < ENOUGH:
            break
        before = total
    return found


def _likely(vae: TextVAE, ids: Tensor, z: Tensor) -> Tensor:
    """The likeliest words before each word of ids BOS w₁ … wₙ, over codes z [S, Z]: [n, WORDS]."""
    model, length = vae.model, len(ids) - 1
    assert isinstance(model.likelihood, Categorical)
    hidden = model.hidden(ids.expand(len(z), -1), z)
    before = (ids[:t].expand(len(z), -1) for t in range(1, length + 1))
    logits = [model.likelihood.logits(hidden[:, t], words) for t, words in enumerate(before)]
    shares = torch.stack(logits).softmax(-1).mean(1)
    return EOS + 1 + shares[:, EOS + 1 :].topk(min(WORDS, shares.shape[-1] - EOS - 1)).indices


def _scores(vae: TextVAE, texts: list[Tensor], z: Tensor) -> Tensor:
    """log p [R, N] that what is written begins with each text, of codes z [N, Z]."""
    x = pad_sequence(texts, batch_first=True, padding_value=PAD)
    pieces = z.split(max(1, AT_ONCE // len(x)))
    return torch.cat([vae.model.log_px(x, some[:, None].expand(-1, len(x), -1)) for some in pieces]).T
