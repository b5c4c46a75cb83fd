"""How good samples are: their variety, and what language models make of them and of the text they imitate."""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from textvae.evaluation.judge import Judge

SELF_BLEU_REFERENCES = 500
"""Self-BLEU compares each of so many samples with all the others of them: its cost is quadratic."""


@dataclass(frozen=True)
class SampleReport:
    """What ``textvae evaluate --samples N`` prints."""

    samples: int
    unique: float  # share of different ones
    verbatim: float  # share that stands in the training split, letter by letter
    distinct_1: float  # different words / words (Li et al. 2016)
    distinct_2: float  # different pairs of words / pairs
    self_bleu: float  # mean BLEU of a sample against the others, 0 to 100; low is varied (Zhu et al. 2018)
    forward_perplexity: float  # of samples, under a language model of the training split
    reverse_perplexity: float  # of the evaluated text, under a language model of the samples (Zhao et al. 2018)
    text_perplexity: float  # of the evaluated text, under the language model of the training split


def evaluate_samples(
    samples: Sequence[str],
    text: Sequence[str],
    training: Iterable[str],
    judge: Judge,
    fit: Callable[[Sequence[str]], Judge],
) -> SampleReport:
    """Measure ``samples`` against the ``text`` they imitate and the ``training`` split, read once.

    ``judge`` is a language model of the training split; ``fit`` trains another of the same kind on samples.
    """
    written = [sample for sample in samples if sample.strip()]
    kinds = set(written)
    copied = kinds & (kinds if not kinds else {line for line in training if line in kinds})
    return SampleReport(
        samples=len(samples),
        unique=len(set(samples)) / len(samples),
        verbatim=sum(sample in copied for sample in written) / len(samples),
        distinct_1=distinct(written, 1),
        distinct_2=distinct(written, 2),
        self_bleu=self_bleu(written[:SELF_BLEU_REFERENCES]),
        forward_perplexity=judge(written),
        reverse_perplexity=fit(written)(text),
        text_perplexity=judge(text),
    )


def distinct(texts: Iterable[str], n: int) -> float:
    """Different n-grams of words / all n-grams (Li et al. 2016, distinct-n); 0 where there are none."""
    counts: Counter[tuple[str, ...]] = Counter()
    for text in texts:
        words = text.split()
        counts.update(zip(*(words[i:] for i in range(n))))
    return len(counts) / counts.total() if counts else 0.0


def self_bleu(texts: Sequence[str]) -> float:
    """Mean BLEU-4 of each text against all the others, 0 to 100 (Zhu et al. 2018, Texygen)."""
    from sacrebleu.metrics.bleu import BLEU

    if len(texts) < 2:
        return 0.0
    metric = BLEU(effective_order=True)
    scores = [metric.sentence_score(text, [*texts[:i], *texts[i + 1 :]]).score for i, text in enumerate(texts)]
    return sum(scores) / len(scores)
