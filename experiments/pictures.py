"""Short runs that show what three parts of the image core do: writes docs/pictures.md and its pictures.

    python experiments/pictures.py                  # trains what is not there yet: some minutes
    python experiments/pictures.py --page-only      # the page again, from docs/results/images/pictures.json

The chain of a generative denoising autoencoder, sprites beside the training pictures nearest to them, and a perceptual
loss beside squared error.
"""

import argparse
import json
import shlex
from pathlib import Path
from typing import Any

import numpy as np
import torch
from common import cost, flags, textvae

from textvae import TextVAE
from textvae.evaluation.nearest import nearest
from textvae.objectives.perceptual import classifier_of, feature_distance
from textvae.pictures import save
from textvae_corpora import load_examples

RESULTS, PAGE, PICTURES = Path("docs/results/images/pictures.json"), Path("docs/pictures.md"), Path("docs/pictures")
TESTED, SHOWN = 1000, 16
SALT = {"model.encoder_noise.name": "salt_and_pepper", "model.encoder_noise.rate": 0.4}
RUNS: dict[str, tuple[str, str, dict[str, Any]]] = {  # name: corpus, recipe, settings
    "walkback": ("mnist", "walkback", {"train.epochs": 5, "train.evaluate_every": 2230}),
    "denoise": ("mnist", "denoising", {**SALT, "train.epochs": 4}),
    "sprites": ("sprites", "sprites", {"train.epochs": 40, "train.evaluate_every": 740}),
    "classifier": ("mnist", "conv_classifier", {"train.epochs": 3}),
}
SHORT = {"train.epochs": 4, "corpus.limit": 20_000}
PIXELS = {"objective.features": "", "objective.adversarial": 0.0}
LOSSES = {
    "pixels": ("squared error", PIXELS),
    "dearer": ("squared error, twice", {**PIXELS, "model.likelihood.scale": 0.5}),
    "features": ("squared error, features", {"objective.adversarial": 0.0}),
    "perceptual": ("squared error, features, adversary", {}),
}


def words_of(name: str, out: Path) -> list[str]:
    """The words of the command that trains a run."""
    if name in LOSSES:
        features = {"objective.features": str(out / "classifier")}
        corpus, recipe, settings = "mnist", "perceptual", {**SHORT, **features, **LOSSES[name][1]}
    else:
        corpus, recipe, settings = RUNS[name]
    return ["train", corpus, "--recipe", f"images/{recipe}", "--seed", "0", "--threads", "1", *flags(settings)]


def command_of(name: str) -> str:
    """That command, as the page shows it."""
    place = Path("runs/pictures")
    return shlex.join(["textvae", *words_of(name, place), "--out", str(place / name)])


def run(out: Path) -> None:
    """Train what is not trained, draw, and keep what was measured."""
    for name in (*RUNS, *LOSSES):
        if not (out / name / "model").is_dir():
            textvae(*words_of(name, out), "--out", str(out / name))
    PICTURES.mkdir(parents=True, exist_ok=True)
    found = {
        "commands": [command_of(name) for name in (*RUNS, *LOSSES)],
        "cpu_seconds": {name: cost(out / name)["cpu_seconds"] for name in (*RUNS, *LOSSES)},
        "chains": {name: chain(out, name) for name in ("walkback", "denoise")},
        "sprites": sprites(out),
        "losses": losses(out),
    }
    RESULTS.write_text(json.dumps(found, indent=1) + "\n")


def chain(out: Path, name: str) -> dict[str, Any]:
    """Six short chains to look at, and how eight long ones mix."""
    words = ["chain", "--seed", "0", "--model", str(out / name), "--json"]
    textvae(*words, "-n", "6", "--steps", "40", "--out", str(PICTURES / f"chain-{name}.png"))
    found: dict[str, Any] = json.loads(textvae(*words, "-n", "8", "--steps", "400"))
    return {key: value for key, value in found.items() if key not in ("model", "out", "labels")}


def sprites(out: Path) -> dict[str, Any]:
    """Samples over the nearest training pictures."""
    words = ["sample", "-n", "24", "--nearest", "--seed", "0", "--model", str(out / "sprites"), "--json"]
    found: dict[str, Any] = json.loads(textvae(*words, "--grid", str(PICTURES / "sprites.png")))["nearest"]
    return found


@torch.no_grad()
def losses(out: Path) -> dict[str, Any]:
    """What comes back of test pictures under each loss."""
    test, labels, _ = load_examples("mnist/test", limit=TESTED)
    train, train_labels, _ = load_examples("mnist/train")
    assert labels is not None
    assert train_labels is not None
    x = torch.tensor(test).float() / 255
    classifier = classifier_of(str(out / "classifier"), tuple(x.shape[1:]))
    found, rows = {}, [list(test[:SHOWN])]
    for name in ("", *LOSSES):
        vae = TextVAE.from_pretrained(out / (name or "pixels"))
        back = of_posterior_means(vae, test) if name else test
        y = torch.tensor(back).float() / 255
        right = train_labels[nearest(back, train).rows[:, 0].numpy()] == labels
        found[name] = {
            "squared_error": float((x - y).square().flatten(1).sum(1).mean()),
            "features": float(feature_distance(classifier, x, y).mean()),
            "edges": float(edges(y) / edges(x)),
            "class": float(right.mean()),
            **({"rate": vae.facts["validation"]["rate"]} if name else {}),
        }
        rows += [list(back[:SHOWN])] if name else []
    save(PICTURES / "perceptual.png", rows)
    return found


def of_posterior_means(vae: TextVAE, pictures: np.ndarray) -> np.ndarray:
    """What the model writes at the posterior mean of each."""
    return np.stack([mean for (mean,) in vae.reconstruct(list(pictures))])


def edges(x: torch.Tensor) -> torch.Tensor:
    """How much brightness changes from each pixel to the next, the mean: blur takes it away."""
    return (x.diff(dim=2).abs().mean() + x.diff(dim=3).abs().mean()) / 2


ABOUT = """\
# What three parts of the image core do

Short runs of a minute or two on one thread, not the best that the recipes can do; seed 0. Written by
`python experiments/pictures.py`, which also made the pictures.

## Corrupt and denoise in turn

A denoising autoencoder that was trained by walkback draws pictures by a Markov chain (Bengio et al. 2013): noise on the
picture, then a draw of what the model takes for clean, and so on. Each row is a chain from a code of the prior, which
is no digit, and shows what the model expects at each step.

![Chains of a model trained by walkback](pictures/chain-walkback.png)

Trained to denoise alone, on the same noise, a model never saw where its own chain goes, and strokes end as no digit:

![Chains of a model trained to denoise](pictures/chain-denoise.png)

How they mix, over 8 chains of 400 steps, their first 80 left out. Autocorrelation is that of the pictures so many steps
apart; the time is its sum (Geyer 1992); the distance is the median one to the nearest training picture, √Σ(x − y)²; the
class is that of this picture, and of independent draws it would change every {independent:.2f} steps. To mix fast is a
virtue only of chains that stay with the data.
"""
SPRITES = """
## Sprites, and whether a model has learned to draw or recites

The corpus `sprites`: 10,000 of 38,400 pixel characters, put together from skin, hair, clothes, weapon and step, no two
alike. `textvae sample --nearest` puts under each sample the training picture nearest to it.

![Samples, and under each the nearest training picture](pictures/sprites.png)

Distances are √Σ(x − y)² of pixels in [0, 1], ratios those of the nearest to the second nearest, medians both; a copy is
a picture with a ratio under ⅓ (Yoon et al. 2023). Held-out sprites show what is usual: two that differ in their step
alone are near one another.
"""
PERCEPTUAL = """
## Squared error, features, an adversary

Reconstructions of test pictures at the posterior mean. From above: the pictures; a VAE with squared error; with twice
the squared error, which takes about as many nats of code as those that follow; with squared error and the features of
a classifier trained here (`images/conv_classifier`); with a discriminator too (`images/perceptual`, after Dosovitskiy &
Brox 2016). 20,000 pictures, 4 epochs each.

![Test pictures and four reconstructions](pictures/perceptual.png)

On {tested:,} test pictures. Features: the relative squared distance that the loss weighs, of the same classifier.
Edges: how much brightness changes from pixel to pixel, as a share of that of the originals; blur takes it away. Class:
the share whose nearest training picture is of the right class, ± 0.009, which no part of the training looks at. Compare
what takes as many nats: features alone do no more than squared error of twice the weight, the adversary sharpens edges.
"""


def page() -> str:
    """The page, from what was measured."""
    found = json.loads(RESULTS.read_text())
    chains, sampled = found["chains"], found["sprites"]
    text = [ABOUT.format(independent=chains["walkback"]["steps_of_independent_draws"])]
    text += ["| model | autocorrelation at 1 / 10 steps | time | draws | steps to another class | distance |"]
    text += ["|---" * 6 + "|"]
    for name, title in {"walkback": "walkback, 3 steps", "denoise": "denoising alone"}.items():
        r = chains[name]
        rho, change = r["autocorrelation"], r["steps_to_another_class"]
        text.append(
            f"| {title} | {rho[1]:.3f} / {rho[10]:.3f} | {r['autocorrelation_time']:.1f} | "
            f"{r['independent_draws']:.0f} of {r['chains'] * (r['steps'] - r['measured_from_step'] + 1):,} | "
            f"{'none' if change is None else f'{change:.2f}'} | {r['distance']:.2f} |"
        )
    text += [SPRITES, "| | distance | ratio | copies |", "|---|---|---|---|"]
    for key, title in {"samples": "24 samples", "held_out": f"{sampled['held_out']['pictures']} held out"}.items():
        r = sampled[key]
        text.append(f"| {title} | {r['distance']:.2f} | {r['ratio']:.2f} | {r['copies']:.1%} |")
    text += [PERCEPTUAL.format(tested=TESTED)]
    text += ["| loss | KL | squared error | features | edges | class | cost |", "|---" * 7 + "|"]
    for name, r in found["losses"].items():
        title, spent = (LOSSES[name][0], f"{found['cpu_seconds'][name]} CPU-s") if name else ("the pictures", "")
        figures = f"{r['squared_error']:.2f} | {r['features']:.3f} | {r['edges']:.2f} | {r['class']:.3f}"
        rate = f"{r['rate']:.1f}" if name else ""
        text.append(f"| {title} | {rate} | {figures} | {spent} |")
    text += ["", "## Commands", "", *(f"    {command}" for command in found["commands"])]
    return "\n".join([*text, ""])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("runs/pictures"))
    parser.add_argument("--page-only", action="store_true")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    if not arguments.page_only:
        run(arguments.out)
    PAGE.write_text(page(), encoding="utf-8")


if __name__ == "__main__":
    main()
