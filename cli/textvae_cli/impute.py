"""``textvae impute``: the words that are missing from a sentence."""

from typing import Annotated

import typer

from textvae.errors import RequestError
from textvae_cli import console, loading, options


def impute(
    text: Annotated[
        str,
        typer.Argument(metavar="TEXT", help="A sentence with blanks (___); - reads it from standard input."),
    ],
    n: Annotated[int, typer.Option("-n", min=1, max=1000, help="Completions to print.")] = 5,
    words: Annotated[int, typer.Option("--words", min=1, max=20, help="Most words in a blank.")] = 2,
    seed: options.Seed = 0,
    model: options.Model = None,
    device: options.Device = "cpu",
    as_json: options.Json = False,
) -> None:
    """Fill the blanks of a sentence: "the ___ sat on the ___".

    A blank is three underscores or more, and stands for whole words, anywhere in the sentence. The model
    looks for the words that make the whole sentence most probable, what follows the blank included; log p is
    its bound. End the sentence as a whole one ends: its full stop is one of the known words.
    """
    if text == "-":
        text, *more = console.lines_of_input()
        if more:
            raise RequestError(f"Standard input holds {len(more) + 1} sentences: impute takes one.")
    name, vae = loading.open_model(model, device)
    loading.need_text(vae, name, code=False)
    from textvae.latent.imputation import Imputation, parts_of
    from textvae.latent.imputation import impute as fill

    if known := " ".join(" ".join(parts_of(text)).split()):
        loading.check_sentences(vae, [known])
    found = fill(vae, text, n, Imputation(max_words=words, max_tokens=2 * words), seed)
    if not found:
        raise RequestError("No words were found that fit: give the model more of the sentence, or fewer blanks.")
    if as_json:
        rows = [{"text": one.text, "words": one.words, "log_prob": one.log_prob} for one in found]
        console.document({"model": name, "completions": rows})
        return
    from textvae_cli.render import table

    table(
        {"sentence": "left", "words": "left", "log p": "right"},
        [(one.text, " | ".join(one.words), f"{one.log_prob:.1f}") for one in found],
    )
