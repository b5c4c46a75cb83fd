"""How texts come back, and how probable a model finds them."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from textvae.batching import Batches, ListExamples
from textvae.captioned import Captioned
from textvae.codecs.tokens import TokenCodec
from textvae.codecs.words import WordCodec
from textvae.decoding import Decoding
from textvae.evaluation.bounds import evaluate

if TYPE_CHECKING:
    from textvae.text_vae import TextVAE

BATCH = 128


def perplexity(vae: "TextVAE", texts: Sequence[str]) -> float:
    """exp of −ELBO per token of the model's own tokenisation, end symbols included; exact for a language model."""
    codec = vae.codec
    batches = Batches(ListExamples(codec.encode(list(texts))), codec.collate, BATCH, shuffle=False)
    return evaluate(vae.model, batches, mutual_information=False).perplexity


def reconstruction_bleu(vae: "TextVAE", texts: Sequence[Any], limit: int | None = 5000) -> float | None:
    """Corpus BLEU, 0 to 100, of greedy decoding at the posterior mean, over the first ``limit`` texts.

    By sacrebleu with its own tokenisation, or with none where the model's words are those of the corpus. None
    for a model without a code, and for one of pictures or bags of words, which have no order of words.
    """
    if not isinstance(vae.codec, TokenCodec) or not vae.settings.model.latent_size:
        return None
    # Neighbours in length are decoded together: a batch takes as many steps as its longest sentence.
    ranked = sorted(texts[:limit], key=len)
    written: list[str] = []
    for start in range(0, len(ranked), BATCH):
        z = vae.encode(ranked[start : start + BATCH])
        written += vae.write(z, Decoding("greedy"))[0]
    return _bleu(vae, written, [ranked])


def captions_come_back(vae: "TextVAE", raw: Sequence[Captioned], limit: int | None = 5000) -> dict[str, float]:
    """Of greedy captions of the first ``limit`` pictures: corpus BLEU and the share that is one of theirs.

    ``caption_bleu`` is from 0 to 100, against all the captions of a picture; ``exact`` compares the words with one
    space between.
    """
    raw, written = raw[:limit], []
    for start in range(0, len(raw), BATCH):
        z = vae.encode([one.picture for one in raw[start : start + BATCH]])
        written += vae.write(z, Decoding("greedy"))[0]
    most = max(len(one.captions) for one in raw)
    # A picture of fewer captions has its first one again, which is no other reference.
    references = [[one.captions[i if i < len(one.captions) else 0] for one in raw] for i in range(most)]
    exact = sum(text.split() in [said.split() for said in one.captions] for text, one in zip(written, raw))
    return {"caption_bleu": _bleu(vae, written, references), "exact": exact / len(raw)}


def _bleu(vae: "TextVAE", written: Sequence[str], references: Sequence[Sequence[str]]) -> float:
    from sacrebleu.metrics.bleu import BLEU

    metric = BLEU(tokenize="none" if isinstance(vae.codec.written, WordCodec) else "13a", force=True)
    return float(metric.corpus_score(written, references).score)
