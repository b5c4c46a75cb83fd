"""The language models that judge samples: n-grams, counted in seconds, or an LSTM."""

import math
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from textvae.assembly import build_objective
from textvae.batching import Batches, ListExamples
from textvae.codecs.base import PAD
from textvae.codecs.tokens import TokenCodec
from textvae.devices import resolve
from textvae.ngrams import NGrams
from textvae.recipes import load_recipe
from textvae.run_folder import RunFolder
from textvae.text_vae import TextVAE
from textvae.trainer import Trainer

Judge = Callable[[Sequence[str]], float]
"""The perplexity of texts, per token of the judged model's own tokenisation, end symbols included."""

ORDER, BATCH = 5, 128
VALID_SHARE = 20  # one text in so many is held out to stop at the best


def count_ngrams(texts: Sequence[str], codec: TokenCodec) -> Judge:
    """Kneser-Ney 5-grams of ``texts``; the same texts make the same judge."""
    ngrams = codec.count(texts, ORDER)

    def perplexity(judged: Sequence[str]) -> float:
        nats, tokens = surprise(ngrams, codec, judged)
        return math.exp(nats / max(1, tokens))

    return perplexity


def surprise(ngrams: NGrams, codec: TokenCodec, texts: Sequence[str]) -> tuple[float, int]:
    """−log p of all the texts in nats, and their tokens, end symbols included."""
    batches = Batches(ListExamples(codec.encode(list(texts))), codec.collate, BATCH, shuffle=False)
    nats, tokens = 0.0, 0
    for batch in batches.epoch():
        nats -= float(ngrams.log_prob(batch.x).sum())
        tokens += int((batch.x[:, 1:] != PAD).sum())
    return nats, tokens


def fit_language_model(
    texts: Sequence[str], like: TextVAE, epochs: int = 10, progress: Callable[[float], None] = lambda share: None
) -> TextVAE:
    """A plain language model of ``texts``, with the codec of ``like`` and the sizes of its recipe.

    ``progress`` is told the share that is done. The same texts give the same model.
    """
    settings = load_recipe("sentences/language_model").override({"train.epochs": epochs, "train.patience": 2})
    settings = settings.model_copy(update={"codec": like.settings.codec, "train": resolve(settings.train)})
    codec = like.codec
    held = [text for i, text in enumerate(texts) if i % VALID_SHARE == 0]
    kept = [text for i, text in enumerate(texts) if i % VALID_SHARE] or held
    train, valid = (ListExamples(codec.encode(part)) for part in (kept, held))
    vae = TextVAE.new(settings, codec)
    vae.begin(train)
    batches = Batches(train, codec.collate, settings.train.batch_size, settings.train.seed)
    checks = Batches(valid, codec.collate, settings.train.batch_size, shuffle=False)
    with tempfile.TemporaryDirectory() as place:
        run = RunFolder(Path(place) / "run")
        with run.locked():
            run.begin(settings)
            for record in Trainer(vae, build_objective(settings.objective), batches, checks, run).fit():
                progress(record.values.get("progress", 0.0))
        return TextVAE.from_pretrained(run.model, vae.model.device)
