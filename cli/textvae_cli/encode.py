"""``textvae encode``: the codes of a whole file."""

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from textvae.errors import RequestError
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
    part: Annotated[
        str | None, typer.Option("--part", metavar="I/N", help="Make the I-th of N parts only; see below.")
    ] = None,
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
    on where it was: run it again. Several workers share the work with --part 1/8 … --part 8/8; the same command
    without --part then joins what they made.
    """
    from textvae.latent import shards

    number, of = _part(part) if part else (0, 0)
    shards.check_place(out, overwrite)
    name, vae = loading.open_model(model, device)
    loading.need_code(vae, name)
    from textvae.latent.means import Means
    from textvae_cli.reading import read_for
    from textvae_cli.render import counting

    split = read_for(vae, name, file, text_column, label_column, encoding, limit)
    total, size = len(split.examples), vae.settings.model.latent_size
    used = loading.precision_of(vae, precision)
    means = Means(vae, used)
    maker = f"{shards.fingerprint(vae)} {used}"
    work = shards.Shards(out, split, means, size, maker, dtype.value)
    try:
        with counting("encoding", total) as progress:
            found = work.write_part(number, of, progress) if of else work.write(progress, console.say)
    except KeyboardInterrupt:
        console.say(f"The shards that are done are kept in {work.folder}: run the same command again to go on.")
        raise
    if found:
        console.say(f"{found:,} of {total:,} had been encoded before")
    if of:
        console.say(f"part {part} is in {work.folder}; when all are, the same command without --part writes {out}")
    speed = means.examples / max(means.seconds, 1e-9)
    if as_json:
        facts = {"model": name, "out": str(out), "rows": total, "size": size, "dtype": dtype.value}
        counted = {"encoded": means.examples, "per_second": speed, "model_share": means.share}
        console.document({**facts, **counted, "device": str(vae.model.device), "precision": used, "part": part})
        return
    if not of:
        console.say(f"{out}: {total:,} × {size} {dtype.value}")
    if means.examples:
        console.say(f"{speed:,.0f} {_unit(split)}/s, {means.share:.0%} of the time inside the model")


def _part(text: str) -> tuple[int, int]:
    """``3/8`` to (2, 8)."""
    number, _, of = text.partition("/")
    if not (number.isascii() and number.isdigit() and of.isascii() and of.isdigit() and 1 <= int(number) <= int(of)):
        raise RequestError(f"--part is a number of parts and which of them, as in 3/8; {text!r} is not that.")
    return int(number) - 1, int(of)


def _unit(split: "Split") -> str:
    return "pictures" if split.kind == "image" else "texts"
