"""``textvae topics``: the words of each unit of a document model's code, and what each document is about."""

import textwrap
from typing import TYPE_CHECKING, Annotated

import typer

from textvae_cli import console, loading, options

if TYPE_CHECKING:
    from torch import Tensor

    from textvae import TextVAE
    from textvae_corpora import Split

BATCH = 512
MOST = 3  # topics that are shown of a document
FIRST_WORDS = 60  # characters of a document that has no name


def topics(
    file: Annotated[
        str | None,
        typer.Argument(metavar="[FILE]", help="Also tell the topics of each document: file, corpus name or -."),
    ] = None,
    top: Annotated[int, typer.Option("--top", min=1, max=100_000, help="Words of each topic.")] = 10,
    limit: options.Limit = None,
    text_column: options.TextColumn = None,
    label_column: options.LabelColumn = None,
    encoding: options.Encoding = "utf-8",
    model: options.Model = None,
    device: options.Device = "cpu",
    as_json: options.Json = False,
) -> None:
    """Name the topics of a document model by their words.

    Words are ranked by how probable a topic makes them, and by how much more probable than they are without it; their
    probability stands beside them. The number of a topic is its place in the code. With FILE, the shares of the topics
    in each document are told instead; of a model whose code is no shares (NVDM), the units that are highest.
    """
    name, vae = loading.open_model(model, device)
    from textvae.evaluation import documents

    found = documents.topics(vae.model)
    ids = found.first(top)
    words = [[vae.codec.words[i] for i in row] for row in ids.tolist()]  # type: ignore[attr-defined]
    shares = found.words.cpu().gather(1, ids).tolist()
    relevance = found.relevance().cpu().gather(1, ids).tolist()
    keys = ("word", "probability", "relevance")
    tree = {
        "model": name,
        "topics": [
            {"topic": k, "words": [dict(zip(keys, row)) for row in zip(*columns)]}
            for k, columns in enumerate(zip(words, shares, relevance))
        ],
    }
    if file is None:
        if as_json:
            console.document(tree)
        else:
            _print_topics(words, shares)
        return
    split, held = _shares(vae, name, file, text_column, label_column, encoding, limit)
    value = "share" if vae.model.decoder.simplex else "value"
    if as_json:
        rows = [
            {"index": i, "name": split.names[i] if split.names else None, value + "s": row}
            for i, row in enumerate(held.tolist())
        ]
        console.document({**tree, "documents": rows})
        return
    _print_documents(split, held, words, value)


def _shares(
    vae: "TextVAE",
    name: str,
    file: str,
    text_column: str | None,
    label_column: str | None,
    encoding: str,
    limit: int | None,
) -> "tuple[Split, Tensor]":
    """The documents of a file and their shares [N, K], or their codes where these are no shares."""
    from textvae.batching import Batches
    from textvae.evaluation.documents import shares
    from textvae_cli.reading import read_for
    from textvae_corpora import encode_examples

    split = read_for(vae, name, file, text_column, label_column, encoding, limit)
    examples = encode_examples(split.examples, vae.codec)
    unknown = int((examples.lengths == 0).sum())
    if unknown:
        console.say(f"note: {unknown:,} of {len(examples):,} documents hold no word that the model knows")
    return split, shares(vae.model, Batches(examples, vae.codec.collate, BATCH, shuffle=False))


def _print_topics(words: list[list[str]], weights: list[list[float]]) -> None:
    from textvae_cli.render import table

    rows = [
        (k, " ".join(f"{word} {p:.2g}" for word, p in zip(row, shares)))
        for k, (row, shares) in enumerate(zip(words, weights))
    ]
    table({"topic": "right", "words": "left"}, rows)


def _print_documents(split: "Split", shares: "Tensor", words: list[list[str]], value: str) -> None:
    from textvae_cli.render import table

    best = shares.topk(min(MOST, shares.shape[1]))
    rows = []
    for i, (topics, weights) in enumerate(zip(best.indices.tolist(), best.values.tolist())):
        shown = (
            split.names[i]
            if split.names
            else textwrap.shorten(console.clean(split.examples[i][: 20 * FIRST_WORDS]), FIRST_WORDS, placeholder=" …")
        )
        about = [f"{k}: {weight:.2f} ({' '.join(words[k][:3])})" for k, weight in zip(topics, weights)]
        rows.append((shown, *about))
    table({"document": "left", f"topic: {value}": "left", "": "left", " ": "left"}, rows)
