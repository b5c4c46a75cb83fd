"""``textvae encode``: the codes of a whole file."""

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from textvae_cli import console, loading, options

if TYPE_CHECKING:
    from textvae_corpora import Split


class Dtype(StrEnum):
    """Of the numbers that are written."""

    float32 = "float32"
    float16 = "float16"


def encode(
    file: Annotated[str, typer.Argument(metavar="FILE", help="File, folder, corpus name (ptb/test) or -.")],
    out: Annotated[Path, typer.Option("--out", help="Z.npy, or Z.parquet with the text and the label beside z.")],
    dtype: Annotated[Dtype, typer.Option("--dtype", help="Of the numbers that are written.")] = Dtype.float32,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace --out if it is there.")] = False,
    limit: options.Limit = None,
    text_column: options.TextColumn = None,
    label_column: options.LabelColumn = None,
    encoding: options.Encoding = "utf-8",
    precision: Annotated[options.Precision, typer.Option("--precision", help="Of products.")] = options.Precision.fp32,
    model: options.Model = None,
    device: options.Device = "auto",
    as_json: options.Json = False,
) -> None:
    """Write the codes of a file, a row an example.

    A code is the mean of the posterior. Works on sentences, documents and pictures. A run that was killed goes
    on where it was: run it again.
    """
    from textvae.latent import shards

    shards.check_place(out, overwrite)
    name, vae = loading.open_model(model, device)
    loading.need_code(vae, name)
    from textvae.devices import resolve
    from textvae.latent.means import Means
    from textvae.settings import TrainSettings
    from textvae_cli.reading import read_for
    from textvae_cli.render import counting

    split = read_for(vae, name, file, text_column, label_column, encoding, limit)
    total, size = len(split.examples), vae.settings.model.latent_size
    used = resolve(TrainSettings(device=str(vae.model.device), precision=precision.value)).precision
    means = Means(vae, used)
    maker = f"{shards.fingerprint(vae)} {used}"
    work = shards.Shards(out, split, means, size, maker, dtype.value)
    try:
        with counting("encoding", total) as progress:
            found = work.write(progress, console.say)
    except KeyboardInterrupt:
        console.say(f"The shards that are done are kept in {work.folder}: run the same command again to go on.")
        raise
    if found:
        console.say(f"{found:,} of {total:,} had been encoded before")
    speed = means.examples / max(means.seconds, 1e-9)
    if as_json:
        facts = {"model": name, "out": str(out), "rows": total, "size": size, "dtype": dtype.value}
        counted = {"encoded": means.examples, "per_second": speed, "model_share": means.share}
        console.document({**facts, **counted, "device": str(vae.model.device), "precision": used})
        return
    console.say(f"{out}: {total:,} × {size} {dtype.value}")
    if means.examples:
        console.say(f"{speed:,.0f} {_unit(split)}/s, {means.share:.0%} of the time inside the model")


def _unit(split: "Split") -> str:
    return "pictures" if split.kind == "image" else "texts"
