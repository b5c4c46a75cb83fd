"""``textvae reconstruct``: what comes back of a sentence."""

from typing import Annotated

import typer

from textvae_cli import console, loading, options

CHUNK = 64


def reconstruct(
    sentences: Annotated[list[str], typer.Argument(metavar="A…", help="Sentences; - reads them from standard input.")],
    samples: Annotated[int, typer.Option("--samples", min=0, max=1000, help="Draws from the posterior of each.")] = 3,
    decode: options.Decode = options.Method.beam,
    temperature: options.Temperature = 1.0,
    seed: options.Seed = None,
    model: options.Model = None,
    device: options.Device = "cpu",
    as_json: options.Json = False,
) -> None:
    """Encode sentences and write them again.

    The first is written at the posterior mean, the others at draws from the posterior.
    """
    if sentences == ["-"]:
        sentences = console.lines_of_input()
    name, vae = loading.open_model(model, device)
    loading.need_text(vae, name)
    loading.check_sentences(vae, sentences)

    import torch

    from textvae.decoding import Decoding
    from textvae_cli.render import blocks

    if seed is not None:
        torch.manual_seed(seed)
    decoding = Decoding(decode.value, temperature)
    rows: list[tuple[str, list[str]]] = []
    for start in range(0, len(sentences), CHUNK):
        chunk = sentences[start : start + CHUNK]
        rows += zip(chunk, vae.reconstruct(chunk, samples, decoding))
    if as_json:
        found = [{"text": text, "reconstruction": mean, "samples": draws} for text, (mean, *draws) in rows]
        console.document({"model": name, "reconstructions": found})
        return
    headings = ["sentence", "reconstruction", *(f"sample {i + 1}" for i in range(samples))]
    blocks(headings, [(text, *written) for text, written in rows])
