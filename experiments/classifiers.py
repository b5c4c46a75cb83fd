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
from common import cost, flags, textvae

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
EPOCHS = {ALL: 5, FEW: 40}
PRETRAINING = {"train.epochs": 2, "train.evaluate_every": 100_000}
CLASSIFY = {"model.labels": "predict", "model.encoder_noise.name": "none", "objective.name": "classification"}


class Row(NamedTuple):
    """A line of a table: what it is, its recipe, and what sets its pre-training apart (None: a random start).

    What is pre-trained has the same recipe, unless it is that of a ``first`` stage.
    """

    name: str
    recipe: str
    pretraining: dict[str, Any] | None = None
    first: str = ""


LAYERS = {"objective.name": "layerwise", "objective.share": 0.95}
ROWS = {
    "random": Row("784-1000-10, random start", "denoising"),
    "plain": Row("784-1000-10, plain autoencoder", "denoising", {"model.encoder_noise.name": "none"}),
    "denoising": Row("784-1000-10, denoising autoencoder, a quarter blanked", "denoising", {}),
    "contractive": Row("784-1000-10, contractive autoencoder, weight 0.1", "contractive", {}),
    "deep_random": Row("784-1000-1000-500-10, random start", "classifier"),
    "deep_rbm": Row("784-1000-1000-500-10, layers as RBMs", "classifier", {**LAYERS, "objective.method": "rbm"}),
    "deep_denoising": Row(
        "784-1000-1000-500-10, layers as denoisers", "classifier", {**LAYERS, "objective.method": "denoising"}
    ),
}
FIRST = {"train.epochs": 6, "train.learning_rate": 2e-3, "model.prior.name": "flow"}
STAGED = {"m1_m2": Row("M1+M2", "m1_m2", FIRST, first="conv_vae")}
STAGES = {"corpus.labelled": FEWEST, "train.evaluate_every": 100_000}
ABOUT = f"""\
# Classifiers that begin with an autoencoder

Test error in per cent on the 10,000 test pictures of MNIST, of networks of logistic units. Their hidden layers were
first trained without labels on 57,000 pictures ({PRETRAINING["train.epochs"]} epochs), then all of the network was by cross-entropy: {EPOCHS[ALL]} epochs
of all labels, or {EPOCHS[FEW]} of {FEW:,}, as many of each class, drawn by the seed. The best model is chosen by the errors of
held-out pictures (3,000; with few labels {VALID:,}). Adam, rate 1e-3; weights are untied. Errors are means over the seeds,
and their range. Cost is CPU-seconds of one thread. Published rows (recalled, not looked up) were trained until nothing
improved, on tied weights, with settings chosen by validation: these runs are far shorter. Written from
`docs/results/classifiers` by `python experiments/classifiers.py`.
"""  # noqa: E501
PUBLISHED = """\
| 784-1000-10, plain autoencoder (Rifai 2011) | | 1.78 | | |
| 784-1000-10, denoising autoencoder (Rifai 2011) | | 1.18 | | |
| 784-1000-10, contractive autoencoder (Rifai 2011) | | 1.14 | | |
"""
ABOUT_STAGES = f"""\
## A hundred labels

Test error in per cent with {FEWEST} labels, as many of each class, drawn by the seed; the other pictures of the 57,000
come without. M1 is a convolutional VAE with a flow prior, trained once and without labels; M2 reads its codes and sums
the labels out where they are not known (recipe images/m1_m2). The last model is taken: a run looks at no label but its
{FEWEST}. The settings were chosen by the 3,000 held-out pictures, with draw 0. Published rows (Kingma et al. 2014) are
recalled, not looked up: another M1, fully connected and trained for far longer.
"""
DRAWING = f"sample -n 16 --seed 0 --label 3 --grid row.png --model runs/classifiers/m1_m2-{FEWEST}-0"
PUBLISHED_STAGES = """\
| M1+M2 (Kingma 2014) | 3.33 ± 0.14 | | |
| M1+TSVM (Kingma 2014) | 11.82 ± 0.25 | | |
| M2 (Kingma 2014) | 11.97 ± 1.71 | | |
"""


def pretraining_words(row: Row) -> list[str]:
    """The words of the command that pre-trains a row."""
    words = ["train", "mnist", "--recipe", f"images/{row.first or row.recipe}", "--seed", "0", "--threads", "1"]
    return words + flags({**PRETRAINING, **(row.pretraining or {})})


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


def words_of(row: Row, labels: int, seed: int, out: Path, begin: Path) -> list[str]:
    """The words of the command that trains a classifier."""
    files = ["mnist"]
    if labels == FEW:
        train, valid = few_labels(out, seed)
        files = [str(train), "--valid", str(valid)]
    if row.first:
        settings: dict[str, Any] = {"codec.model": begin, **STAGES}
    else:
        settings = {**CLASSIFY, "train.epochs": EPOCHS[labels]}
        settings |= {"train.batch_size": 50, "train.evaluate_every": 100} if labels == FEW else {}
        settings |= {} if row.pretraining is None else {"model.encoder_from": begin}
    words = ["train", *files, "--recipe", f"images/{row.recipe}", "--seed", str(seed), "--threads", "1"]
    return words + flags(settings)


def run(key: str, labels: int, seed: int, out: Path) -> None:
    """Pre-train once, train with labels, measure, and keep what was measured."""
    row, begin, place = (ROWS | STAGED)[key], out / f"begin-{key}", out / f"{key}-{labels}-{seed}"
    if row.pretraining is not None and not (begin / "model" / "config.json").exists():
        textvae(*pretraining_words(row), "--out", str(begin), "--device", "cpu")
    words = words_of(row, labels, seed, out, begin)
    if not (place / "model" / "config.json").exists():
        textvae(*words, "--out", str(place), "--device", "cpu")
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
    text += [PUBLISHED, ABOUT_STAGES, "| model | error | CPU-seconds of M1 | CPU-seconds of M2 |", "|---" * 4 + "|"]
    for key, row in STAGED.items():
        found = results(key, FEWEST)
        for r in found:
            spent = f"{r['pretraining_cpu_seconds']} | {r['cpu_seconds']}"
            text.append(f"| {row.name}, draw {r['seed']} | {r['error']:.2f} | {spent} |")
        text.append(f"| **{row.name}, mean of the draws** | {shown(found)} | | |")
    text += [PUBLISHED_STAGES]
    if STYLES.exists():
        text += ["The model of draw 0: each column one code z₂, each row one label. A row is made by", ""]
        text += [f"    textvae {DRAWING}", "", f"![styles](pictures/{STYLES.name})", ""]
    text += ["## Commands", ""]
    for key in ROWS | STAGED:
        for r in results(key, FEW)[:1] + results(key, ALL)[:1] + results(key, FEWEST)[:1]:
            text += [f"    {r[which]}" for which in ("pretraining", "command") if r[which]]
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
