"""``textvae search``: what an index holds that is nearest to a query."""

import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from textvae.errors import RequestError
from textvae_cli import console, loading, options

if TYPE_CHECKING:
    from textvae import TextVAE
    from textvae.latent.index import Example, Hit, Index

FIRST_WORDS = 60  # characters of a document that has no name
LONGEST = 400  # characters of a sentence that is shown


def search(
    words: Annotated[
        list[str], typer.Argument(metavar="IDX QUERY…", help="Index and queries; - reads queries from standard input.")
    ],
    k: Annotated[int, typer.Option("-k", min=1, max=1_000_000, help="Hits of each query.")] = 10,
    model: options.Model = None,
    device: options.Device = "cpu",
    as_json: options.Json = False,
) -> None:
    """Find what is nearest to a query in an index.

    IDX is made by textvae index, and remembers its model. A query is a text, or the file of a picture. Codes are
    compared by cosine, binary ones by the bits that differ. Of a document, the words are shown that bring it
    nearest to the query: those without which the cosine would fall most.
    """
    place, *queries = words
    from textvae.latent.index import Index, same_model
    from textvae.latent.shards import fingerprint

    index = Index.open(place)
    if not queries:
        raise RequestError(f'Say what to search for: textvae search {place} "a query".')
    if queries == ["-"]:
        queries = console.lines_of_input()
    if not len(index):
        raise RequestError(f"{place} is empty: nothing was indexed yet. textvae index FILE --out {place}.")
    name, vae = _model(index, model, device)
    same_model(index, fingerprint(vae), name)
    if index.missing:
        console.say(f"note: {place} waits for {index.missing:,} more examples; {len(index):,} are searched")
    if k > len(index):
        console.say(f"note: {place} holds {len(index):,} examples: that many hits at most")
    if index.header.kind == "image":
        z = vae.encode(_pictures(queries))
    else:
        _check(vae, queries)
        z = vae.encode(queries)
    found = index.search(z.cpu().numpy(), k)
    from textvae.latent.matches import matches

    shown = []
    for query, code, hits in zip(queries, z, found):
        examples = [(hit, index[hit.row]) for hit in hits]
        rows = [(hit, one, matches(vae, code, one.text) if one.text else []) for hit, one in examples]
        shown.append((query, rows))
    if as_json:
        facts = {"index": place, "model": name, "metric": index.header.metric}
        tree = [{"query": query, "hits": [_tree(*row) for row in rows]} for query, rows in shown]
        console.document({**facts, "results": tree})
        return
    for query, rows in shown:
        _print(index, query if len(shown) > 1 else None, rows)


def _model(index: "Index", model: str | None, device: str) -> "tuple[str, TextVAE]":
    """The model that is named, or the one that made the index."""
    made = index.header
    try:
        return loading.open_model(model or made.model, device)
    except RequestError as error:
        if model:
            raise
        raise RequestError(
            f"{index.folder} was made by the model {made.model}, which cannot be opened: {error} If it was moved, say "
            "where it is: --model M."
        ) from error


def _check(vae: "TextVAE", queries: Sequence[str]) -> None:
    """RequestError for a query of which a model of documents knows no word."""
    from textvae.codecs.bag_of_words import BagOfWordsCodec

    for query in queries:
        if isinstance(vae.codec, BagOfWordsCodec) and query.strip() and not vae.codec.encode([query])[0].size:
            raise RequestError(
                f'The model knows no word of "{textwrap.shorten(query, FIRST_WORDS, placeholder=" …")}": it was '
                f"trained with {len(vae.codec.words):,} words, as {', '.join(vae.codec.words[:5])}. Say it otherwise."
            )
    loading.check_sentences(vae, queries)


def _pictures(paths: Sequence[str]) -> list[Any]:
    """The pictures of those files, uint8 [C, H, W]."""
    from textvae_corpora import Options
    from textvae_corpora.picture_folder import read

    return [read(Path(path).parent, [Path(path)], Options()).examples[0] for path in paths]


def _tree(hit: "Hit", one: "Example", words: list[str]) -> dict[str, Any]:
    return {
        "index": hit.row,
        "score": hit.score,
        "name": one.name,
        "label": one.label,
        "text": one.text,
        "words": words,
    }


def _print(index: "Index", query: str | None, rows: "Sequence[tuple[Hit, Example, list[str]]]") -> None:
    from textvae_cli.render import Side, table

    if query is not None:
        console.out(f"{query}:")
    binary = index.header.metric == "hamming"
    labels, words = (any(rows[i][1].label for i in range(len(rows)))), any(row[2] for row in rows)
    documents = words or any(one.name for _, one, _ in rows)
    headings: dict[str, Side] = {"bits" if binary else "cosine": "right"}
    headings |= {"document" if documents else "text": "left"}
    headings |= {"label": "left"} if labels else {}
    headings |= {"words": "left"} if words else {}
    lines = []
    for hit, one, matched in rows:
        line = [f"{hit.score:.0f}" if binary else f"{hit.score:.3f}", _name(one, documents)]
        lines.append([*line, *([one.label or ""] if labels else []), *([" ".join(matched)] if words else [])])
    table(headings, lines)


def _name(one: "Example", document: bool) -> str:
    """What an example is called: its name, else its first words, or all of a sentence."""
    if one.name is not None:
        return one.name
    if one.text is None:
        return f"picture {one.row:,}"
    return textwrap.shorten(console.clean(one.text), FIRST_WORDS if document else LONGEST, placeholder=" …")
