"""``textvae plot``: the codes of a file in the plane, the curves of a run, and the features of a model."""

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from textvae.errors import RequestError
from textvae_cli import console, loading, options

if TYPE_CHECKING:
    import numpy as np

    from textvae.records import Record
    from textvae_corpora import Split


class What(StrEnum):
    """What is drawn."""

    codes = "codes"
    run = "run"
    features = "features"


class Method(StrEnum):
    """How codes of more than two dimensions are brought to two."""

    pca = "pca"
    tsne = "tsne"


BINS = 60
POINTS = {Method.pca: 5_000, Method.tsne: 2_000}
FEATURES = 100


def plot(
    what: Annotated[What, typer.Argument(help="codes of a file, the curves of a run, or features.")],
    out: Annotated[Path, typer.Option("--out", metavar="PNG", help="Where to draw: .png, .pdf or .svg.")],
    source: Annotated[
        str | None, typer.Argument(metavar="[FILE|RUN]", help="Default: what the model was trained on; the newest run.")
    ] = None,
    method: Annotated[Method, typer.Option("--method", help="Codes: to two dimensions by.")] = Method.pca,
    points: Annotated[
        int | None,
        typer.Option(
            "--points", min=3, max=100_000, help="Codes or features: at most, drawn by --seed. 5000; tsne 2000; 100."
        ),
    ] = None,
    seed: options.Seed = 0,
    text_column: options.TextColumn = None,
    label_column: options.LabelColumn = None,
    encoding: options.Encoding = "utf-8",
    model: options.Model = None,
    device: options.Device = "cpu",
    as_json: options.Json = False,
) -> None:
    """Draw codes in the plane, the curves of a run, or features.

    A code of two dimensions is drawn as it is, others by their principal components or by t-SNE; documents and
    pictures beside those of their words or pixels. Colours are labels. Features are the weights of the units that
    read the pixels, a picture each: grey is 0, white the largest.
    """
    from textvae_cli import figures

    if what is What.features:
        _features(model, out, points or FEATURES, seed or 0, as_json)
        return
    figures.check(out)
    if what is What.run:
        _run(source, out, as_json)
        return
    name, vae = loading.open_model(model, device)
    loading.need_code(vae, name)
    file = source or vae.settings.corpus.source
    if not file:
        raise RequestError("Say whose codes to draw: textvae plot codes FILE.")
    from textvae.latent.means import Means
    from textvae.latent.plane import inputs, pca, tsne
    from textvae_cli.reading import read_for
    from textvae_cli.render import waiting

    split = read_for(vae, name, file, text_column, label_column, encoding)
    rows = _drawn(len(split.examples), points or POINTS[method], seed or 0)
    raw = [split.examples[i] for i in rows]
    labels = (
        None if split.labels is None else [split.classes[i] if i >= 0 else None for i in split.labels[rows].tolist()]
    )
    import torch

    with waiting("drawing"):
        z = torch.from_numpy(Means(vae)(raw))
        size = vae.settings.model.latent_size
        panels = []
        if size == 2:
            panels.append(figures.Panel("the code", z.numpy(), axes=True))
        elif method is Method.tsne:
            panels.append(figures.Panel(f"t-SNE of the codes ({size} dimensions)", tsne(z, seed or 0).numpy()))
        else:
            placed, share = pca(z, seed=seed or 0)
            panels.append(
                figures.Panel(f"PCA of the codes ({size} dimensions, {share:.0%} of the variance)", placed.numpy())
            )
        x = inputs(vae, raw)
        if x is not None:
            of = "pixels" if split.kind == "image" else "words, tf-idf"
            placed, share = pca(x, seed=seed or 0)
            panels.append(figures.Panel(f"PCA of the {of} ({share:.0%} of the variance)", placed.numpy()))
            if method is Method.tsne:
                panels.append(figures.Panel(f"t-SNE of the {of}", tsne(x, seed or 0).numpy()))
        figures.scatter(out, _title(file, split, rows, name, vae.settings.recipe), panels, labels, seed or 0)
    if as_json:
        shown = [panel.title for panel in panels]
        console.document(
            {"out": str(out), "model": name, "points": len(rows), "of": len(split.examples), "panels": shown}
        )
        return
    console.say(f"{out}: {len(rows):,} of {len(split.examples):,}")


def _drawn(n: int, most: int, seed: int) -> "np.ndarray":
    """At most so many of n rows, drawn at random, in order."""
    import numpy as np

    return np.sort(np.random.default_rng(seed).choice(n, min(n, most), replace=False))


def _title(file: str, split: "Split", rows: "np.ndarray", name: str, recipe: str) -> str:
    n, total = len(rows), len(split.examples)
    many = f"{n:,} of the {total:,}" if n < total else f"The {n:,}"
    kind = "pictures" if split.kind == "image" else "texts"
    where = Path(file).name if Path(file).exists() else file
    made = Path(name).parent.name if Path(name).name == "model" else Path(name).name
    return f"{many} {kind} of {where}, by the model {made}{f' ({recipe})' if recipe else ''}"


def _features(model: str | None, out: Path, most: int, seed: int, as_json: bool) -> None:
    from textvae_cli import pictures

    name, vae = loading.open_model(model)
    loading.need_pictures(vae, name)
    pictures.check_place(out, "--out features.png", as_json)

    from textvae.evaluation.images import features
    from textvae.pictures import square

    weights = features(vae.model, loading.shape(vae) or ())
    weights = weights[_drawn(len(weights), most, seed)]
    scaled = weights / weights.abs().amax((1, 2, 3), keepdim=True).clamp(min=1e-30)
    shown = ((scaled + 1) * 127.5).round().byte().numpy()
    pictures.show(square(list(shown)), out, as_json)
    if as_json:
        console.document({"out": str(out), "model": name, "features": len(shown)})


def _run(source: str | None, out: Path, as_json: bool) -> None:
    from textvae.run_folder import RunFolder
    from textvae_cli import figures

    found = Path(source) if source else next(iter(loading.runs()), None)
    if found is None or not (found / "metrics.jsonl").is_file():
        raise RequestError(f"{found or 'runs/'} is not a run: textvae plot run RUN, a folder that textvae train wrote.")
    records = RunFolder(found).records()
    panels = {}
    names = {"nll": "−ELBO, nats", "rate": "KL, nats", "mi": "mutual information, nats", "active_units": "active units"}
    for key, title in names.items():
        lines = {"training": _curve(records, "train", key), "validation": _curve(records, "valid", key)}
        if lines := {label: curve for label, curve in lines.items() if len(curve[0])}:
            panels[title] = lines
    if not panels:
        raise RequestError(f"{found} has nothing to draw yet: it holds no measured step.")
    figures.curves(out, str(found.name), panels)
    if as_json:
        console.document({"out": str(out), "run": str(found), "panels": list(panels)})
        return
    console.say(f"{out}: {', '.join(panels)}")


def _curve(records: "list[Record]", kind: str, key: str) -> "tuple[np.ndarray, np.ndarray]":
    """Steps and values; of training at most ``BINS`` means, without the loss of weights that are hardly trained."""
    import numpy as np

    found = [(record.step, record.values[key]) for record in records if record.kind == kind and key in record.values]
    table = np.array(found, float).reshape(-1, 2)
    if kind == "train":
        table = table[len(table) // 50 :]
        table = np.array([part.mean(0) for part in np.array_split(table, min(BINS, len(table)) or 1) if len(part)])
        table = table.reshape(-1, 2)
    return table[:, 0], table[:, 1]
