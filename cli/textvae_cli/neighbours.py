"""``textvae neighbours``: the sentences of a file that are nearest to a sentence."""

from collections.abc import Iterator
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from textvae.errors import RequestError
from textvae_cli import console, loading, options

if TYPE_CHECKING:
    from torch import Tensor

PIECE = 4096  # examples that are held at once


class Metric(StrEnum):
    """How near two codes are."""

    cosine = "cosine"
    euclidean = "euclidean"


def neighbours(
    sentence: Annotated[str, typer.Argument(metavar="A", help="A sentence; - reads it from standard input.")],
    file: Annotated[str, typer.Option("--in", metavar="FILE", help="File, folder, corpus name (ptb/test) or -.")],
    k: Annotated[int, typer.Option("-k", min=1, max=1_000_000, help="Sentences to print.")] = 10,
    metric: Annotated[Metric, typer.Option("--metric", help="Angle between codes, or distance.")] = Metric.cosine,
    limit: options.Limit = None,
    text_column: options.TextColumn = None,
    encoding: options.Encoding = "utf-8",
    model: options.Model = None,
    device: options.Device = "cpu",
    as_json: options.Json = False,
) -> None:
    """Find the sentences of a file that are nearest to a sentence.

    Compared are the means of their posteriors, all of them. The file may be larger than the memory.
    """
    if sentence == "-":
        if file == "-":
            raise RequestError("Standard input cannot be both the sentence and the file: name one of them.")
        sentence, *more = console.lines_of_input()
        if more:
            raise RequestError(f"Standard input holds {len(more) + 1} sentences: neighbours takes one.")
    name, vae = loading.open_model(model, device)
    loading.need_text(vae, name)
    loading.check_sentences(vae, [sentence])
    import torch

    from textvae.latent.means import Means
    from textvae.latent.neighbours import neighbours as nearest
    from textvae_cli.reading import read_for
    from textvae_cli.render import counting, table

    raw = read_for(vae, name, file, text_column, None, encoding, limit).examples
    means = Means(vae)
    with counting("comparing", len(raw)) as progress:

        def codes() -> "Iterator[Tensor]":
            for start in range(0, len(raw), PIECE):
                yield torch.from_numpy(means(raw[start : start + PIECE]))
                progress(means.examples)

        found = nearest(vae.encode(sentence), codes(), k, metric.value)
    texts = [raw[one.row] for one in found]
    if as_json:
        rows = [{"text": text, "score": one.score, "index": one.row} for text, one in zip(texts, found)]
        console.document({"model": name, "metric": metric.value, "neighbours": rows})
        return
    heading = "cosine" if metric is Metric.cosine else "distance"
    table({heading: "right", "sentence": "left"}, [(f"{one.score:.3f}", text) for text, one in zip(texts, found)])
