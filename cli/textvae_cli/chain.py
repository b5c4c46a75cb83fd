"""``textvae chain``: a picture corrupted and denoised in turn, and how well such a chain mixes."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from textvae.errors import RequestError
from textvae_cli import console, loading, options, pictures

if TYPE_CHECKING:
    import numpy as np

    from textvae import TextVAE

COLUMNS = 50  # pictures beside one another
LARGEST = 1 << 28  # pixels of all steps, which are kept to be compared
SETTLING = 5  # one step in so many, at the beginning, is not measured


def chain(
    starts: Annotated[
        list[str] | None,
        typer.Argument(metavar="[A…]", help="Pictures to begin with: a.png mnist/test:0-3. Default: from the prior."),
    ] = None,
    n: Annotated[int, typer.Option("-n", min=1, max=10_000, help="Chains, where no pictures are given.")] = 8,
    steps: Annotated[int, typer.Option("--steps", min=1, max=100_000, help="Of each chain.")] = 50,
    out: options.Png = None,
    seed: options.Seed = None,
    model: options.Model = None,
    device: options.Device = "cpu",
    as_json: options.Json = False,
) -> None:
    """Corrupt and denoise pictures in turn.

    Each row is a chain: the picture that it begins with, and what is expected at each step. A model that was trained
    to denoise (images/walkback, images/denoising) draws its pictures in this way. How well the chains mix is measured
    after their first fifth: how alike pictures are so many steps apart and, where the training pictures have labels,
    how soon the nearest one is of another class.
    """
    name, vae = loading.open_model(model, device)
    loading.need_pictures(vae, name)
    pictures.check_place(out, "--out strip.png", as_json)
    first = pictures.read(vae, starts)[1] if starts else None
    _check_size(vae, len(first) if first else n, steps)

    import numpy as np
    import torch

    from textvae.corruptions.base import NoCorruption
    from textvae.evaluation.mixing import mixing
    from textvae.latent.chain import chain as links_of
    from textvae_cli.render import counting

    if seed is not None:
        torch.manual_seed(seed)
    if isinstance(vae.model.encoder_noise, NoCorruption):
        console.say(f"note: {name} was trained without noise on what it reads: its chain moves by its codes alone")
    if first is None:
        first = [one.raw for one in vae.sample(n)]
    drawn = np.empty((steps, len(first), *first[0].shape), np.uint8)
    with counting("steps", steps) as progress:
        for i, link in enumerate(links_of(vae.model, vae.batch(first), steps)):
            drawn[i] = vae.codec.decode(link.mean)
            progress(i + 1)
    _show(first, drawn, out, as_json)
    measured = drawn[steps // SETTLING :]
    found = mixing(torch.from_numpy(measured))
    facts: dict[str, Any] = {
        "chains": len(first),
        "steps": steps,
        "measured_from_step": steps // SETTLING + 1,
        "autocorrelation": [round(value, 6) for value in found.autocorrelation.tolist()],
        "autocorrelation_time": found.time,
        "independent_draws": found.draws,
        **_nearest(vae, name, measured),
    }
    if as_json:
        console.document({"model": name, "out": out and str(out), **facts})
        return
    from textvae_cli.render import table

    table({"": "left", "value": "right", "what it is": "left"}, _explained(facts))


def _check_size(vae: "TextVAE", chains: int, steps: int) -> None:
    import math

    pixels = math.prod(loading.shape(vae) or ())
    if chains * steps * pixels > LARGEST:
        most = max(1, LARGEST // (chains * pixels))
        raise RequestError(f"{chains:,} chains of {steps:,} steps are too many pictures: --steps {most:,} at most.")


def _show(first: "list[np.ndarray]", drawn: "np.ndarray", out: Any, quiet: bool) -> None:
    """Rows of the beginning and of steps that are evenly spread, if they are many."""
    import numpy as np

    if quiet and out is None:
        return
    steps = len(drawn)
    room = min(steps, pictures.beside(COLUMNS + 1, out) - 1)
    kept = np.unique(np.linspace(0, steps - 1, room).round().astype(int))
    if len(kept) < steps:
        console.say(f"shown: {len(kept)} of the {steps:,} steps")
    rows = [[start, *drawn[kept, i]] for i, start in enumerate(first)]
    pictures.show(rows, out, quiet)


def _nearest(vae: "TextVAE", name: str, drawn: "np.ndarray") -> dict[str, Any]:
    """How near pictures [T, N, C, H, W] are to training pictures, and how soon the class of the nearest changes."""
    import torch

    from textvae.evaluation.mixing import steps_to_change, steps_to_change_of_draws
    from textvae.evaluation.nearest import nearest
    from textvae_cli.reading import trained_on
    from textvae_cli.render import waiting

    try:
        corpus = trained_on(vae, name)
        with waiting("looking for the nearest training pictures"):
            found = nearest(drawn.reshape(-1, *drawn.shape[2:]), corpus.train)
    except RequestError as error:
        console.say(f"note: distances and classes are left out. {error}")
        return {}
    facts: dict[str, Any] = {"distance": found.summary()["distance"]}
    if corpus.train_labels is None:
        return facts
    labels = torch.as_tensor(corpus.train_labels)
    near = labels[found.rows[:, 0]].view(len(drawn), -1)
    return facts | {
        "labels": [[corpus.labels[i] if i >= 0 else None for i in row] for row in near.T.tolist()],
        "steps_to_another_class": steps_to_change(near),
        "steps_of_independent_draws": steps_to_change_of_draws(labels[labels >= 0]),
    }


def _explained(facts: dict[str, Any]) -> list[tuple[str, str, str]]:
    rho = facts["autocorrelation"]
    what = f"of {facts['steps']:,} steps, measured from step {facts['measured_from_step']:,} on"
    rows = [("chains", f"{facts['chains']:,}", what)]
    for lag in (1, 10, 100):
        if lag < len(rho):
            rows.append((f"autocorrelation_{lag}", f"{rho[lag]:.3f}", f"of pictures {lag} step{'s' * (lag > 1)} apart"))
    rows.append(("autocorrelation_time", f"{facts['autocorrelation_time']:.1f}", "steps; 1 of independent draws"))
    rows.append(("independent_draws", f"{facts['independent_draws']:.1f}", "that say as much as all the steps"))
    if "distance" in facts:
        what = "to the nearest training picture, √Σ(x − y)² of pixels in [0, 1], the median"
        rows.append(("distance", f"{facts['distance']:.2f}", what))
    if "labels" in facts:
        usual = facts["steps_of_independent_draws"]
        what = f"until the nearest training picture is of another class; of independent draws {usual:.2f}"
        rows.append(("steps_to_another_class", f"{facts['steps_to_another_class']:.1f}", what))
    return rows
