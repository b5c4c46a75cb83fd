"""``textvae index``: the codes of a file on disk, to be searched."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from textvae.errors import RequestError
from textvae_cli import console, loading, options

if TYPE_CHECKING:
    from textvae import TextVAE
    from textvae.latent.index import Header
    from textvae.latent.means import Means
    from textvae_corpora import Split


def index(
    file: Annotated[str, typer.Argument(metavar="FILE", help="File, folder, corpus name (ptb/test) or -.")],
    out: Annotated[Path, typer.Option("--out", metavar="IDX", help="The folder of the index.")],
    append: Annotated[bool, typer.Option("--append", help="Put FILE to what the index holds.")] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Begin again if the index is there.")] = False,
    binary: Annotated[
        bool, typer.Option("--binary", help="A bit a dimension: smaller and quicker, compared by Hamming distance.")
    ] = False,
    limit: options.Limit = None,
    text_column: options.TextColumn = None,
    label_column: options.LabelColumn = None,
    encoding: options.Encoding = "utf-8",
    model: options.Model = None,
    device: options.Device = "auto",
    as_json: options.Json = False,
) -> None:
    """Index sentences, documents or pictures for textvae search.

    The index keeps their codes, texts and labels, and which model made it. A run that was killed goes on where it
    was: run it again. Bits are set where a code is above the median of its dimension.
    """
    from textvae.latent import index as indices

    indices.begin(out)
    if overwrite:
        indices.remove(out)
    known = indices.Index.open(out) if indices.is_index(out) else None
    name, vae = loading.open_model(model or (known.header.model if known else None), device)
    loading.need_code(vae, name)
    from textvae.latent.means import Means
    from textvae.latent.shards import fingerprint
    from textvae_cli.plan import absolute
    from textvae_cli.reading import read_for
    from textvae_cli.render import counting

    if known:
        indices.same_model(known, fingerprint(vae), name)
        if binary and known.header.thresholds is None:
            raise RequestError(f"{out} holds real codes: --binary is for a new index. Take another --out.")
    split = read_for(vae, name, file, text_column, label_column, encoding, limit)
    means = Means(vae)
    header = known.header if known else _header(vae, name, means, split, binary)
    work = indices.Indexing(out, split, means, header, absolute(file) or file, split.names)
    total = len(split.examples)
    try:
        with counting("indexing", total) as progress:
            found = work.write(append, progress)
    except KeyboardInterrupt:
        console.say(f"What is indexed is kept in {out}: run the same command again to go on.")
        raise
    made = indices.Index.open(out)
    if found:
        console.say(f"{found:,} of {total:,} had been indexed before")
    if as_json:
        facts = {"index": str(out), "model": name, "metric": header.metric, "size": header.size}
        console.document({**facts, "rows": len(made), "added": total - found})
        return
    width = f"{header.size} bits" if header.thresholds else f"{header.size} numbers"
    console.say(f"{out}: {len(made):,} {_unit(vae)} in codes of {width}")


def _header(vae: "TextVAE", name: str, means: "Means", split: "Split", binary: bool) -> "Header":
    from textvae.latent.bits import medians
    from textvae.latent.index import Header, sample_rows
    from textvae.latent.shards import fingerprint
    from textvae.supports import Support
    from textvae_cli.plan import absolute

    cuts: tuple[float, ...] | None = None
    if vae.model.prior.support is Support.BITS:
        cuts = (0.5,) * vae.settings.model.latent_size
    elif binary:
        some = [split.examples[i] for i in sample_rows(len(split.examples))]
        cuts = tuple(medians(means(some)).tolist())
    shape = loading.shape(vae) or ()
    size, recipe = vae.settings.model.latent_size, vae.settings.recipe
    return Header(absolute(name) or name, fingerprint(vae), split.kind, size, cuts, shape, recipe)


def _unit(vae: "TextVAE") -> str:
    if loading.reads_pictures(vae):
        return "pictures"
    return "documents" if vae.settings.codec.name == "bag_of_words" else "sentences"
