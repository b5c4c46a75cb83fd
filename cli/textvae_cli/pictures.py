"""Pictures on the command line: which are meant, where they are written, and a preview in the terminal."""

import os
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from textvae.errors import RequestError
from textvae.files import clear_errors, write_whole
from textvae_cli import console, loading

LEGIBLE = 16  # characters that a picture needs in a terminal

if TYPE_CHECKING:
    import numpy as np

    from textvae import TextVAE
    from textvae.autoencoder import Autoencoder
    from textvae.batching import Batches
    from textvae.codecs.pixels import PixelCodec

    Rows = Sequence[Sequence[np.ndarray]]


def measure(model: "Autoencoder", codec: "PixelCodec", nll: float, batches: "Batches") -> dict[str, float | str]:
    """What evaluate tells of pictures besides their bounds; ``nll`` is −ELBO in nats per picture."""
    import math

    from textvae.evaluation.images import squared_error
    from textvae.likelihoods import DiscretisedLogistic

    found: dict[str, float | str] = {"squared_error": squared_error(model, batches)}
    if isinstance(model.likelihood, DiscretisedLogistic):  # of the others log p is a density, or of bits
        found["bits_per_dimension"] = nll / math.log(2) / math.prod(codec.dims["input_shape"])
    found["binarise"] = codec.binarise
    return found


def check_place(out: Path | None, option: str, quiet: bool) -> None:
    """RequestError if pictures can neither be written nor shown, told before any work; ``quiet``: they need not."""
    if out is None:
        if not quiet and not can_preview():
            raise RequestError(f"The model writes pictures, and this is no terminal that shows them: add {option}.")
        return
    if out.suffix.lower() != ".png":
        raise RequestError(f"{out} ends in {out.suffix or 'nothing'}: pictures are written to .png.")
    if out.is_dir():
        raise RequestError(f"{out} is a folder: give the name of a file, as in {out / 'out.png'}.")
    _check_parent(out)


def check_folder(out: Path) -> None:
    """RequestError if ``out`` cannot become a folder of pictures."""
    if out.is_file():
        raise RequestError(f"{out} is a file: pictures are written into a folder.")
    _check_parent(out)


def _check_parent(out: Path) -> None:
    from textvae.pictures import pillow

    pillow()
    parent = next(path for path in (out, *out.absolute().parents) if path.is_dir())
    if not os.access(parent, os.W_OK):
        raise RequestError(f"{out} cannot be written: {parent} may not be written into.")


def read(vae: "TextVAE", sources: Sequence[str]) -> "tuple[list[str], list[np.ndarray]]":
    """Names and pixels of the pictures that are meant, in the model's shape; what was done to them is told."""
    from textvae_corpora.picture import read_pictures

    shape = loading.shape(vae)
    assert shape is not None
    found = read_pictures(sources, shape)
    told: set[str] = set()
    for picture in found:
        corpus = picture.name.rpartition(":")[0] or picture.name
        if picture.note and corpus not in told:
            told.add(corpus)
            console.say(f"{corpus}: {picture.note}")
    return [picture.name for picture in found], [picture.pixels for picture in found]


def show(rows: "Rows", out: Path | None, quiet: bool = False) -> None:
    """Write rows of pictures uint8 [C, H, W] to ``out``, and unless ``quiet`` show them in a terminal that can."""
    from textvae import pictures

    if not quiet and can_preview():
        preview(pictures.canvas(rows, margin=1))
    if out is not None:
        with clear_errors(out):
            out.parent.mkdir(parents=True, exist_ok=True)
        pictures.save(out, rows)
        console.say(f"{out}: {counted(sum(map(len, rows)))}")


def save_each(pictures: "Sequence[np.ndarray]", folder: Path) -> None:
    """Write each picture uint8 [C, H, W] as it is, to 0.png, 1.png … of a folder."""
    from textvae.pictures import png

    with clear_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
    digits = len(str(len(pictures) - 1))
    for i, picture in enumerate(pictures):
        write_whole(folder / f"{i:0{digits}}.png", png(picture.transpose(1, 2, 0)))
    console.say(f"{folder}: {counted(len(pictures))}")


def counted(count: int) -> str:
    """``1 picture``, ``64 pictures``."""
    return f"{count:,} picture{'' if count == 1 else 's'}"


def can_preview() -> bool:
    """Whether standard output is a terminal with colours."""
    dull = os.environ.get("TERM", "") in ("", "dumb") or bool(os.environ.get("NO_COLOR"))
    return sys.stdout.isatty() and not dull


def beside(most: int, out: Path | None) -> int:
    """How many pictures stand beside one another: ``most`` in a file, and what the terminal has room for."""
    return most if out is not None else min(most, max(2, shutil.get_terminal_size().columns // LEGIBLE))


def preview(pixels: "np.ndarray") -> None:
    """A canvas uint8 [H, W, C] in half blocks, two pixels a character, as large as the terminal has room for."""
    from textvae.pictures import narrowed
    from textvae_cli.render import half_blocks

    size = shutil.get_terminal_size()
    height, width = pixels.shape[:2]
    times = max(1, min(size.columns // width, 2 * (size.lines - 2) // height))
    half_blocks(narrowed(pixels.repeat(times, 0).repeat(times, 1), size.columns))
