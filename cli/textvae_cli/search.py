"""``textvae search``: what an index holds that is nearest to a query."""

import os
import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from textvae.errors import RequestError
from textvae_cli import console, loading, options

if TYPE_CHECKING:
    from torch import Tensor

    from textvae import TextVAE
    from textvae.latent.index import Example, Hit, Index

    Row = tuple[Hit, Example, list[str]]

FIRST_WORDS = 60  # characters of a document that has no name
EXPLAINED = 100  # hits of a query that are shown with their words: each costs as much as encoding its words
COLUMNS = 12  # hits beside one another on the sheet of pictures
LONGEST = 400  # characters of a sentence that is shown
ENCODED = 4096  # pictures that are read at once
SAID = "log_prob"  # the metric between a text and pictures


def search(
    asked: Annotated[
        list[str],
        typer.Argument(metavar="[IDX] QUERY…", help="Index and queries; - reads queries from standard input."),
    ],
    k: Annotated[int, typer.Option("-k", min=1, max=1_000_000, help="Hits of each query.")] = 10,
    radius: Annotated[
        int | None, typer.Option("--radius", min=0, help="Of binary codes: hits that differ in at most so many bits.")
    ] = None,
    out: options.Png = None,
    model: options.Model = None,
    device: options.Device = "cpu",
    as_json: options.Json = False,
) -> None:
    """Find what is nearest to a query in an index.

    IDX is made by textvae index, and remembers its model. A query is a text, or the file of a picture. Codes are
    compared by cosine, binary ones by the bits that differ; pictures and a text, of which a model of captions
    says log p(text | picture), by that. Of a document, the words are shown that bring it
    nearest to the query: those without which the cosine would fall most. A query alone is searched for in the
    documentation of the Python that is installed.
    """
    from textvae.latent.index import Index, is_index, same_model
    from textvae.latent.shards import fingerprint

    place, *queries = asked
    if not queries and not is_index(place) and not place.endswith(".idx") and not os.path.exists(place):
        from textvae_cli import python_docs

        queries, (place, made_by) = [place], python_docs.index()
        model = model or made_by
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
    shown: Sequence[Any] = queries
    drawn = index.header.kind == "image"
    by_text = drawn and not loading.writes_pictures(vae) and not any(map(loading.names_picture, queries))
    if drawn:
        from textvae_cli import pictures

        if out is not None:
            pictures.check_place(out, "--out hits.png", as_json)
    if by_text:
        if radius is not None:
            raise RequestError("--radius is a number of bits, by which codes differ: a text and a picture do not.")
        loading.check_sentences(vae, queries)
        told = _said(vae, index, queries, k)
        answers = [(query, _told(vae, None, hits, index)) for query, hits in zip(queries, told)]
    else:
        if drawn:
            _, shown = pictures.read(vae, queries)
        else:
            loading.need_no_pictures(name, {"--out": out})
            _check(vae, queries)
        z = vae.encode(shown)
        found = index.search(z.cpu().numpy(), k, radius)
        for query, hits in zip(queries, found):
            if not hits:
                console.say(f'note: nothing lies within {radius} bits of "{query}": take a larger --radius')
        answers = [(query, _told(vae, code, hits, index)) for query, code, hits in zip(queries, z, found)]
    if drawn:
        found_pictures = [[one.picture for _, one, _ in rows] for _, rows in answers]
        pictures.show(_sheet(None if by_text else shown, found_pictures), out, as_json)
    metric = SAID if by_text else index.header.metric
    if as_json:
        facts = {"index": place, "model": name, "metric": metric}
        tree = [{"query": query, "hits": [_tree(*row) for row in rows]} for query, rows in answers]
        console.document({**facts, "results": tree})
        return
    for query, rows in answers:
        _print(metric, query if len(answers) > 1 else None, rows)


def _said(vae: "TextVAE", index: "Index", texts: Sequence[str], k: int) -> "list[list[Hit]]":
    """For each text the ``k`` pictures of which it is the most probable caption: all are read again, and scored."""
    import torch

    from textvae.latent.index import Hit
    from textvae.latent.means import Means
    from textvae.latent.said import said_of
    from textvae_cli.render import counting

    means = Means(vae)
    codes = []
    with counting("reading pictures", len(index)) as progress:
        for start in range(0, len(index), ENCODED):
            end = min(start + ENCODED, len(index))
            codes.append(torch.from_numpy(means([index[row].picture for row in range(start, end)])))
            progress(end)
    z = torch.cat(codes)
    found = []
    for text in texts:
        scores, rows = said_of(vae, text, z).cpu().topk(min(k, len(z)))
        found.append([Hit(*hit) for hit in zip(rows.tolist(), scores.tolist())])
    return found


def _told(vae: "TextVAE", code: "Tensor | None", hits: "Sequence[Hit]", index: "Index") -> "list[Row]":
    """The hits with their examples; of the first ones the words that bring them near, or what is said of them."""
    from textvae.latent.matches import matches

    rows: list[Row] = []
    for place, hit in enumerate(hits):
        one = index[hit.row]
        words = matches(vae, code, one.text) if one.text and code is not None and place < EXPLAINED else []
        rows.append((hit, one, words))
    if loading.reads_pictures(vae) and not loading.writes_pictures(vae):
        captions = vae.reconstruct([one.picture for _, one, _ in rows[:EXPLAINED]])
        told = [one._replace(text=caption) for (_, one, _), [caption] in zip(rows, captions)]
        rows[:EXPLAINED] = [(hit, one, words) for (hit, _, words), one in zip(rows, told)]
    return rows


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


def _sheet(queries: Sequence[Any] | None, hits: Sequence[Sequence[Any]]) -> list[list[Any]]:
    """A row a query: the picture, if it is one, a gap, and what was found, in as many rows as it takes."""
    if queries is None:
        return [list(found[start : start + COLUMNS]) for found in hits for start in range(0, len(found), COLUMNS)]
    gap = queries[0] * 0 + 255
    rows = []
    for query, found in zip(queries, hits):
        for start in range(0, max(1, len(found)), COLUMNS):
            rows.append([gap if start else query, gap, *found[start : start + COLUMNS]])
    return rows


def _tree(hit: "Hit", one: "Example", words: list[str]) -> dict[str, Any]:
    return {
        "index": hit.row,
        "score": hit.score,
        "name": one.name,
        "label": one.label,
        "text": one.text,
        "words": words,
    }


def _print(metric: str, query: str | None, rows: "Sequence[Row]") -> None:
    from textvae_cli.render import Side, table

    if query is not None:
        console.out(f"{query}:")
    labels, words = any(one.label for _, one, _ in rows), any(row[2] for row in rows)
    drawn = any(one.picture is not None for _, one, _ in rows)
    captions = drawn and any(one.text for _, one, _ in rows)
    documents = words or any(one.name for _, one, _ in rows)
    headings: dict[str, Side] = {{"hamming": "bits", SAID: "log p"}.get(metric, "cosine"): "right"}
    headings |= {"picture" if drawn else "document" if documents else "text": "left"}
    headings |= {name: "left" for name, shown in (("label", labels), ("words", words), ("caption", captions)) if shown}
    lines = []
    for hit, one, matched in rows:
        line = [f"{hit.score:.0f}" if metric == "hamming" else f"{hit.score:.3f}", _name(one, documents)]
        line += [one.label or ""] if labels else []
        lines.append([*line, *([" ".join(matched)] if words else []), *([one.text or ""] if captions else [])])
    table(headings, lines)


def _name(one: "Example", document: bool) -> str:
    """What an example is called: its name, else its first words, or all of a sentence."""
    if one.name is not None:
        return one.name
    if one.text is None or one.picture is not None:
        return f"picture {one.row:,}"
    return textwrap.shorten(console.clean(one.text), FIRST_WORDS if document else LONGEST, placeholder=" …")
