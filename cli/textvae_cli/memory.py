"""Whether a model of pictures recites what it was trained on: its samples beside the nearest training pictures."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from textvae.errors import RequestError

if TYPE_CHECKING:
    import numpy as np

    from textvae import TextVAE
    from textvae_corpora import Corpus

COLUMNS = 12  # samples beside one another
HELD_OUT = 1000  # pictures that show how near a new picture of this kind lies


class Found(NamedTuple):
    """The nearest training pictures, what is told of each sample, and of them all."""

    pictures: "list[np.ndarray]"
    each: list[dict[str, float | int | str | None]]
    facts: dict[str, Any]


def needed(vae: "TextVAE", name: str) -> "Corpus":
    """What the model was trained on; RequestError where it is gone or too small to be looked up in."""
    from textvae_cli.reading import trained_on

    corpus = trained_on(vae, name)
    if len(corpus.train) < 2:
        raise RequestError(f"--nearest compares with 2 training pictures or more: {corpus.name} has 1.")
    return corpus


def look_up(pictures: "Sequence[np.ndarray]", corpus: "Corpus") -> Found:
    """The nearest training picture of each, beside those of the pictures that the training held out."""
    from textvae.evaluation.nearest import nearest
    from textvae_cli.render import waiting

    with waiting(f"looking for the nearest of {len(corpus.train):,} training pictures"):
        found, usual = nearest(pictures, corpus.train), nearest(corpus.valid[:HELD_OUT], corpus.train)
    rows, labels = found.rows[:, 0].tolist(), corpus.train_labels
    names = [None if labels is None or labels[i] < 0 else corpus.labels[labels[i]] for i in rows]
    told = zip(rows, names, found.distances[:, 0].tolist(), found.ratio.tolist())
    return Found(
        [corpus.train[i] for i in rows],
        [{"nearest": row, "label": label, "distance": far, "ratio": ratio} for row, label, far, ratio in told],
        {
            "training": len(corpus.train),
            "samples": found.summary(),
            "held_out": {"pictures": len(usual.rows), **usual.summary()},
        },
    )


def sheet(samples: "Sequence[np.ndarray]", near: "Sequence[np.ndarray]") -> "list[Sequence[np.ndarray]]":
    """A row of samples over a row of what is nearest to each, a gap, and so on."""
    rows: list[Sequence[np.ndarray]] = []
    for start in range(0, len(samples), COLUMNS):
        some = slice(start, start + COLUMNS)
        rows += [*([[]] if rows else []), samples[some], near[some]]
    return rows


def show(found: Found) -> None:
    """The figures of samples and of held-out pictures, side by side."""
    from textvae.evaluation.nearest import COPY
    from textvae_cli.render import Side, table

    samples, held = found.facts["samples"], found.facts["held_out"]
    headings: dict[str, Side] = {"": "left", "samples": "right", "held out": "right", "what it is": "left"}
    texts = {
        "distance": ("{:.2f}", "to the nearest training picture, √Σ(x − y)² of pixels in [0, 1], the median"),
        "ratio": ("{:.2f}", "of that distance to the one of the second nearest, the median: 1 between many, 0 a copy"),
        "copies": ("{:.1%}", f"so much nearer to one than to any other: a ratio under {COPY:.2f}"),
    }
    table(
        headings,
        [(key, form.format(samples[key]), form.format(held[key]), what) for key, (form, what) in texts.items()],
    )
