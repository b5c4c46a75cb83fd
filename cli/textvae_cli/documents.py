"""What ``textvae evaluate`` measures of documents beside the bounds: topics, the unigram model, retrieval."""

import csv
import io
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from textvae.errors import RequestError
from textvae_cli import console

if TYPE_CHECKING:
    from textvae import TextVAE
    from textvae.batching import Batches
    from textvae.evaluation.retrieval import Point, Retrieval
    from textvae_corpora import Split

BATCH = 512
FIGURES = (".csv", ".png")


@dataclass(frozen=True)
class Measured:
    """The figures of ``--json``, and the precision-recall curve where labels gave one."""

    figures: dict[str, Any]
    curve: "list[Point] | None" = None


def is_one(vae: "TextVAE") -> bool:
    """Whether the model is one of documents."""
    from textvae.codecs.bag_of_words import BagOfWordsCodec

    return isinstance(vae.codec, BagOfWordsCodec)


def check_curve(path: Path | None) -> None:
    """RequestError for a file that no curve can be written to: told before anything is measured."""
    if path is None:
        return
    if path.suffix not in FIGURES:
        raise RequestError(f"--curve writes {' or '.join(FIGURES)} files; {path} is neither.")
    if not path.absolute().parent.is_dir():
        raise RequestError(f"{path} cannot be written: there is no folder {path.parent}.")


def measure(vae: "TextVAE", split: "Split", batches: "Batches") -> Measured:
    """Topics on these documents; against the documents that the model was trained on, what their codes find."""
    from textvae.evaluation import documents

    held = batches.examples
    figures: dict[str, Any] = {}
    if vae.model.decoder.topical:
        topics = documents.topics(vae.model)
        kept = (held[i] for i in range(len(held)))
        figures["npmi"] = documents.npmi(topics.first(documents.COHERENT), kept)
        figures["topic_diversity"] = documents.diversity(topics.first(documents.DIVERSE))
    database = _training(vae)
    if database is None:
        return Measured(figures)
    from textvae_corpora import encode_examples

    trained = encode_examples(database.examples, vae.codec)
    figures["perplexity_unigram"] = documents.unigram_perplexity(trained, held, *vae.codec.dims["input_shape"])
    if split.labels is None or database.labels is None:
        return Measured(figures)
    found = _retrieval(vae, split, database, batches, trained)
    figures |= {f"precision_at_{k}": share for k, share in found.precision.items()} | {"map": found.map}
    return Measured(figures, found.curve)


def _training(vae: "TextVAE") -> "Split | None":
    """All documents of the corpus that the model was trained on; None, with a word on why, where it is gone."""
    from textvae_corpora import load_training

    corpus = vae.settings.corpus
    try:
        return load_training(
            corpus.source,
            text_column=corpus.text_column,
            label_column=corpus.label_column,
            encoding=corpus.encoding,
            limit=corpus.limit,
        )
    except RequestError as error:
        console.say(f"The unigram model and retrieval are left out, since the training corpus is not there: {error}")
        return None


def _retrieval(vae: "TextVAE", split: "Split", database: "Split", queries: "Batches", trained: Any) -> "Retrieval":
    """The documents of ``split`` against those of ``database``; a label that these lack is one that finds nothing."""
    import torch

    from textvae.batching import Batches
    from textvae.evaluation.documents import codes
    from textvae.evaluation.retrieval import retrieval
    from textvae.supports import Support
    from textvae_corpora.labels import renumber

    unseen = [name for name in split.classes if name not in database.classes]
    if unseen:
        console.say(f"note: labels that no training document has, and that find nothing: {', '.join(unseen[:8])}")
    labels = renumber(split.labels, split.classes, [*database.classes, *unseen])
    distance = "hamming" if vae.model.prior.support is Support.BITS else "cosine"
    stored = codes(vae.model, Batches(trained, vae.codec.collate, BATCH, shuffle=False))
    asked = codes(vae.model, queries)
    return retrieval(asked, torch.as_tensor(labels), stored, torch.as_tensor(database.labels), distance)


def write_curve(path: Path, points: "list[Point]") -> None:
    """The precision-recall curve (Hinton & Salakhutdinov 2006, fig. 4) as a table or a picture."""
    from textvae.files import write_whole

    if path.suffix == ".csv":
        text = io.StringIO()
        rows = csv.writer(text, lineterminator="\n")
        rows.writerow(["retrieved", "precision", "recall"])
        rows.writerows([(p.retrieved, f"{p.precision:.6f}", f"{p.recall:.6f}") for p in points])
        write_whole(path, text.getvalue().encode())
        return
    write_whole(path, _figure(points))


def _figure(points: "list[Point]") -> bytes:
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise RequestError(
            "A picture of the curve needs matplotlib: pip install textvae[plot]; or write a .csv."
        ) from None
    figure = Figure(figsize=(5, 4), layout="constrained")
    axes = figure.add_subplot()
    axes.plot([p.recall for p in points], [p.precision for p in points], marker="o", markersize=3)
    for p in points[:: max(1, len(points) // 6)]:
        axes.annotate(
            f"{p.retrieved:,}", (p.recall, p.precision), textcoords="offset points", xytext=(4, 4), fontsize=8
        )
    axes.set(xlabel="recall", ylabel="precision", xscale="log", ylim=(0, 1))
    axes.set_title("Documents of the same label, by number retrieved", fontsize=10)
    axes.grid(alpha=0.3)
    out = io.BytesIO()
    figure.savefig(out, format="png", dpi=150)
    return out.getvalue()
