"""Mixtures of Gaussians on MNIST's pixels and on a VAE's codes: measures, and writes docs/mixtures.md and its picture.

    python experiments/mixtures.py                  # trains the VAE where it is not there yet; minutes
    python experiments/mixtures.py --page-only      # the page again, from docs/results/images/mixtures.json

A decoder p(x|z) makes of the prior a mixture of infinitely many Gaussians; here is what a finite one does.
"""

import argparse
import json
import math
import shlex
import time
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from common import cost, flags, textvae
from torch import Tensor

from textvae import TextVAE
from textvae.batching import Batches, ListExamples
from textvae.evaluation.bounds import evaluate
from textvae.evaluation.mixtures import PixelMixture, fit_mixture
from textvae.pictures import save
from textvae.priors.mixture import Mixture
from textvae_corpora import load_corpus, load_examples

RESULTS, PAGE = Path("docs/results/images/mixtures.json"), Path("docs/mixtures.md")
PICTURE = Path("docs/pictures/mixtures.png")
BATCH, COLUMNS = 500, 14
COUNTS, SIZE = (1, 10, 50), 50
SETTINGS = {"model.likelihood.name": "gaussian", "train.epochs": 12}
WORDS = ["train", "mnist", "--recipe", "images/vae", "--seed", "0", "--threads", "1", *flags(SETTINGS)]
ABOUT = """\
# Finite and infinite mixtures of Gaussians

p(x) = ∫ p(z) p(x|z) dz of a VAE is a mixture of infinitely many Gaussians. Beside it stand mixtures of a few, fitted by
expectation-maximisation (scikit-learn) to the 57,000 training pictures of MNIST; {test:,} test pictures are measured.

All are densities of the same 784 grey pixels in [0, 1], in nats per picture (a density may be over 1, and its −log
under 0). **On pixels**: Gaussians of full covariance on the first 50 principal components, and even noise along the 734
others, as in probabilistic PCA (Tipping & Bishop 1999): log p(x) is exact. **The VAE**: a Gaussian likelihood with one
learned deviation for all pixels; −ELBO, and the importance-weighted bound. **On codes**: the prior of that same VAE is
replaced by a mixture of diagonal Gaussians, fitted after the training to draws from q(z|x) (after Ghosh et al. 2020,
who fit one to the codes of autoencoders): nothing changes but the price of the code. The deviation of the noise,
{scale:.3f} for the VAE, is many steps of a byte (0.004), so that no density is won by the bytes being whole. Bits per
dimension are those of the bytes, −log₂ p(x) / 784 + log₂ 255, from the best bound of the row. One seed, 0. Written by
`python experiments/mixtures.py`."""
SEEN = """\
![Test pictures, and samples of each model](pictures/mixtures.png)

From above: test pictures; samples of 1, 10 and 50 Gaussians on pixels, without their noise; of the VAE; of its decoder
where codes are drawn from 1, 10 and 50 Gaussians.

One Gaussian is a cloud of strokes; of fifty, most samples are digits. So small a noise makes the VAE's code dear, and
codes of so many nats leave holes in the standard normal prior, where its samples fall: a mixture that was fitted to the
codes draws more digits from the same decoder, the more Gaussians it has. The density tells little of that. At this
noise it is won by how exactly pixels come back, and there fifty numbers of each picture say more than a code of 16."""


class Row(NamedTuple):
    """What a model is called, what it measured, and some of its pictures."""

    name: str
    figures: dict[str, Any]
    samples: list[np.ndarray]


def run(arguments: argparse.Namespace) -> None:
    """Measure all rows; keep the figures and draw the samples."""
    torch.manual_seed(0)
    if not (arguments.out / "model").is_dir():
        textvae(*WORDS, "--out", str(arguments.out))
    vae = TextVAE.from_pretrained(arguments.out)
    train, test = load_corpus("mnist").train, load_examples("mnist/test")[0][: arguments.test]
    rows = [
        *(on_pixels(count, train, test) for count in COUNTS),
        of_vae(vae, test, arguments.iw_samples),
        *(on_codes(count, vae, train, test, arguments.iw_samples) for count in COUNTS),
    ]
    facts = {
        "command": shlex.join(["textvae", *WORDS]),
        "test": len(test),
        "vae": cost(arguments.out),
        "scale": float(vae.model.likelihood.log_scale.exp()),
        "rows": [{"name": row.name, **row.figures} for row in rows],
    }
    RESULTS.write_text(json.dumps(facts, indent=1) + "\n")
    PICTURE.parent.mkdir(parents=True, exist_ok=True)
    save(PICTURE, [list(test[:COLUMNS]), [], *(row.samples for row in rows)])


def on_pixels(count: int, train: np.ndarray, test: np.ndarray) -> Row:
    """A mixture on the principal components of the pixels."""
    started = time.process_time()
    x, held = (torch.tensor(part).float().flatten(1) / 255 for part in (train, test))
    found = PixelMixture.fit(x, count, SIZE)
    spent = time.process_time() - started
    nats = -found.log_prob(held).mean()
    figures = {"nll": float(nats), "scale": found.scale, "cpu_seconds": round(spent), "steps": found.mixture.n_iter_}
    return Row(_called(count, f"on {SIZE} components of the pixels"), figures, bytes_of(found.sample(COLUMNS)))


def of_vae(vae: TextVAE, test: np.ndarray, iw_samples: int) -> Row:
    """The VAE with the prior that it was trained with."""
    return Row("VAE 784-400-16, standard normal prior", bounds(vae, test, iw_samples), drawn(vae))


@torch.no_grad()
def on_codes(count: int, vae: TextVAE, train: np.ndarray, test: np.ndarray, iw_samples: int) -> Row:
    """The same VAE, its prior replaced by a mixture that was fitted to draws from q(z|x) of the training pictures."""
    started, usual = time.process_time(), vae.model.prior
    found = fit_mixture(codes(vae, train), count, "diag")
    spent = time.process_time() - started
    prior = Mixture(vae.settings.model.latent_size, count)
    prior.logits.copy_(torch.from_numpy(np.log(found.weights_)))
    prior.mean.copy_(torch.from_numpy(found.means_))
    prior.log_variance.copy_(torch.from_numpy(np.log(found.covariances_)))
    held = codes(vae, test)
    on_held = {f"{key}_codes": -float(p().log_prob(held).mean()) for key, p in {"nll": prior, "normal": usual}.items()}
    vae.model.prior = prior
    figures = {**bounds(vae, test, iw_samples), **on_held, "cpu_seconds": round(spent), "steps": found.n_iter_}
    row = Row(_called(count, "on the codes of that VAE, as its prior"), figures, drawn(vae))
    vae.model.prior = usual
    return row


def _called(count: int, of_what: str) -> str:
    return f"{count} Gaussian{'s' * (count > 1)} {of_what}"


@torch.no_grad()
def codes(vae: TextVAE, pictures: np.ndarray) -> Tensor:
    """A draw from q(z|x) for each picture [N, Z]: what a prior has to cover, and not only the means."""
    model, parts = vae.model.eval(), range(0, len(pictures), BATCH)
    return torch.cat([model.posterior(vae.batch(pictures[i : i + BATCH])).sample() for i in parts])


def bounds(vae: TextVAE, test: np.ndarray, iw_samples: int) -> dict[str, float]:
    """The bounds on −log p(x) under the prior that the model has now."""
    batches = Batches(ListExamples(list(test)), vae.codec.collate, BATCH, shuffle=False)
    found = evaluate(vae.model, batches, iw_samples, mutual_information=False)
    return {"nll": found.nll, "nll_iw": found.nll_iw or math.nan, "rate": found.rate, "iw_samples": iw_samples}


def drawn(vae: TextVAE) -> list[np.ndarray]:
    """Samples, each the mean of p(x|z)."""
    return [one.raw for one in vae.sample(COLUMNS, seed=1)]


def bytes_of(x: Tensor) -> list[np.ndarray]:
    """Pixels [N, 784], clipped to what can be shown."""
    return list((x.clamp(0, 1) * 255).round().byte().view(-1, 1, 28, 28).numpy())


def page() -> str:
    """The page, from what was measured."""
    found = json.loads(RESULTS.read_text())
    vae = found["vae"]
    lines = [ABOUT.format(**found), ""]
    lines += ["| model | −log p(x) or −ELBO | IW bound (K) | KL | bits / dimension | noise | EM steps | cost |"]
    lines += ["|---" * 8 + "|"]
    for row in found["rows"]:
        best = min(row["nll"], row.get("nll_iw", math.inf))
        bound = f"{row['nll_iw']:.1f} ({row['iw_samples']})" if "nll_iw" in row else "exact"
        rate = f"{row['rate']:.2f}" if "rate" in row else ""
        noise = f"{row.get('scale', found['scale']):.3f}"
        spent = row.get("cpu_seconds", vae["cpu_seconds"])
        bits = best / math.log(2) / 784 + math.log2(255)
        lines.append(
            f"| {row['name']} | **{row['nll']:.1f}** | {bound} | {rate} | {bits:.3f} | {noise} | "
            f"{row.get('steps', '')} | {spent} CPU-s |"
        )
    lines += [
        "",
        "−log of the density of the test codes themselves, in nats of a code of 16 numbers, not of a picture:",
        "",
    ]
    lines += ["| prior | −log p(z) |", "|---|---|"]
    on_codes = [row for row in found["rows"] if "nll_codes" in row]
    lines.append(f"| standard normal | {on_codes[0]['normal_codes']:.2f} |")
    for row in on_codes:
        lines.append(f"| {row['name'].partition(' on ')[0]} | {row['nll_codes']:.2f} |")
    lines += ["", SEEN, "", f"    {found['command']}", "    python experiments/mixtures.py"]
    return "\n".join([*lines, ""])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--test", type=int, default=10_000, help="pictures that are measured")
    parser.add_argument("--iw-samples", type=int, default=50)
    parser.add_argument("--out", type=Path, default=Path("runs/mixtures"), help="the run of the VAE")
    parser.add_argument("--page-only", action="store_true")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    if not arguments.page_only:
        run(arguments)
    PAGE.write_text(page(), encoding="utf-8")


if __name__ == "__main__":
    main()
