"""Autoencoders of MNIST beside the published numbers: trains, measures, draws, writes docs/images.md.

    python experiments/images.py                                # every row that has no result yet: hours
    python experiments/images.py --rows vae pca_30
    python experiments/images.py --annealed 100 --rows vae      # log p(x) of 100 pictures three ways
    python experiments/images.py --pictures                     # docs/pictures, by commands, of the rows trained
    python experiments/images.py --page-only                    # write the page again, from docs/results/images

What a row measured is kept as one file in docs/results/images; a row without one is printed as not run. A run that was
interrupted is resumed.
"""

import argparse
import json
import math
import shlex
import time
from pathlib import Path
from typing import Any, NamedTuple

import torch
from common import cost, flags, quantising_rotation, textvae, train_to_the_end
from torch import Tensor

from textvae import TextVAE
from textvae.batching import Batches, ListExamples
from textvae.evaluation.ais import annealed_importance_sampling
from textvae.evaluation.bounds import evaluate
from textvae.evaluation.disentanglement import mutual_information_gap
from textvae.evaluation.images import sparsity, squared_error
from textvae.evaluation.retrieval import retrieval
from textvae.latent.means import Means
from textvae.latent.pca import principal_components
from textvae.run_folder import RunFolder
from textvae_corpora import load_examples
from textvae_corpora.shapes import draw, factors

RESULTS, PAGE, PICTURES = Path("docs/results/images"), Path("docs/images.md"), Path("docs/pictures")
BATCH = 100


class Row(NamedTuple):
    """A line of a table: what it is, its recipe, the settings over it, and its corpus."""

    name: str
    recipe: str
    settings: dict[str, Any] = {}  # noqa: RUF012
    corpus: str = "mnist"


DYNAMIC = {"codec.binarise": "dynamic"}
SHORT = {"train.epochs": 36, "train.learning_rate": 2e-3, "train.evaluate_every": 4020}
SIX = {"train.epochs": 6, "train.evaluate_every": 2676}
TEN = {"train.epochs": 10, "train.evaluate_every": 2232}
TWELVE = {"train.epochs": 12, "train.evaluate_every": 2676}
FORTY = {"train.epochs": 40, "train.evaluate_every": 4464}
FLOW = {"model.prior.name": "flow"}
MANY = {
    "train.epochs": 60,
    "train.batch_size": 256,
    "train.evaluate_every": 669,
    "train.patience": 100,
}
FAST = MANY | {"train.learning_rate": 8e-3, "objective.share": 0.2}
IWAE = {"objective.name": "iwae", "objective.samples": 50}
ONWARD = FLOW | {
    "model.all_from": "runs/images/conv_vae",
    "train.epochs": 1,
    "train.batch_size": 32,
    "train.learning_rate": 5e-4,
}
DIAGONAL = {"model.posterior.name": "diagonal_normal"}
WHOLE = {"objective.per": "batch"}
SEEN = {"train.evaluate_every": 4464}
BRIEF = {"train.epochs": 10, "train.evaluate_every": 2230}
COMPONENTS = {f"pca_{n}": n for n in (2, 10, 30, 64)}
ERRORS = {
    "linear": Row("linear autoencoder, 30", "linear", BRIEF),
    "autoencoder": Row("784-1000-500-250-30, ReLU", "autoencoder", {"train.epochs": 24, "train.evaluate_every": 3570}),
    "autoencoder_long": Row(
        "784-1000-500-250-30, ReLU, as long as the logistic ones", "autoencoder", MANY | {"train.learning_rate": 2e-3}
    ),
    "hinton": Row("784-1000-500-250-30, logistic, layers pre-trained as RBMs", "hinton", FAST),
    "hinton_random": Row("784-1000-500-250-30, logistic, random start", "hinton", FAST | {"objective.share": 0}),
    "stacked": Row("784-1000-500-250-30, logistic, layers pre-trained as denoisers", "stacked", FAST),
    "switches": Row("convolutions 32-64, switches, 30 and the places of the maxima", "switches", BRIEF),
    "noise2noise": Row("Noise2Noise, noise 0.3, 100", "noise2noise", BRIEF),
}
BOUNDS = {
    "vae": Row("VAE 784-400-16", "vae", DYNAMIC | SHORT),
    "vae_grey": Row("VAE 784-400-16, grey pixels", "vae", SHORT),
    "conv_vae_short": Row("VAE, convolutions 32-64, 32", "conv_vae", SHORT | SIX),
    "conv_vae_flow_short": Row("the same with a flow prior", "conv_vae", SHORT | SIX | FLOW),
    "conv_vae": Row("VAE, convolutions 32-64, 32, flow prior", "conv_vae", SHORT | FORTY | FLOW),
    "iaf": Row("convolutions 32-64, 32, two inverse autoregressive flows, 2 free nats", "iaf", SHORT | TEN),
    "iaf_diagonal": Row("its twin with a diagonal normal", "iaf", SHORT | TEN | DIAGONAL),
    "top_down": Row("four layers of 8, inferred from the top down, 1 free nat each", "top_down", SHORT | TEN),
    "top_down_diagonal": Row(
        "its twin with a diagonal normal, under the same prior", "top_down", SHORT | TEN | DIAGONAL | WHOLE
    ),
    "iwae": Row("IWAE-50, 784-200-200-50 (Burda 2016)", "iwae", SHORT | TWELVE),
    "iwae_vae": Row("its twin under the ELBO", "iwae", SHORT | TWELVE | {"objective.name": "elbo"}),
    "iwae_conv": Row("IWAE-50 for an epoch, begun with the VAE of 40", "conv_vae", ONWARD | IWAE),
    "iwae_conv_vae": Row("the ELBO for an epoch, begun with the same", "conv_vae", ONWARD),
}
SPARSE = {
    "denoising": Row("denoising, a quarter blanked", "denoising", BRIEF),
    "contractive": Row("contractive, weight 0.1", "contractive", BRIEF),
    "sparse_l1": Row("sparse, L1", "sparse_l1", SEEN),
    "sparse_kl": Row("sparse, activity 0.05", "sparse_kl", BRIEF),
    "plain": Row("no penalty and no noise", "denoising", BRIEF | {"model.encoder_noise.name": "none"}),
}
SHAPES = {"train.evaluate_every": 12460}
DISENTANGLED = {
    f"shapes_beta_{beta}": Row(f"β = {beta}", "beta_vae", {**SHAPES, "objective.schedule.beta": beta}, "shapes:10000")
    for beta in (1, 4)
}
BITS = 256
SEARCH = {"hashing": Row(f"autoencoder, {BITS} bits", "semantic_hashing", {"train.evaluate_every": 4460})}
HASHES = {
    "pixels": "pixels, cosine",
    "hyperplanes": f"random hyperplanes, {BITS} bits (Charikar 2002)",
    "itq": f"PCA and a rotation, {BITS} bits (ITQ, Gong & Lazebnik 2011)",
}
PLANE = {"model.latent_size": 2, "train.epochs": 12, "train.learning_rate": 2e-3, "train.evaluate_every": 2676}
SHOWN = {  # trained for their pictures
    "plane": Row("VAE", "vae", PLANE),
    "plane_ae": Row("autoencoder", "vae", PLANE | {"objective.name": "autoencoder"}),
    "plane_kl": Row("VAE, β = 1,000", "vae", PLANE | {"objective.schedule": '{name = "constant", beta = 1000.0}'}),
    "conditional": Row("conditional VAE", "conditional_vae", SHORT),
}
ROWS = {**ERRORS, **BOUNDS, **SPARSE, **DISENTANGLED, **SEARCH, **SHOWN}
ABOUT = """\
# Pictures: MNIST

The 10,000 test pictures; 57,000 of the 60,000 train and 3,000 validate, PCA is fitted on all 60,000. Squared error is
that of Hinton & Salakhutdinov (2006): pixels in [0, 1], summed over 784 of them, mean over the pictures, of the
expected picture at the posterior's mean. Bounds are nats per picture at β = 1; IW NLL is from K importance samples,
± its Monte Carlo error. **Binarisation** moves a bound by nats: *none* scores grey pixels by cross-entropy, *dynamic*
draws them anew in each step of the training, *fixed* once; what is tested is one draw either way. Cost is training
only, in CPU-seconds of one thread; every row is one seed, 0 unless its command says otherwise. Sureness of published
numbers: A seen in a README or page, B recalled and arithmetically consistent, C recalled; the rows of pythae were
measured with its own code. Written from `docs/results/images` by `python experiments/images.py --page-only`."""
PUBLISHED_ERRORS = """\
| PCA, 30 components (Hinton & Salakhutdinov 2006) | 13.87 | | | A |
| 784-1000-500-250-30, pre-trained (Hinton & Salakhutdinov 2006) | 3.00 | | | A |
| pythae, 784-1000-500-250-30, ReLU, plain Adam | 6.07 | | 203 CPU-s | measured |"""
PUBLISHED_BOUNDS = """\
| pythae VAE 784-400-16 | not said | 100.86 | 95.11 | | | 30 | 500 | 122 CPU-s | 14,800 | measured |
| pythae, convolutions 32-64 | | | | | | | | | 3,100 | measured |
| VAE without flows, as quoted by many | binarised | 89.9 | | | | | | | | A |
| Burda 2016, VAE, one layer | dynamic | | 86.35 | | | | 5,000 | | | B |
| Burda 2016, IWAE-50, one layer | dynamic | | 84.78 | | | | 5,000 | | | B |
| Kingma 2016, IAF on a ResNet VAE | dynamic | | 79.10 | | | | | | | C |"""

BEGUN = """\
Two rows begin with the VAE of 40 epochs: its cost comes on top of theirs. It was under 86 nats before them; what the
objective of IWAE gains is the difference of the two. Burda's network had 12 epochs here, and thousands there."""


def words_of(row: Row, seed: int) -> list[str]:
    """The words of the command that trains a row."""
    words = ["train", row.corpus, "--recipe", f"images/{row.recipe}", "--seed", str(seed), "--threads", "1"]
    return words + flags(row.settings)


class Picture(NamedTuple):
    """A picture of the page: what it shows, of which row, and the command that makes it."""

    title: str
    key: str
    command: str
    option: str = "--out"


RECONSTRUCTED = "reconstruct mnist/test:0-11"
GALLERY = {
    "vae": Picture("Samples of the VAE 784-400-16", "vae", "sample -n 64 --seed 0", "--grid"),
    "conv_vae": Picture(
        "Samples of the convolutional VAE with a flow prior", "conv_vae", "sample -n 64 --seed 0", "--grid"
    ),
    "plane": Picture("Two dimensions of code, at quantiles of the prior", "plane", "traverse --dims 0,1 --steps 15"),
    "interpolation": Picture("Between two test pictures", "vae", "interpolate mnist/test:1 mnist/test:0 --steps 11"),
    "codes_ae": Picture("Codes of the error alone (autoencoder)", "plane_ae", "plot codes mnist/test --points 2000"),
    "codes_kl": Picture("of all but the KL alone (β = 1,000)", "plane_kl", "plot codes mnist/test --points 2000"),
    "codes_vae": Picture("and of both (VAE)", "plane", "plot codes mnist/test --points 2000"),
    "autoencoder": Picture("Test pictures from 30 numbers: 784-1000-500-250-30, pre-trained", "hinton", RECONSTRUCTED),
    "linear": Picture("The same from a linear autoencoder, which is PCA", "linear", RECONSTRUCTED),
    "switches": Picture("Unpooling with switches: 30 numbers and the places of the maxima", "switches", RECONSTRUCTED),
    "denoising": Picture(
        "Denoising: the picture, what is read, what is written", "denoising", f"{RECONSTRUCTED} --noisy --seed 0"
    ),
    "noise2noise": Picture("The same, never shown a clean picture", "noise2noise", f"{RECONSTRUCTED} --noisy --seed 0"),
    "features_denoising": Picture("Weights of denoising units", "denoising", "plot features"),
    "features_plain": Picture("of units that were shown no noise", "plain", "plot features"),
    "features_sparse": Picture("and of sparse ones (an activity of 0.05)", "sparse_kl", "plot features"),
    "shapes": Picture(
        "β-VAE of shapes (β = 4): the two dimensions that matter most", "shapes_beta_4", "traverse --steps 7"
    ),
    "label_2": Picture("One style a place: label 2", "conditional", "sample -n 36 --seed 0 --label 2", "--grid"),
    "label_5": Picture("and, from the same codes, label 5", "conditional", "sample -n 36 --seed 0 --label 5", "--grid"),
}


def draw_gallery(arguments: argparse.Namespace) -> None:
    """Make the pictures of the rows that are trained."""
    for name, picture in GALLERY.items():
        place = arguments.out / picture.key
        if (place / "model").exists():
            textvae(*drawing(name, place))
            if "plot codes" in picture.command:
                smaller(PICTURES / f"{name}.png")
    draw_pretraining(arguments.out)


def drawing(name: str, place: Path) -> list[str]:
    """The words of the command that makes a picture, of the run at a place."""
    picture = GALLERY[name]
    return [*picture.command.split(), "-m", str(place), picture.option, str(PICTURES / f"{name}.png")]


def smaller(file: Path) -> None:
    """Write a plot again, 1,000 pixels wide and of 128 colours: an eighth of the bytes."""
    from PIL import Image

    with Image.open(file) as image:
        plot = image.convert("RGB")
    plot = plot.resize((1000, round(1000 * plot.height / plot.width)), Image.Resampling.LANCZOS)
    plot.quantize(128, Image.Quantize.MAXCOVERAGE, kmeans=2).save(file, optimize=True)


def draw_pretraining(out: Path) -> None:
    """Validation error by the CPU-seconds of the training, from layers that were pre-trained and from random ones."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5.4, 3.2), layout="constrained")
    axes = figure.subplots()
    for key, label in (("hinton", "pre-trained as RBMs"), ("hinton_random", "random start")):
        if not (out / key / "model").exists():
            return
        seconds, found, units = 0.0, [], 0.0
        for record in RunFolder(out / key).records():
            values = record.values
            if record.kind == "train":
                seconds += (values["tokens"] - units) / values["tokens_per_cpu_second"]
                units = values["tokens"]
            elif record.kind == "valid" and values["distortion"] < 200:  # not while the layers are pre-trained
                found.append((seconds, values["distortion"]))
        axes.plot(*zip(*found), label=label, marker="o", markersize=3)
    axes.set(xlabel="CPU-seconds, pre-training included", ylabel="cross-entropy of 3,000 others, nats", ylim=(50, None))
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(alpha=0.25)
    axes.legend(frameon=False)
    PICTURES.mkdir(parents=True, exist_ok=True)
    figure.savefig(PICTURES / "pretraining.png", dpi=120)


def split(vae: TextVAE, limit: int | None = None) -> Batches:
    """The test pictures, as the model reads them."""
    encoded = vae.codec.encode(list(load_examples("mnist/test")[0][:limit]))
    return Batches(ListExamples(encoded), vae.codec.collate, BATCH, shuffle=False)


def run(key: str, arguments: argparse.Namespace) -> None:
    """Train what is not trained, measure it, and keep what was measured."""
    row, place = ROWS[key], arguments.out / key
    words = words_of(row, arguments.seed)
    train_to_the_end(place, words, arguments.device)
    if key in SHOWN:
        return
    vae = TextVAE.from_pretrained(place)
    if key in SEARCH:
        means = Means(vae)
        codes = [torch.from_numpy(means(list(load_examples(f"mnist/{part}")[0]))) for part in ("train", "test")]
        found = search(*codes, distance="hamming")
        keep(key, {"command": shlex.join(["textvae", *words]), **cost_of(place, vae), **found})
        return
    if key in DISENTANGLED:
        keep(key, {"command": shlex.join(["textvae", *words]), **cost_of(place, vae), **measure_disentanglement(vae)})
        return
    test = split(vae)
    bounds = key in BOUNDS
    report = evaluate(vae.model, test, arguments.iw_samples if bounds else 0, mutual_information=bounds)
    keep(
        key,
        {
            "command": shlex.join(["textvae", *words]),
            **cost_of(place, vae),
            "binarise": vae.settings.codec.options.get("binarise", "none"),
            "squared_error": squared_error(vae.model, test),
            **({} if not bounds else {k: v for k, v in report.to_dict().items() if v == v and v is not None}),
            **(measure_sparsity(vae, test) if key in SPARSE else {}),
        },
    )


def measure_sparsity(vae: TextVAE, test: Batches) -> dict[str, float]:
    """How sparse the codes of the test pictures are."""
    with torch.no_grad():
        z = torch.cat([vae.model.eval().posterior(batch.x).mean for batch in test.epoch()])
    return {"lifetime": sparsity(z, 0), "population": sparsity(z, 1), "activity": float(z.abs().mean())}


def measure_disentanglement(vae: TextVAE) -> dict[str, float]:
    """The gap of 2,000 pictures that were not trained on, and their bound."""
    values = factors(2000, seed=1)
    encoded = vae.codec.encode(list(draw(values)))
    test = Batches(ListExamples(encoded), vae.codec.collate, BATCH, shuffle=False)
    report = evaluate(vae.model, test, mutual_information=False)
    with torch.no_grad():
        z = torch.cat([vae.model.eval().posterior(batch.x).mean for batch in test.epoch()]).cpu().numpy()
    gap = mutual_information_gap(z, values)
    return {"mig": gap, "nll": report.nll, "rate": report.rate, "active_units": report.active_units}


def search(stored: Tensor, asked: Tensor, distance: str) -> dict[str, float]:
    """How many of the 10 training pictures nearest to each test picture are of its class, and mAP."""
    labels = [torch.from_numpy(load_examples(f"mnist/{part}")[1]) for part in ("train", "test")]
    found = retrieval(asked, labels[1], stored, labels[0], distance, at=(10,))
    return {"p_at_10": found.precision[10], "map": found.map}


def run_hash(key: str) -> None:
    """What pixels find, or bits that nothing was trained for but a rotation."""
    started = time.process_time()
    stored, asked = (
        (torch.tensor(load_examples(f"mnist/{part}")[0]).float() / 255).flatten(1) for part in ("train", "test")
    )
    if key != "pixels":
        centre = stored.mean(0)
        if key == "itq":
            parts = principal_components(stored, BITS)
            codes = parts.encode(stored)
            rotation = torch.from_numpy(quantising_rotation(codes.numpy(), 0)).float()
            stored, asked = codes @ rotation, parts.encode(asked) @ rotation
        else:
            planes = torch.randn(784, BITS, generator=torch.Generator().manual_seed(0))
            stored, asked = (stored - centre) @ planes, (asked - centre) @ planes
        stored, asked = ((codes > 0).float() for codes in (stored, asked))
    seconds = time.process_time() - started
    found = search(stored, asked, "cosine" if key == "pixels" else "hamming")
    keep(key, {**found, "cpu_seconds": round(seconds, 1)})


def run_pca(key: str) -> None:
    """The error of principal components."""
    started = time.process_time()
    train, test = (torch.tensor(load_examples(f"mnist/{part}")[0]).float() / 255 for part in ("train", "test"))
    found = principal_components(train, COMPONENTS[key])
    error = (test.flatten(1) - found.decode(found.encode(test))).square().sum(1).mean()
    keep(key, {"squared_error": float(error), "cpu_seconds": round(time.process_time() - started, 1)})


def run_annealed(key: str, arguments: argparse.Namespace) -> None:
    """The bound, the importance-weighted bound and annealing, on the same pictures."""
    vae = TextVAE.from_pretrained(arguments.out / key)
    test = split(vae, arguments.annealed)
    report = evaluate(vae.model, test, arguments.iw_samples, mutual_information=False)
    started, parts = time.process_time(), []
    how = {"steps": arguments.steps, "chains": arguments.chains, "leapfrogs": 8}
    for i, batch in enumerate(test.epoch()):
        parts.append(annealed_importance_sampling(vae.model, batch.x, seed=i, **how))
    total = sum(float(part.log_px.sum()) for part in parts)
    keep(
        f"{key}-annealed",
        {
            **how,
            "pictures": arguments.annealed,
            "nll": report.nll,
            "nll_iw": report.nll_iw,
            "nll_iw_stderr": report.nll_iw_stderr,
            "iw_samples": report.iw_samples,
            "nll_ais": -total / arguments.annealed,
            "nll_ais_stderr": sum(float(part.variance.sum()) for part in parts) ** 0.5 / arguments.annealed,
            "acceptance": sum(part.acceptance for part in parts) / len(parts),
            "cpu_seconds": round(time.process_time() - started),
        },
    )


def keep(key: str, result: dict[str, Any]) -> None:
    """Write the file of a row."""
    RESULTS.mkdir(parents=True, exist_ok=True)
    (RESULTS / f"{key}.json").write_text(json.dumps(result, indent=1) + "\n")
    shown = ("squared_error", "mig", "nll", "nll_iw", "nll_ais", "p_at_10")
    print(key, {name: round(result[name], 3) for name in shown if name in result}, flush=True)


def cost_of(place: Path, vae: TextVAE) -> dict[str, Any]:
    """What a run cost, in pictures instead of pixels."""
    found = cost(place)
    pictures = found.pop("tokens_trained") / math.prod(vae.codec.dims["input_shape"])
    speed = pictures / max(1, found["cpu_seconds"])
    return {**found, "pictures_trained": round(pictures), "pictures_per_cpu_second": round(speed)}


def result(key: str) -> dict[str, Any] | None:
    """What a row measured, if it was run."""
    file = RESULTS / f"{key}.json"
    return json.loads(file.read_text()) if file.exists() else None


def spent(r: dict[str, Any]) -> str:
    """The cost of a row."""
    return f"{r['seconds']:,} s, GPU" if "cuda" in r.get("device", "cpu") else f"{r['cpu_seconds']:,} CPU-s"


def page() -> str:
    """The page, from what was measured."""
    text = [ABOUT, "", "## Squared error", ""]
    text += ["| model | squared error | epochs | cost | sureness |", "|---" * 5 + "|"]
    for key in (*COMPONENTS, *ERRORS):
        r, name = result(key), ROWS[key].name if key in ROWS else f"PCA, {COMPONENTS[key]} components"
        found = (
            f"**{r['squared_error']:.3f}** | {r.get('epochs', '')} | {spent(r)} | measured" if r else "not run | | |"
        )
        text.append(f"| {name} | {found} |")
    text += [PUBLISHED_ERRORS, "", "## Bounds on log p(x)", ""]
    text += [
        "| model | binarisation | −ELBO | IW NLL | KL | active | epochs | K | cost | pictures / CPU-s | sureness |"
    ]
    text += ["|---" * 11 + "|"]
    for key, row in BOUNDS.items():
        r = result(key)
        if not r:
            text.append(f"| {row.name} | not run | | | | | | | | | |")
            continue
        speed = "" if "cuda" in r["device"] else f"{r['pictures_per_cpu_second']:,}"
        text.append(
            f"| **{row.name}** | {r['binarise']} | {r['nll']:.2f} | **{r['nll_iw']:.2f}** ± {r['nll_iw_stderr']:.2f} | "
            f"{r['rate']:.2f} | {r['active_units']} of {r['latent_size']} | {r['epochs']} | {r['iw_samples']} | "
            f"{spent(r)} | {speed} | measured |"
        )
    text += [PUBLISHED_BOUNDS, "", BEGUN]
    text += ["", "## log p(x) three ways", ""]
    text += ["On the first test pictures, one model: −ELBO, the importance-weighted bound, and annealed importance"]
    text += [
        "sampling (Neal 2001, Wu 2017), which no encoder has a part in. Each is above −log p(x) in expectation.",
        "",
    ]
    text += ["| model | pictures | −ELBO | IW NLL (K) | AIS (steps × chains) | accepted | cost |", "|---" * 7 + "|"]
    for key, row in BOUNDS.items():
        if r := result(f"{key}-annealed"):
            text.append(
                f"| {row.name} | {r['pictures']} | {r['nll']:.2f} | {r['nll_iw']:.2f} ± {r['nll_iw_stderr']:.2f} "
                f"({r['iw_samples']}) | **{r['nll_ais']:.2f}** ± {r['nll_ais_stderr']:.2f} "
                f"({r['steps']} × {r['chains']}) | {r['acceptance']:.2f} | {spent(r)} |"
            )
        elif key == "vae":
            text.append(f"| {row.name} | not run | | | | | |")
    text += ["", "## Sparse codes of 1,000 units", ""]
    text += [
        "Sparsity from 0 (all as active) to 1 (one alone): of a unit over the pictures (lifetime), and of a picture"
    ]
    text += ["over the units (population; Vinje & Gallant 2000).", ""]
    text += ["| model | lifetime | population | mean activity | squared error | cost |", "|---" * 6 + "|"]
    for key, row in SPARSE.items():
        r = result(key)
        found = "not run | | | |"
        if r:
            found = f"{r['lifetime']:.3f} | {r['population']:.3f} | {r['activity']:.3f} | {r['squared_error']:.2f} | "
            found += spent(r)
        text.append(f"| {row.name} | {found} |")
    text += ["", "## Disentanglement", ""]
    text += ["10,000 pictures of `shapes`; on 2,000 others, the mutual information gap (Chen et al. 2018, on posterior"]
    text += ["means in 20 bins) over shape, x, y, size and colour. A code of 10.", ""]
    text += ["| model | MIG | −ELBO | KL | active | cost |", "|---" * 6 + "|"]
    for key, row in DISENTANGLED.items():
        r = result(key)
        found = "not run | | | |"
        if r:
            found = f"**{r['mig']:.3f}** | {r['nll']:.2f} | {r['rate']:.2f} | {r['active_units']} | {spent(r)}"
        text.append(f"| {row.name} | {found} |")
    text += ["", "## Search", ""]
    text += [
        "The 60,000 training pictures that are nearest to each of the 10,000 test pictures: how many of the first 10"
    ]
    text += ["are of the same class, and mAP over all. Bits are compared by Hamming distance, ties in expectation.", ""]
    text += ["| code | P@10 | mAP | cost |", "|---" * 4 + "|"]
    for key, name in {**HASHES, **{key: row.name for key, row in SEARCH.items()}}.items():
        r = result(key)
        found = f"**{r['p_at_10']:.3f}** | {r['map']:.3f} | {spent(r)}" if r else "not run | | |"
        text.append(f"| {name} | {found} |")
    text += ["", "## Pictures", ""]
    text += [
        "Each is made by its command after the runs below; `python experiments/images.py --pictures` makes them all."
    ]
    if (PICTURES / "pretraining.png").exists():
        text += ["", "Logistic units, pre-trained and from a random start:", ""]
        text += ["![pretraining](pictures/pretraining.png)"]
    for name, picture in GALLERY.items():
        if (PICTURES / f"{name}.png").exists():
            command = shlex.join(["textvae", *drawing(name, Path("runs/images") / picture.key)])
            text += ["", f"{picture.title}:", "", f"![{picture.title}](pictures/{name}.png)", "", f"    {command}"]
    text += ["", "## Commands", ""]
    for key, row in ROWS.items():
        if key in SHOWN:
            text.append(f"    {shlex.join(['textvae', *words_of(row, 0), '--out', f'runs/images/{key}'])}")
            continue
        r = result(key)
        text.append(f"    {r['command'] if r else shlex.join(['textvae', *words_of(row, 0)]) + '    # not run'}")
    return "\n".join([*text, ""])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", nargs="+", choices=[*ROWS, *COMPONENTS, *HASHES], metavar="ROW")
    parser.add_argument("--iw-samples", type=int, default=500)
    parser.add_argument("--annealed", type=int, default=0, metavar="N", help="instead: N pictures of trained rows")
    parser.add_argument("--steps", type=int, default=500, help="of annealing")
    parser.add_argument("--chains", type=int, default=16, help="of annealing")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--out", type=Path, default=Path("runs/images"))
    parser.add_argument("--pictures", action="store_true", help="instead: draw docs/pictures")
    parser.add_argument("--page-only", action="store_true")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    if arguments.pictures:
        draw_gallery(arguments)
    missing = [key for key in (*COMPONENTS, *HASHES, *ROWS) if result(key) is None]
    for key in [] if arguments.page_only or arguments.pictures else arguments.rows or missing:
        if key in COMPONENTS:
            run_pca(key)
        elif key in HASHES:
            run_hash(key)
        elif arguments.annealed:
            run_annealed(key, arguments)
        else:
            run(key, arguments)
    PAGE.write_text(page(), encoding="utf-8")


if __name__ == "__main__":
    main()
