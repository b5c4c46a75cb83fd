"""Which rate should the shipped model have? Trains at several, measures each, writes docs/rates.md.

    python experiments/rates.py --out runs/rates --rows standard_normal:16 flow:16 flow:24 --epochs 10

A run that is there already is resumed or, once it has ended and been measured, only printed; a row without a model is
printed as not run. The language model that judges fluency is trained on the same split.
"""

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

import torch
from common import train_to_the_end

from textvae import Decoding, TextVAE
from textvae.batching import Batches
from textvae.evaluation.bounds import evaluate
from textvae.evaluation.text import perplexity, reconstruction_bleu
from textvae.model_folder import CONFIG
from textvae.run_folder import RunFolder
from textvae_corpora import encode_examples, load_examples

CORPUS = "tatoeba"
SHORT = 8  # words
DRAWS = 1000


ABOUT = """\
Everyday sentences ({corpus}, {n:,} test sentences), one model for each rate asked for, in nats per sentence at β = 1.
*Exact* is the share of test sentences that come back letter by letter from the posterior mean (beam 5). *ppl* is the
perplexity under a separate language model, trained on the same split: of {draws:,} codes drawn from the prior, each
with its most probable sentence (what `textvae sample` writes), and with words drawn at temperature 1; and of what
stands half-way between {pairs} pairs of test sentences. Real test sentences have **{real:.1f}**. The `flow` prior (real
NVP) is learned with the model. Seed 0; CPU-seconds of one core of an AMD EPYC with AVX-512 bf16 that was shared with
other work.

The model that ships is `flow` at 24: the lowest rate tried that gives back half of the short sentences exactly."""


def train(out: Path, epochs: int, *more: str) -> list[str]:
    """Run ``textvae train`` to its end, resuming what is there; returns the command."""
    command = ["textvae", "train", CORPUS, *more, "--epochs", str(epochs), "--out", str(out)]
    train_to_the_end(out, command[1:-2])
    return command


def reconstructed(vae: TextVAE, texts: Sequence[str]) -> list[str]:
    """What the model writes at each sentence's posterior mean, by beam search."""
    return [t for i in range(0, len(texts), 128) for (t,) in vae.reconstruct(texts[i : i + 128])]


def measure(vae: TextVAE, judge: TextVAE, test: Sequence[str]) -> dict[str, float]:
    """The row of one model."""
    batches = Batches(encode_examples(list(test), vae.codec), vae.codec.collate, 128, shuffle=False)
    report = evaluate(vae.model, batches)
    short = [text for text in test if len(text.split()) <= SHORT]
    exact = sum(a == b for a, b in zip(short, reconstructed(vae, short)))
    samples = [s.raw for s in vae.sample(DRAWS, Decoding("sample"), seed=0)]
    best = [s.raw for s in vae.sample(DRAWS, Decoding("beam"), seed=0)]
    order = torch.randperm(len(test), generator=torch.Generator().manual_seed(0))[:DRAWS].tolist()
    a, b = vae.encode([test[i] for i in order[::2]]), vae.encode([test[i] for i in order[1::2]])
    middles = vae.decode((a + b) / 2)
    return {
        "nll": report.nll,
        "rate": report.rate,
        "mi": report.mi,
        "active_units": report.active_units,
        "bleu": reconstruction_bleu(vae, list(test)),
        "exact_short": exact / len(short),
        "sample_perplexity": perplexity(judge, [t for t in samples if t]),
        "unique": len(set(samples)) / len(samples),
        "best_perplexity": perplexity(judge, [t for t in best if t]),
        "best_unique": len(set(best)) / len(best),
        "middle_perplexity": perplexity(judge, [t for t in middles if t]),
        "middle_unique": len(set(middles)) / len(middles),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("runs/rates"))
    parser.add_argument("--rows", nargs="+", default=["standard_normal:16", "flow:16", "flow:24"], metavar="PRIOR:RATE")
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--page", type=Path, default=Path("docs/rates.md"))
    parser.add_argument("--measure-only", action="store_true")
    arguments = parser.parse_args()
    size = ["--set", "codec.vocab_size=4000", "--batch-size", "128", "--set", "train.learning_rate=3e-3"]
    rows: dict[str, dict[str, float] | None] = {}
    judge_place = arguments.out / "judge"
    if not arguments.measure_only:
        train(judge_place, arguments.epochs, "--recipe", "sentences/language_model", *size)
    test = list(load_examples(f"{CORPUS}/test")[0])
    judge = TextVAE.from_pretrained(judge_place)
    real = perplexity(judge, test)
    for name in arguments.rows:
        prior, _, rate = name.partition(":")
        place = arguments.out / f"{prior}-{rate}"
        if not arguments.measure_only:
            train(place, arguments.epochs, "--rate", rate, "--set", f"model.prior.name={prior}", *size)
        rows[name] = None
        if (place / "model" / CONFIG).exists():
            measured = place / "measured.json"
            if not measured.exists():
                measured.write_text(json.dumps(measure(TextVAE.from_pretrained(place), judge, test)))
            rows[name] = {**json.loads(measured.read_text()), **cost(place)}
            print(json.dumps({"row": name, "real": real, **rows[name]}), flush=True)
    arguments.page.write_text(page(rows, real, len(test), arguments), encoding="utf-8")


def cost(place: Path) -> dict[str, float]:
    """What a run cost and how long it was, from its own records."""
    records = [r for r in RunFolder(place).records() if r.kind == "train"]
    per_cpu = [r.values["tokens_per_cpu_second"] for r in records]
    return {
        "epochs": RunFolder(place).settings().train.epochs,
        "tokens": records[-1].values["tokens"],
        "cpu_seconds": records[-1].values["tokens"] / (sum(per_cpu) / len(per_cpu)),
    }


def page(rows: dict[str, dict[str, float] | None], real: float, n: int, arguments: argparse.Namespace) -> str:
    """The table, as Markdown."""
    columns = {
        "rate": ("rate", "{:.1f}"),
        "−ELBO": ("nll", "{:.1f}"),
        "MI": ("mi", "{:.1f}"),
        "active": ("active_units", "{:.0f}"),
        "BLEU": ("bleu", "{:.1f}"),
        f"exact, ≤ {SHORT} words": ("exact_short", "{:.1%}"),
        "samples, ppl": ("best_perplexity", "{:.1f}"),
        "× real": ("best_perplexity", None),
        "unique": ("best_unique", "{:.1%}"),
        "at T = 1, ppl": ("sample_perplexity", "{:.1f}"),
        "× real ": ("sample_perplexity", None),
        "unique ": ("unique", "{:.1%}"),
        "midpoints, ppl": ("middle_perplexity", "{:.1f}"),
        "× real  ": ("middle_perplexity", None),
        "unique  ": ("middle_unique", "{:.1%}"),
        "epochs": ("epochs", "{:.0f}"),
        "CPU-s": ("cpu_seconds", "{:.0f}"),
    }
    lines = ["| prior | asked | " + " | ".join(columns) + " |", "|---" * (len(columns) + 2) + "|"]
    for name, row in rows.items():
        prior, _, rate = name.partition(":")
        cells = ["not run"] * len(columns)
        if row is not None:
            cells = [form.format(row[key]) if form else f"{row[key] / real:.2f}" for key, form in columns.values()]
        lines.append(f"| {prior} | {rate} | " + " | ".join(cells) + " |")
    return "\n".join(
        [
            "# How much should the code carry?",
            "",
            ABOUT.format(corpus=CORPUS, n=n, draws=DRAWS, pairs=DRAWS // 2, real=real),
            "",
            *lines,
            "",
            "Written by:",
            "",
            f"    python experiments/rates.py --rows {' '.join(arguments.rows)} --epochs {arguments.epochs}",
            "",
        ]
    )


if __name__ == "__main__":
    main()
