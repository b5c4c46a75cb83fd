"""Classifiers of MNIST whose layers were pre-trained, or not: trains, measures, writes docs/classifiers.md.

    python experiments/classifiers.py                                  # every row that has no result yet
    python experiments/classifiers.py --rows contractive --labels 1000 --seeds 0 1 2
    python experiments/classifiers.py --labels 100 --seeds 0 1 2 3 4   # M1+M2, five draws of the labels
    python experiments/classifiers.py --picture                        # of the first draw: its styles, by label
    python experiments/classifiers.py --page-only                      # write the page again

What a row measured is kept as one file in docs/results/classifiers; a row without one is printed as not run. What is
pre-trained is trained once, on all pictures and no labels.
"""

import argparse
import json
import shlex
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from common import cost, flags, train_to_the_end

from textvae import TextVAE
from textvae.batching import Batches, ListExamples
from textvae.evaluation.bounds import evaluate
from textvae.pictures import save
from textvae_corpora import load_examples
from textvae_corpora.labels import renumber

RESULTS, PAGE = Path("docs/results/classifiers"), Path("docs/classifiers.md")
STYLES = Path("docs/pictures/m1_m2.png")
ALL, FEW, FEWEST = 57_000, 1_000, 100
VALID = 1_000  # pictures that choose among the models of few labels
EPOCHS = {ALL: 15, FEW: 40}
CLASSIFY = {ALL: {"train.learning_rate": 3e-3}, FEW: {"train.batch_size": 50, "train.evaluate_every": 100}}
LAYERS = {"train.evaluate_every": 100_000, "objective.name": "layerwise", "objective.share": 0.98}
ONE = {"model.encoder.hidden_sizes": [], "model.decoder.hidden_sizes": [], "model.latent_size": 1000}
LONG = LAYERS | {"train.epochs": 15}
SHORT = LAYERS | {"train.epochs": 6}
PLAIN = {"objective.method": "denoising", "objective.corruption": 0, "train.weight_decay": 0.1}
DENOISING = {"objective.method": "denoising", "objective.corruption": 0.4}
CONTRACTIVE = {"objective.method": "contractive", "objective.contraction": 1}
RBM = {"objective.method": "rbm"}


class Row(NamedTuple):
    """A line of a table: what it is, its settings, and those of its pre-training (None: a random start).

    What is pre-trained has the same recipe and settings, unless a ``first`` stage has a recipe of its own.
    """

    name: str
    settings: dict[str, Any]
    pretraining: dict[str, Any] | None = None
    recipe: str = "classifier"
    first: str = ""


ROWS = {
    "random": Row("784-1000-10, random start", ONE),
    "plain": Row("784-1000-10, plain autoencoder, weight decay 0.1", ONE, LONG | PLAIN),
    "denoising": Row("784-1000-10, denoising autoencoder, 0.4 of the pixels blanked", ONE, LONG | DENOISING),
    "contractive": Row("784-1000-10, contractive autoencoder, weight 1", ONE, LONG | CONTRACTIVE),
    "deep_random": Row("784-1000-1000-500-10, random start", {}),
    "deep_rbm": Row("784-1000-1000-500-10, layers as RBMs", {}, SHORT | RBM),
    "deep_denoising": Row(
        "784-1000-1000-500-10, layers as denoisers, a quarter blanked",
        {},
        SHORT | DENOISING | {"objective.corruption": 0.25},
    ),
}
FIRST = {  # row conv_vae of docs/images.md
    "train.epochs": 40,
    "train.learning_rate": 2e-3,
    "train.evaluate_every": 4464,
    "model.prior.name": "flow",
}
STAGES = {"corpus.labelled": FEWEST, "train.evaluate_every": 100_000}
TOLD = {"model.labels": "predict", "objective.name": "classification", "train.epochs": 2}
REPEATED = {"corpus.labelled_share": 0.05, "train.epochs": 12}
STAGED = {
    "m1": Row("M1, a classifier of its codes", STAGES | TOLD, FIRST, "m1_m2", first="conv_vae"),
    "m2": Row("M2 on pixels, 12 epochs, not tuned", STAGES | REPEATED, recipe="m2"),
    "m1_m2": Row("M1+M2", STAGES, FIRST, "m1_m2", first="conv_vae"),
}
ABOUT = f"""\
# Classifiers that begin with an autoencoder

Test error in per cent on the 10,000 test pictures of MNIST, of networks of logistic units. Their hidden layers were
first trained without labels on 57,000 pictures, one by one and with tied weights ({LONG["train.epochs"]} epochs of one layer, {SHORT["train.epochs"]} of
three in turn), then all of the network was by cross-entropy: up to {EPOCHS[ALL]} epochs of all labels at a rate of 3e-3, or {EPOCHS[FEW]}
of {FEW:,}, as many of each class, at 1e-3. Adam; the rate falls to 0, and five evaluations without a better model end a
run. The best model is chosen by the errors of held-out pictures (3,000; with few labels {VALID:,}). Pre-training is done
once; a seed draws the few labels, the order of all, and the weights that nothing pre-trained. Errors are means over the
seeds, and their range; at 1.5 % the 10,000 test pictures leave a standard deviation of 0.12. Cost is CPU-seconds of one thread.

The settings of the one layer are those of the least error of the 3,000 held-out pictures, which every seed holds out,
after 5 epochs of pre-training and 5 of all labels: a contractive weight of 1 (of 0.1, 0.4, 1 and 3), 0.4 of the
pixels blanked (of 0.25, 0.4 and 0.6), a weight decay of 0.1 (none did as well, 1 worse). Those of three layers were
not chosen so. The order is that of Rifai's table, by each seed and with either number of labels, but denoising is
further behind than there, and with all labels the plain start is hardly better than a random one. Published rows
(recalled, not looked up) were trained until nothing improved. Written from `docs/results/classifiers` by `python
experiments/classifiers.py`.
"""  # noqa: E501
PUBLISHED = """\
| 784-1000-10, plain autoencoder (Rifai 2011) | | 1.78 | | |
| 784-1000-10, denoising autoencoder (Rifai 2011) | | 1.18 | | |
| 784-1000-10, contractive autoencoder (Rifai 2011) | | 1.14 | | |
"""
ABOUT_STAGES = f"""\
## A hundred labels

Test error in per cent with {FEWEST} labels, as many of each class, drawn by the seed; the other pictures of the 57,000
come without. M1 is the convolutional VAE with a flow prior of [images.md](images.md), trained once and without labels;
M2 reads its codes, or in its own row pixels, and sums the labels out where they are not known. The last model is taken:
a run looks at no label but its {FEWEST}. The settings were chosen by the 3,000 held-out pictures, with draw 0: a longer
M1 helped most. Published rows (Kingma et al. 2014) are recalled, not looked up: another M1, fully connected.
"""
DRAWING = f"sample -n 16 --seed 0 --label 3 --grid row.png --model runs/classifiers/m1_m2-{FEWEST}-0"
PUBLISHED_STAGES = """\
| M1+TSVM (Kingma 2014) | 11.82 ± 0.25 | | | |
| M2 (Kingma 2014) | 11.97 ± 1.71 | | | |
| M1+M2 (Kingma 2014) | 3.33 ± 0.14 | | | |
"""


def words_of(recipe: str, files: list[str], seed: int, settings: dict[str, Any]) -> list[str]:
    """The words of a command that trains."""
    return ["train", *files, "--recipe", f"images/{recipe}", "--seed", str(seed), "--threads", "1", *flags(settings)]


def pretraining_words(row: Row) -> list[str]:
    """The words of the command that pre-trains a row."""
    settings = ({} if row.first else row.settings) | (row.pretraining or {})
    return words_of(row.first or row.recipe, ["mnist"], 0, settings)


def begun_in(key: str) -> str:
    """The folder of what a row begins with: there is one M1."""
    return f"begin-{'m1_m2' if (ROWS | STAGED)[key].first else key}"


def few_labels(folder: Path, seed: int) -> tuple[Path, Path]:
    """Files of the pictures that have labels, and of those that choose the model; made where they are not there."""
    files = folder / f"labelled-{seed}.npz", folder / "valid.npz"
    pictures, labels, _ = load_examples("mnist/train")
    assert labels is not None
    folder.mkdir(parents=True, exist_ok=True)
    order = np.random.default_rng(seed).permutation(len(labels) - VALID)
    rows = np.concatenate([order[labels[order] == k][: FEW // 10] for k in range(10)])
    chosen = np.stack([pictures[i] for i in rows])
    np.savez(files[0], images=chosen, labels=labels[rows])
    np.savez(files[1], images=np.stack(list(pictures[-VALID:])), labels=labels[-VALID:])
    return files


def training_words(row: Row, labels: int, seed: int, out: Path, begin: Path) -> list[str]:
    """The words of the command that trains a classifier."""
    files = ["mnist"]
    if labels == FEW:
        train, valid = few_labels(out, seed)
        files = [str(train), "--valid", str(valid)]
    if labels == FEWEST:
        settings = ({"codec.model": begin} if row.first else {}) | row.settings
    else:
        settings = {**row.settings, "train.epochs": EPOCHS[labels], **CLASSIFY[labels]}
        settings |= {} if row.pretraining is None else {"model.encoder_from": begin}
    return words_of(row.recipe, files, seed, settings)


def run(key: str, labels: int, seed: int, out: Path) -> None:
    """Pre-train once, train with labels, measure, and keep what was measured."""
    row, place = (ROWS | STAGED)[key], out / f"{key}-{labels}-{seed}"
    begin = out / begun_in(key)
    if row.pretraining is not None:
        train_to_the_end(begin, pretraining_words(row), "cpu")
    words = training_words(row, labels, seed, out, begin)
    train_to_the_end(place, words, "cpu")
    vae = TextVAE.from_pretrained(place)
    pictures, y, _ = load_examples("mnist/test")
    names = [str(i) for i in range(10)]
    test = ListExamples(vae.codec.encode(list(pictures)), renumber(y, names, vae.settings.model.classes))
    report = evaluate(vae.model, Batches(test, vae.codec.collate, 500, shuffle=False), mutual_information=False)
    assert report.accuracy is not None
    keep = {
        "command": shlex.join(["textvae", *words]),
        "pretraining": row.pretraining is not None and shlex.join(["textvae", *pretraining_words(row)]),
        "error": 100 * (1 - report.accuracy),
        **cost(place),
        "pretraining_cpu_seconds": cost(begin)["cpu_seconds"] if row.pretraining is not None else 0,
    }
    RESULTS.mkdir(parents=True, exist_ok=True)
    (RESULTS / f"{key}-{labels}-{seed}.json").write_text(json.dumps(keep, indent=1) + "\n")
    print(key, labels, seed, round(keep["error"], 2), keep["cpu_seconds"], flush=True)


def draw_styles(out: Path) -> None:
    """Samples of M1+M2: a column has one code, a row one label."""
    vae = TextVAE.from_pretrained(out / f"m1_m2-{FEWEST}-0")
    save(STYLES, [[one.raw for one in vae.sample(16, seed=0, label=str(k))] for k in range(10)])


def results(key: str, labels: int) -> list[dict[str, Any]]:
    """What a row measured, a dictionary a seed."""
    return [json.loads(file.read_text()) for file in sorted(RESULTS.glob(f"{key}-{labels}-*.json"))]


def shown(found: list[dict[str, Any]]) -> str:
    """The mean error, and of several seeds its range."""
    if not found:
        return "not run"
    errors = [one["error"] for one in found]
    spread = f" ({min(errors):.2f} … {max(errors):.2f}, {len(errors)} seeds)" if len(errors) > 1 else ""
    return f"**{np.mean(errors):.2f}**{spread}"


def page() -> str:
    """The page, from what was measured."""
    text = [
        ABOUT,
        f"| network, and what its layers begin with | {FEW:,} labels | all labels | pre-training | training |",
    ]
    text += ["|---" * 5 + "|"]
    for key, row in ROWS.items():
        few, every = results(key, FEW), results(key, ALL)
        before = next((f"{r['pretraining_cpu_seconds']} CPU-s" for r in few + every if r["pretraining"]), "")
        after = ", ".join(f"{found[0]['cpu_seconds']} CPU-s" for found in (few, every) if found)
        text.append(f"| {row.name} | {shown(few)} | {shown(every)} | {before} | {after} |")
    text += [PUBLISHED, ABOUT_STAGES, "| model | error | of each draw | M1 | then |", "|---" * 5 + "|"]
    for key, row in STAGED.items():
        found = results(key, FEWEST)
        draws = ", ".join(f"{r['error']:.2f}" for r in found)
        spent = ["" if not found else f"{found[0][what]} CPU-s" for what in ("pretraining_cpu_seconds", "cpu_seconds")]
        text.append(f"| {row.name} | {shown(found)} | {draws} | {' | '.join(spent if row.first else ['', spent[1]])} |")
    text += [PUBLISHED_STAGES]
    if STYLES.exists():
        text += ["The model of draw 0: each column one code z₂, each row one label. A row is made by", ""]
        text += [f"    textvae {DRAWING}", "", f"![styles](pictures/{STYLES.name})", ""]
    text += ["## Commands", ""]
    for key in ROWS | STAGED:
        for r in results(key, FEW)[:1] + results(key, ALL)[:1] + results(key, FEWEST)[:1]:
            before = [f"    {r['pretraining']} --out runs/classifiers/{begun_in(key)}"] if r["pretraining"] else []
            text += [*before, f"    {r['command']}"]
    return "\n".join([*text, ""])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", nargs="+", choices=list(ROWS | STAGED), metavar="ROW")
    parser.add_argument("--labels", nargs="+", type=int, choices=(FEWEST, FEW, ALL), default=[FEWEST, FEW, ALL])
    parser.add_argument("--seeds", nargs="+", type=int, default=[0])
    parser.add_argument("--out", type=Path, default=Path("runs/classifiers"))
    parser.add_argument("--picture", action="store_true", help="instead: draw docs/pictures/m1_m2.png")
    parser.add_argument("--page-only", action="store_true")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    if arguments.picture:
        draw_styles(arguments.out)
    for labels in [] if arguments.page_only or arguments.picture else arguments.labels:
        rows = STAGED if labels == FEWEST else ROWS
        for key in [key for key in rows if key in (arguments.rows or rows)]:
            for seed in arguments.seeds:
                if not (RESULTS / f"{key}-{labels}-{seed}.json").exists():
                    run(key, labels, seed, arguments.out)
    PAGE.write_text(page(), encoding="utf-8")


if __name__ == "__main__":
    main()
