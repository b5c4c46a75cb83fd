"""``textvae sample``: new sentences from the prior."""

from typing import Annotated

import typer

from textvae_cli import console, loading, options

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
    seed: options.Seed = None,
    model: options.Model = None,
    device: options.Device = "cpu",
    as_json: options.Json = False,
) -> None:
    """Write new sentences.

    A code is drawn from the prior, and its most probable sentence is written. With a temperature, --top-k or
    --top-p, words are drawn as well; temperature 1 is the model as it is.
    """
    import sys

    name, vae = loading.open_model(model, device)
    loading.need_text(vae, name, code=False)

    import torch

    from textvae.decoding import Decoding

    drawing = temperature is not None or top_k > 0 or top_p < 1 or not vae.settings.model.latent_size
    method = decode or (options.Method.sample if drawing else options.Method.beam)
    decoding = Decoding(method.value, 1.0 if temperature is None else temperature, top_k, top_p)
    if seed is not None:
        torch.manual_seed(seed)
    rows = []
    for start in range(0, n, CHUNK):
        drawn = vae.sample(min(CHUNK, n - start), decoding)
        if as_json:
            rows += [{"text": one.raw, "log_prob": one.log_prob} for one in drawn]
            continue
        for one in drawn:
            console.out(one.raw)
        sys.stdout.flush()
    if as_json:
        console.document({"model": name, "samples": rows})
