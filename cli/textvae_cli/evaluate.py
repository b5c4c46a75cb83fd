"""``textvae evaluate``: bounds on log p(x) and what the code carries, on a file."""

from typing import Annotated, Any

import typer

from textvae.errors import RequestError
from textvae_cli import console, loading, options

BATCH = 64


def evaluate(
    file: Annotated[str, typer.Argument(metavar="FILE", help="File, folder, corpus name (ptb/test) or -.")],
    iw_samples: Annotated[
        int, typer.Option("--iw-samples", min=0, max=1_000_000, help="Codes per example of the tighter bound.")
    ] = 0,
    limit: options.Limit = None,
    text_column: options.TextColumn = None,
    encoding: options.Encoding = "utf-8",
    seed: options.Seed = 0,
    model: options.Model = None,
    device: options.Device = "auto",
    as_json: options.Json = False,
) -> None:
    """Measure a model on a file.

    NLL, KL, mutual information, active units, perplexity, and BLEU of reconstructions, over a line an example.
    """
    name, vae = loading.open_model(model, device)
    from textvae.batching import Batches
    from textvae.evaluation import bounds
    from textvae.evaluation.text import reconstruction_bleu
    from textvae_cli.render import counting, waiting
    from textvae_corpora import encode_examples, load_examples

    with waiting(f"reading {file}"):
        raw, _, notes = load_examples(file, text_column=text_column, encoding=encoding, limit=limit)
        if isinstance(raw[0], str) == loading.reads_pictures(vae):
            holds, reads = ("text", "pictures") if isinstance(raw[0], str) else ("pictures", "text")
            raise RequestError(f"{file} holds {holds}, and the model {name} reads {reads}.")
        examples = encode_examples(raw, vae.codec)
    for note in notes:
        console.say(f"{file}: {note}")
    batches = Batches(examples, vae.codec.collate, BATCH, shuffle=False)
    with counting("evaluating", len(raw)) as progress:
        report = bounds.evaluate(vae.model, batches, iw_samples, seed=seed or 0, progress=progress)
    with waiting("reconstructing"):
        bleu = reconstruction_bleu(vae, raw)
    found = {"model": name, **report.to_dict(), "reconstruction_bleu": bleu}
    if as_json:
        console.document(found)
        return
    from textvae_cli.render import table

    words = {"pixels": ("picture", "pixels"), "bag_of_words": ("document", "words")}
    each, unit = words.get(vae.settings.codec.name, ("sentence", "tokens"))
    table({"": "left", "value": "right", "what it is": "left"}, _explained(found, each, unit))


def _explained(found: dict[str, Any], each: str, unit: str) -> list[tuple[str, str, str]]:
    rows = [
        ("nll", "", f"−ELBO in nats per {each}"),
        ("nll_iw", f" ± {found['nll_iw_stderr'] or 0:.2f}", f"bound from {found['iw_samples']} codes, nats per {each}"),
        ("distortion", "", f"−log p(x|z) in nats per {each}"),
        ("rate", "", f"KL(q(z|x) ‖ p(z)) in nats per {each}"),
        ("mi", "", "I(x; z) in nats, over the whole split"),
        ("active_units", f" of {found['latent_size']}", "units of the code that vary with x"),
        ("perplexity", "", f"from −ELBO, over {found['tokens']:,} {unit}"),
        ("perplexity_iw", "", "from nll_iw, over as many"),
        ("tokens", "", unit + (", end symbols included" if unit == "tokens" else "")),
        ("sentences", "", f"{each}s"),
        ("reconstruction_bleu", "", "BLEU of greedy reconstructions"),
    ]
    shown = []
    for key, more, what in rows:
        value = found[key]
        if value is not None and not (key.startswith("perplexity") and each == "picture"):
            text_of = f"{value:,}" if isinstance(value, int) else f"{value:,.2f}"
            shown.append((key, text_of + more, what))
    return shown
