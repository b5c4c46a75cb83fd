"""``textvae evaluate``: bounds on log p(x) and what the code carries, on a file."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from textvae.errors import RequestError
from textvae_cli import console, loading, options

if TYPE_CHECKING:
    from textvae import TextVAE

BATCH = 64
RETRIEVED = ("precision_at_1", "precision_at_10", "precision_at_100", "map")
OF_CODES = ("nll_iw", "distortion", "rate", "mi", "active_units", "perplexity_iw")
SHARES = ("accuracy", "exact", "npmi", "topic_diversity", *RETRIEVED)


def evaluate(
    file: Annotated[str, typer.Argument(metavar="FILE", help="File, folder, corpus name (ptb/test) or -.")],
    iw_samples: Annotated[
        int, typer.Option("--iw-samples", min=0, max=1_000_000, help="Codes per example of the tighter bound.")
    ] = 0,
    widen: Annotated[
        float, typer.Option("--widen", metavar="FACTOR", help="Draw those codes from a posterior so much wider.")
    ] = 1.0,
    refine: Annotated[
        int, typer.Option("--refine", min=0, max=100_000, help="Gradient steps on each example's own posterior.")
    ] = 0,
    samples: Annotated[
        int, typer.Option("--samples", min=0, max=1_000_000, help="Measure so many samples from the prior, too.")
    ] = 0,
    judge: Annotated[
        str | None, typer.Option("--judge", help="Language model of the training split, for --samples; else 5-grams.")
    ] = None,
    curve: Annotated[
        Path | None,
        typer.Option("--curve", metavar="OUT", help="Of labelled documents: precision-recall, .png or .csv."),
    ] = None,
    limit: options.Limit = None,
    text_column: options.TextColumn = None,
    label_column: options.LabelColumn = None,
    encoding: options.Encoding = "utf-8",
    precision: Annotated[
        options.Precision, typer.Option("--precision", help="Of products in the bounds.")
    ] = options.Precision.fp32,
    seed: options.Seed = 0,
    model: options.Model = None,
    device: options.Device = "auto",
    as_json: options.Json = False,
) -> None:
    """Measure a model on a file.

    NLL, KL, mutual information, active units, perplexity, and BLEU of reconstructions, over a line an example.
    Of documents also the coherence and diversity of the topics and, where they have labels, how well codes find
    training documents of the same label. With --samples, also variety and fluency of what it writes: smoothed 5-grams
    judge it, or a language model and another of its kind that is trained on the samples.

    The bound of --iw-samples is often tighter where its codes are drawn a little wider than the posterior, above all
    with a target rate, whose posteriors are too narrow. Try --widen 1.1 to 1.5 on the validation split and keep the
    factor with the fewest nats: whatever it is, the bound is one.
    """
    from textvae_cli import documents, pictures

    documents.check_curve(curve)
    if widen != 1.0 and not iw_samples:
        raise RequestError("--widen is of the bound of --iw-samples: say how many codes, for one --iw-samples 100.")
    name, vae = loading.open_model(model, device)
    from textvae.batching import Batches
    from textvae.codecs.pixels import PixelCodec
    from textvae.devices import autocast
    from textvae.evaluation import bounds
    from textvae.evaluation.text import captions_come_back, reconstruction_bleu
    from textvae_cli.reading import labels_for, read_for
    from textvae_cli.render import counting, waiting
    from textvae_corpora import encode_examples
    from textvae_corpora.captions import pairs

    split = read_for(vae, name, file, text_column, label_column, encoding, limit)
    raw, labels = split.examples, labels_for(vae, split)
    captioned = loading.reads_pictures(vae) and not loading.writes_pictures(vae)
    if captioned:
        raw, labels = pairs(file, split.examples, split.captions, labels)
    examples = encode_examples(raw, vae.codec, labels=labels)
    batches = Batches(examples, vae.codec.collate, BATCH, shuffle=False, targets=vae.codec.targets)
    used = loading.precision_of(vae, precision)
    with counting("evaluating", len(raw)) as progress, autocast(vae.model.device, used):
        report = bounds.evaluate(vae.model, batches, iw_samples, refine, seed=seed or 0, progress=progress, widen=widen)
    found: dict[str, Any] = {"model": name, "evaluation_precision": used, **report.to_dict()}
    with waiting("reconstructing"):
        found |= captions_come_back(vae, raw) if captioned else {"reconstruction_bleu": reconstruction_bleu(vae, raw)}
    if documents.is_one(vae):
        with waiting("measuring topics and codes"):
            measured = documents.measure(vae, split, batches)
        found |= measured.figures
    else:
        del found["perplexity_document"], found["empty"]
    if isinstance(vae.codec, PixelCodec):  # of another model's codes there is no picture to compare with
        with waiting("measuring what comes back"):
            found |= pictures.measure(vae.model, vae.codec, report.nll, batches)
    if curve is not None:
        if not documents.is_one(vae) or measured.curve is None:
            raise RequestError("--curve is of documents with labels, in the file and in what the model was trained on.")
        documents.write_curve(curve, measured.curve)
    if samples:
        found["of_samples"] = _measure_samples(vae, raw, samples, judge, seed or 0)
    if as_json:
        console.document(found)
        return
    from textvae_cli.render import table

    words = {
        "pixels": ("picture", "pixels"),
        "codes": ("picture's code", "numbers"),
        "captions": ("picture", "tokens"),
        "bag_of_words": ("document", "words"),
    }
    each, unit = words.get(vae.settings.codec.name, ("sentence", "tokens"))
    columns: dict[str, Literal["left", "right"]] = {"": "left", "value": "right", "what it is": "left"}
    table(columns, _explained(found, each, unit))
    if samples:
        table(columns, _explained_samples(found["of_samples"]))


def _measure_samples(vae: "TextVAE", text: Sequence[Any], samples: int, judge: str | None, seed: int) -> dict[str, Any]:
    from dataclasses import asdict
    from functools import partial

    from textvae import Decoding, TextVAE
    from textvae.codecs.tokens import TokenCodec
    from textvae.evaluation.judge import Judge, count_ngrams, fit_language_model
    from textvae.evaluation.samples import evaluate_samples
    from textvae.evaluation.text import perplexity
    from textvae_cli.render import counting, waiting
    from textvae_cli.session import read_corpus

    codec = vae.codec
    if not isinstance(codec, TokenCodec):
        raise RequestError("--samples measures sentences, and this model does not write sentences.")
    try:
        training = read_corpus(vae.settings.corpus).train
    except RequestError as error:
        raise RequestError(f"--samples needs what the model was trained on, to compare with. {error}") from None

    def fit(texts: Sequence[str]) -> Judge:
        if judge is None:
            return count_ngrams(texts, codec)
        with counting("training a language model of the samples", 100) as progress:
            trained = fit_language_model(texts, vae, progress=lambda share: progress(round(100 * share)))
        return partial(perplexity, trained)

    if judge is None:
        with waiting("counting the n-grams of the training split"):
            judging = fit(training)
    else:
        model = TextVAE.from_pretrained(judge)
        if model.settings.model.latent_size:
            raise RequestError(f"{judge} is not a language model: train one with --recipe sentences/language_model.")
        judging = partial(perplexity, model)
    with waiting(f"writing {samples:,} samples"):
        written = [sample.raw for sample in vae.sample(samples, Decoding("sample"), seed=seed)]
    return {"judge": judge or "5-grams", **asdict(evaluate_samples(written, text, training, judging, fit))}


def _explained(found: dict[str, Any], each: str, unit: str) -> list[tuple[str, str, str]]:
    codes = f"{found['iw_samples']} codes" + (f" drawn {found['widen']:g} times as wide" if found["widen"] != 1 else "")
    coded = found["latent_size"]  # without a code there is no bound, only −log p(x)
    rows = [
        ("nll", "", f"−ELBO in nats per {each}" if coded else f"−log p(x) in nats per {each}"),
        ("nll_iw", f" ± {found['nll_iw_stderr'] or 0:.2f}", f"bound from {codes}, nats per {each}"),
        ("distortion", "", f"−log p(x|z) in nats per {each}"),
        ("rate", "", f"KL(q(z|x) ‖ p(z)) in nats per {each}"),
        ("mi", "", "I(x; z) in nats, over the whole split"),
        ("active_units", f" of {found['latent_size']}", "units of the code that vary with x"),
        ("perplexity", "", f"from {'−ELBO' if coded else 'nll'}, over {found['tokens']:,} {unit}"),
        ("perplexity_document", "", "from the mean of each document's nats per word"),
        ("perplexity_unigram", "", "of the words' shares in the training documents, smoothed"),
        ("perplexity_iw", "", "from nll_iw, over as many"),
        ("tokens", "", unit + (", end symbols included" if unit == "tokens" else "")),
        ("sentences", "", f"{each}s"),
        ("empty", "", f"{each}s without a word that the model knows"),
        ("npmi", "", "coherence of the topics' 10 first words in these documents"),
        ("topic_diversity", "", "different words among the topics' 25 first"),
        ("precision_at_1", "", "training documents of the same label: the first"),
        ("precision_at_10", "", "among the first 10"),
        ("precision_at_100", "", "among the first 100"),
        ("map", "", "mean average precision over all of them"),
        ("squared_error", "", "of the expected picture at the posterior's mean, summed over the pixels in [0, 1]"),
        ("bits_per_dimension", "", "−ELBO in bits per byte of the picture"),
        ("binarise", "", "how grey was made black and white, which moves bounds by nats"),
        ("accuracy", "", "share of the labels that are told right"),
        ("reconstruction_bleu", "", "BLEU of greedy reconstructions"),
        ("caption_bleu", "", "BLEU of greedy captions, against all that is said of the picture"),
        ("exact", "", "share of greedy captions that are one of them, word for word"),
    ]
    shown = []
    for key, more, what in rows:
        value = found.get(key)
        unsaid = (key in OF_CODES and not coded) or (key.startswith("perplexity") and unit in ("pixels", "numbers"))
        if value is not None and not unsaid:
            places = 3 if key in SHARES else 2
            text_of = (
                str(value)
                if isinstance(value, str)
                else f"{value:,}"
                if isinstance(value, int)
                else f"{value:,.{places}f}"
            )
            shown.append((key, text_of + more, what))
    return shown


def _explained_samples(found: dict[str, Any]) -> list[tuple[str, str, str]]:
    rows = {
        "samples": ("{:,}", "from the prior, at temperature 1"),
        "unique": ("{:.1%}", "different ones"),
        "verbatim": ("{:.1%}", "stand letter by letter in the training split"),
        "distinct_1": ("{:.3f}", "different words / words"),
        "distinct_2": ("{:.3f}", "different pairs of words / pairs"),
        "self_bleu": ("{:.1f}", "BLEU of a sample against the others: low is varied"),
        "judge": ("{}", "the kind of language model that judges"),
        "forward_perplexity": ("{:.1f}", "of samples, under one of the training split"),
        "reverse_perplexity": ("{:.1f}", "of the file, under one of the samples"),
        "text_perplexity": ("{:.1f}", "of the file, under one of the training split"),
    }
    return [(key, form.format(found[key]), what) for key, (form, what) in rows.items()]
