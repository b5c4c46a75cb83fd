"""``textvae interpolate``: the sentences between two sentences, the pictures between two pictures."""

from typing import Annotated, Any

import typer

from textvae.errors import RequestError
from textvae_cli import console, loading, options, pictures


def interpolate(
    a: Annotated[
        str,
        typer.Argument(metavar="A", help="A sentence; - reads both from standard input. Or a picture: a.png digits:7."),
    ],
    b: Annotated[str | None, typer.Argument(metavar="B", help="Another sentence or picture.")] = None,
    steps: Annotated[int, typer.Option("--steps", min=2, max=10_000, help="How many, both ends too.")] = 7,
    path: Annotated[options.Path, typer.Option("--path", help="The way through the space of codes.")] = (
        options.Path.linear
    ),
    decode: options.Decode = options.Method.beam,
    temperature: options.Temperature = 1.0,
    out: options.Png = None,
    seed: options.Seed = None,
    model: options.Model = None,
    device: options.Device = "cpu",
    as_json: options.Json = False,
) -> None:
    """Write what lies between two sentences, or two pictures.

    They are a homotopy: what the model writes at points between the codes of A and B (Bowman et al. 2015).
    """
    if a == "-" and b is None:
        lines = console.lines_of_input()
        if len(lines) != 2:
            raise RequestError(f"Standard input holds {len(lines)} sentences: interpolate takes two, a line each.")
        a, b = lines
    if b is None:
        raise RequestError('interpolate takes two sentences, or two pictures: textvae interpolate "A" "B".')
    name, vae = loading.open_model(model, device)
    loading.need_code(vae, name)
    ends: list[Any] = [a, b]
    drawn = loading.writes_pictures(vae)
    if drawn:
        pictures.check_place(out, "--out strip.png", as_json)
    else:
        loading.need_no_pictures(name, {"--out": out})
    if loading.reads_pictures(vae):
        _, ends = pictures.read(vae, [a, b])
        if len(ends) != 2:
            raise RequestError(f"interpolate goes from one picture to another: {len(ends)} were named.")
    else:
        loading.check_sentences(vae, [a, b])

    import torch

    from textvae.decoding import Decoding

    if seed is not None:
        torch.manual_seed(seed)
    found = vae.interpolate(ends[0], ends[1], steps, path.value, Decoding(decode.value, temperature))
    if drawn:
        pictures.show([[step.raw for step in found]], out, as_json)
        if as_json:
            rows: list[dict[str, Any]] = [{"t": step.t, "log_prob": step.log_prob} for step in found]
            console.document({"model": name, "path": path.value, "out": out and str(out), "steps": rows})
        return
    if as_json:
        rows = [{"t": step.t, "text": step.raw, "log_prob": step.log_prob} for step in found]
        console.document({"model": name, "path": path.value, "steps": rows})
        return
    from textvae_cli.render import table

    table(
        {"t": "right", "sentence": "left", "log p": "right"},
        [(f"{step.t:.2f}", step.raw, f"{step.log_prob:.1f}") for step in found],
    )
