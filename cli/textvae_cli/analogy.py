"""``textvae analogy``: A is to B as C is to what."""

from typing import Annotated

import typer

from textvae.errors import RequestError
from textvae_cli import console, loading, options


def analogy(
    a: Annotated[str, typer.Argument(metavar="A", help="A sentence; - reads all three from standard input.")],
    b: Annotated[str | None, typer.Argument(metavar="B", help="What became of A.")] = None,
    c: Annotated[str | None, typer.Argument(metavar="C", help="A sentence to do the same with.")] = None,
    decode: options.Decode = options.Method.beam,
    temperature: options.Temperature = 1.0,
    seed: options.Seed = None,
    model: options.Model = None,
    device: options.Device = "cpu",
    as_json: options.Json = False,
) -> None:
    """Write the sentence that is to C what B is to A.

    It is what the model writes at the code z(B) - z(A) + z(C).
    """
    if a == "-" and b is None:
        lines = console.lines_of_input()
        if len(lines) != 3:
            raise RequestError(f"Standard input holds {len(lines)} sentences: analogy takes three, a line each.")
        a, b, c = lines
    if b is None or c is None:
        raise RequestError('analogy takes three sentences: textvae analogy "A" "B" "C".')
    name, vae = loading.open_model(model, device)
    loading.need_text(vae, name)
    loading.check_sentences(vae, [a, b, c])

    import torch

    from textvae.decoding import Decoding
    from textvae.latent.arithmetic import analogy as between

    if seed is not None:
        torch.manual_seed(seed)
    z = between(*vae.encode([a, b, c]))
    (text,), (log_prob,) = vae.write(z[None], Decoding(decode.value, temperature))
    if as_json:
        console.document({"model": name, "a": a, "b": b, "c": c, "text": text, "log_prob": log_prob})
        return
    console.out(text)
