"""``textvae reconstruct``: what comes back of a sentence or a picture, or what is said of a picture."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from textvae.errors import RequestError
from textvae_cli import console, loading, options

if TYPE_CHECKING:
    import numpy as np

    from textvae import Decoding, TextVAE

CHUNK = 64
COLUMNS = 12  # pictures beside one another


def reconstruct(
    examples: Annotated[
        list[str],
        typer.Argument(metavar="A…", help="Sentences; - reads them from standard input. Or pictures: a.png digits:7."),
    ],
    samples: Annotated[
        int | None,
        typer.Option("--samples", min=0, max=1000, help="Draws from the posterior of each; 3, of pictures 0."),
    ] = None,
    noisy: Annotated[
        bool, typer.Option("--noisy", help="Pictures: read them with the noise of the training, and show it.")
    ] = False,
    out: options.Png = None,
    decode: options.Decode = options.Method.beam,
    temperature: options.Temperature = 1.0,
    seed: options.Seed = None,
    model: options.Model = None,
    device: options.Device = "cpu",
    as_json: options.Json = False,
) -> None:
    """Encode sentences or pictures and write them again.

    A model of captions writes what it says of a picture. The first is written at the posterior mean, the others at
    draws from the posterior.
    """
    if examples == ["-"]:
        examples = console.lines_of_input()
    name, vae = loading.open_model(model, device)
    loading.need_code(vae, name)

    import torch

    from textvae.decoding import Decoding
    from textvae_cli.render import blocks

    if seed is not None:
        torch.manual_seed(seed)
    decoding = Decoding(decode.value, temperature)
    if loading.writes_pictures(vae):
        _pictures(vae, name, examples, samples or 0, noisy, decoding, out, as_json)
        return
    loading.need_no_pictures(name, {"--out": out, "--noisy": noisy or None})
    raw: Sequence[Any] = examples
    if captioned := loading.reads_pictures(vae):
        from textvae_cli import pictures

        examples, raw = pictures.read(vae, examples)
    else:
        loading.check_sentences(vae, examples)
    samples = 3 if samples is None else samples
    written: list[list[str]] = []
    for start in range(0, len(raw), CHUNK):
        written += vae.reconstruct(raw[start : start + CHUNK], samples, decoding)
    what, back = ("picture", "caption") if captioned else ("text", "reconstruction")
    if as_json:
        found = [{what: one, back: mean, "samples": draws} for one, (mean, *draws) in zip(examples, written)]
        console.document({"model": name, "reconstructions": found})
        return
    headings = ["picture" if captioned else "sentence", back, *(f"sample {i + 1}" for i in range(samples))]
    blocks(headings, [(one, *texts) for one, texts in zip(examples, written)])


def _pictures(
    vae: "TextVAE",
    name: str,
    sources: list[str],
    samples: int,
    noisy: bool,
    decoding: "Decoding",
    out: Path | None,
    as_json: bool,
) -> None:
    """Rows of originals, ``noisy`` of what is read, of what the posterior means give back, and of what draws give."""
    from textvae.corruptions.base import NoCorruption
    from textvae_cli import pictures

    if noisy and isinstance(vae.model.encoder_noise, NoCorruption):
        raise RequestError(f"{name} was trained without noise on what it reads: leave --noisy out.")
    pictures.check_place(out, "--out pairs.png", as_json)
    names, originals = pictures.read(vae, sources)
    read = originals
    if noisy:
        read = vae.codec.decode(vae.model.encoder_noise.corrupt(vae.batch(originals)))
    back: list[list[np.ndarray]] = []
    for start in range(0, len(read), CHUNK):
        back += vae.reconstruct(read[start : start + CHUNK], samples, decoding)
    shown = zip(originals, read) if noisy else zip(originals)
    rows: list[list[np.ndarray]] = []
    width = pictures.beside(COLUMNS, out)
    pairs = [[*before, *after] for before, after in zip(shown, back)]
    for start in range(0, len(pairs), width):
        columns = pairs[start : start + width]
        rows += [*([[]] if rows else []), *map(list, zip(*columns))]
    pictures.show(rows, out, as_json)
    if as_json:
        found = [
            {"picture": each, "distortion": nats, "squared_error": float(((x / 255.0 - mean / 255.0) ** 2).sum())}
            for each, nats, x, (mean, *_) in zip(names, _distortions(vae, originals, read), originals, back)
        ]
        console.document({"model": name, "out": out and str(out), "reconstructions": found})


def _distortions(vae: "TextVAE", originals: "list[np.ndarray]", read: "list[np.ndarray]") -> list[float]:
    """−log p(x|z) of the originals at the posterior means of what was read, in nats."""
    import torch

    found: list[float] = []
    with torch.no_grad():
        for start in range(0, len(originals), CHUNK):
            x, seen = (vae.batch(pictures[start : start + CHUNK]) for pictures in (originals, read))
            q, y = vae.model.infer(seen)
            found += (-vae.model.log_px(x, q.mean[None], y)[0]).tolist()
    return found
