"""``textvae sample``: new sentences or pictures from the prior."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from textvae.errors import RequestError
from textvae_cli import console, loading, options

if TYPE_CHECKING:
    from collections.abc import Iterator

    from textvae import TextVAE
    from textvae.text_vae import Sample

CHUNK = 256  # as TextVAE.sample draws them, so that a seed gives the same sentences there


def sample(
    n: Annotated[int, typer.Option("-n", min=1, help="How many.")] = 10,
    decode: Annotated[
        options.Method | None,
        typer.Option("--decode", help="How words are chosen. Default: beam, and sample for a model without a code."),
    ] = None,
    temperature: Annotated[
        float | None, typer.Option("--temperature", min=0, max=1e6, help="Draw words, at this temperature.")
    ] = None,
    top_k: Annotated[int, typer.Option("--top-k", min=0, help="Choose among the K likeliest words; 0: all.")] = 0,
    top_p: Annotated[
        float, typer.Option("--top-p", min=0, max=1, help="Choose among the likeliest words that make up P.")
    ] = 1.0,
    grid: Annotated[Path | None, typer.Option("--grid", metavar="PNG", help="Pictures: write them side by side.")] = (
        None
    ),
    out: Annotated[Path | None, typer.Option("--out", metavar="DIR", help="Pictures: write each as a PNG.")] = None,
    nearest: Annotated[
        bool, typer.Option("--nearest", help="Pictures: under each its nearest training picture, and how near it is.")
    ] = False,
    label: Annotated[str | None, typer.Option("--label", help="Write examples of this class.")] = None,
    seed: options.Seed = None,
    model: options.Model = None,
    device: options.Device = "cpu",
    as_json: options.Json = False,
) -> None:
    """Write new sentences, or new pictures.

    A code is drawn from the prior, and its most probable sentence is written. With a temperature, --top-k or
    --top-p, words are drawn as well; temperature 1 is the model as it is. A model of pictures gives the mean of
    each, with --decode sample a draw. With --nearest one sees whether it has learned to draw or recites: distances
    of samples to the training pictures stand beside those of pictures that were held out.
    """
    import sys

    name, vae = loading.open_model(model, device)

    import torch

    from textvae.decoding import Decoding

    drawing = temperature is not None or top_k > 0 or top_p < 1 or not vae.settings.model.latent_size
    method = decode or (options.Method.sample if drawing else options.Method.beam)
    decoding = Decoding(method.value, 1.0 if temperature is None else temperature, top_k, top_p)
    if seed is not None:
        torch.manual_seed(seed)
    drawn = (vae.sample(min(CHUNK, n - start), decoding, label=label) for start in range(0, n, CHUNK))
    if loading.writes_pictures(vae):
        if drawing:
            raise RequestError(f"--temperature, --top-k and --top-p are for words, and {name} writes pictures.")
        _pictures(drawn, vae, name, grid, out, nearest, as_json)
        return
    loading.need_no_pictures(name, {"--grid": grid, "--out": out, "--nearest": nearest or None})
    rows = []
    for some in drawn:
        if as_json:
            rows += [{"text": one.raw, "log_prob": one.log_prob} for one in some]
            continue
        for one in some:
            console.out(one.raw)
        sys.stdout.flush()
    if as_json:
        console.document({"model": name, "samples": rows})


def _pictures(
    drawing: "Iterator[list[Sample]]",
    vae: "TextVAE",
    name: str,
    grid: Path | None,
    out: Path | None,
    nearest: bool,
    as_json: bool,
) -> None:
    from textvae.pictures import square
    from textvae_cli import memory, pictures

    pictures.check_place(grid, "--grid out.png, or --out DIR", as_json or out is not None or nearest)
    if out is not None:
        pictures.check_folder(out)
    corpus = memory.needed(vae, name) if nearest else None
    drawn = [one for some in drawing for one in some]
    raw = [one.raw for one in drawn]
    if out is not None:
        pictures.save_each(raw, out)
    found = None if corpus is None else memory.look_up(raw, corpus)
    pictures.show(square(raw) if found is None else memory.sheet(raw, found.pictures), grid, as_json)
    if as_json:
        rows: list[dict[str, Any]] = [{"log_prob": one.log_prob} for one in drawn]
        facts: dict[str, Any] = {"model": name, "grid": grid and str(grid), "out": out and str(out)}
        if found is not None:
            rows = [{**row, **each} for row, each in zip(rows, found.each)]
            facts["nearest"] = found.facts
        console.document({**facts, "samples": rows})
    elif found is not None:
        memory.show(found)
