"""The codes of a trained model as what another one reads: the first stage of M1+M2 (Kingma et al. 2014, §2.3)."""

import hashlib
import json
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor

from textvae import model_folder
from textvae.codecs.base import Codec
from textvae.codecs.pixels import PixelCodec
from textvae.errors import CorruptFolder, RequestError
from textvae.latent.shards import fingerprint
from textvae.objectives.base import is_normal
from textvae.text_vae import TextVAE

FILE, FOLDER = "codes.json", "codes"
MAX_BYTES = 10_000_000  # of the file
TINY = 1e-12  # of a unit that never moves
AT_ONCE = 256  # pictures
SILENT = 0.01  # share of a unit's variance that tells of x (the threshold of active units, Burda et al. 2016)


class CodesCodec(Codec):
    """Pictures as codes z₁ ~ q(z₁|x) of a model of pictures, M1, which stays as it is and travels with the folder.

    An encoded picture is the mean and the deviation of q(z₁|x). Each step of the training draws z₁ anew; what is
    evaluated is the mean. Units that say nothing of x are left out, the others have mean 0 and variance 1 over the
    corpus. What is written goes through M1's decoder, and is a picture again.

    It is made of a whole model, and so it stands above the parts, where the other codecs are.
    """

    def __init__(self, vae: TextVAE, units: Sequence[int], mean: Sequence[float], deviation: Sequence[float]):
        self.vae, self.units = vae, list(units)
        self.mean, self.deviation = np.array(mean, np.float32), np.array(deviation, np.float32)  # of all units [Z]

    @classmethod
    def fit(cls, raw: Iterable[np.ndarray], model: str = "") -> Self:
        """Open the ``model``, and take the mean and the variance of each of its units over all pictures.

        Raises RequestError where there is no such model, its codes have no mean and variance or none of them tells of
        the pictures, or it is not one that reads pictures and writes them from a code alone.
        """
        vae = _opened(model)
        n, sums = 0, np.zeros((3, vae.settings.model.latent_size))
        for mean, deviation in _posteriors(vae, raw):
            n += len(mean)
            sums += np.stack([mean, mean**2, deviation**2]).sum(1, dtype=np.float64)
        if not n:
            raise RequestError("There are no pictures in this corpus.")
        mean, square, noise = sums / n
        said = square - mean**2
        units = np.flatnonzero(said > SILENT * (said + noise))
        if not len(units):
            raise RequestError(f"No unit of the codes of {model} tells of these pictures: train that model longer.")
        return cls(vae, units.tolist(), mean.tolist(), np.sqrt(np.maximum(said + noise, TINY)).tolist())

    def encode(self, raw: Sequence[np.ndarray]) -> list[np.ndarray]:
        """Pictures uint8 [C, H, W] to float32 [2, U]: means and deviations of the units."""
        return [one for found in _posteriors(self.vae, raw) for one in self._standardised(found)]

    def _standardised(self, found: np.ndarray) -> np.ndarray:
        """Means and deviations [2, B, Z] of a batch to those of the units that are used [B, 2, U]."""
        mean, deviation = found[..., self.units]
        scale = self.deviation[self.units]
        return np.stack([(mean - self.mean[self.units]) / scale, deviation / scale], 1)

    def collate(self, examples: Sequence[np.ndarray], rng: np.random.Generator | None = None) -> Tensor:
        """Means and deviations to x [B, U]: a draw with ``rng``, else the means."""
        mean, deviation = np.stack(examples, 1)
        drawn = mean if rng is None else mean + deviation * rng.standard_normal(mean.shape, np.float32)
        return torch.from_numpy(drawn)

    def decode(self, x: Tensor) -> list[np.ndarray]:
        """x [B, U] to the pictures uint8 that M1 expects there; units that were left out are at their mean."""
        z = torch.from_numpy(self.mean).repeat(len(x), 1)
        z[:, self.units] += x.detach().float().cpu() * torch.from_numpy(self.deviation[self.units])
        return [picture for piece in z.split(AT_ONCE) for picture in self.vae.decode(piece)] if len(z) else []

    @property
    def dims(self) -> dict[str, Any]:
        """The ``input_shape`` (U,) of a code."""
        return {"input_shape": (len(self.units),)}

    @property
    def picture_shape(self) -> tuple[int, ...] | None:
        """That of M1."""
        return self.vae.codec.picture_shape

    @property
    def fingerprint(self) -> str:
        """A hash of M1, and of how its codes are scaled."""
        return hashlib.sha256(f"{fingerprint(self.vae)}|{self._state()}".encode()).hexdigest()

    def _state(self) -> str:
        scaled = {"mean": self.mean.tolist(), "deviation": self.deviation.tolist()}
        return json.dumps({"units": self.units, **scaled})

    def save(self, folder: Path) -> None:
        """Write ``codes.json``, and M1 as the model folder ``codes``."""
        self.vae.save_pretrained(folder / FOLDER)
        (folder / FILE).write_text(self._state())

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read what ``save`` wrote; CorruptFolder if it is missing or damaged."""
        if (folder / FOLDER / FOLDER).exists():  # of a folder that holds itself there would be no end
            raise CorruptFolder(f"{folder / FOLDER} is not a model of pictures: it reads codes itself.")
        vae = TextVAE(*model_folder.load(folder / FOLDER))
        try:
            _check(vae, str(folder / FOLDER))
            with (folder / FILE).open("rb") as file:
                tree = json.loads(file.read(MAX_BYTES))
            units, size = [int(unit) for unit in tree["units"]], vae.settings.model.latent_size
            scaled = [[float(number) for number in tree[key]] for key in ("mean", "deviation")]
            if not 1 <= len(units) <= size or sorted({*units} & {*range(size)}) != units:
                raise ValueError("units that are not there")
            if {*map(len, scaled)} != {size} or not np.isfinite(scaled).all() or min(scaled[1]) <= 0:
                raise ValueError("no means and deviations")
        except (OSError, ValueError, KeyError, TypeError, OverflowError, RecursionError) as error:
            raise CorruptFolder(f"{folder / FILE} is missing, or does not go with {folder / FOLDER}.") from error
        return cls(vae, units, *scaled)


def _opened(name: str) -> TextVAE:
    """The first stage; RequestError where it is not there or cannot be one."""
    how = "Train it first: textvae train CORPUS --recipe images/vae --out runs/m1, then --set codec.model=./runs/m1."
    if not name:
        raise RequestError(f"codec.model names the trained model whose codes are to be read. {how}")
    try:
        vae = TextVAE.from_pretrained(name)
    except RequestError as error:
        raise RequestError(f"codec.model is {name!r}, and no codes can be had from there. {error} {how}") from None
    try:
        _check(vae, name)
    except RequestError as error:
        raise RequestError(f"codec.model is {name!r}. {error} {how}") from None
    return vae


@torch.no_grad()
def _check(vae: TextVAE, name: str) -> None:
    """RequestError unless the model reads pictures, and has normal codes that it writes pictures from."""
    if not isinstance(vae.codec, PixelCodec):
        kind = "codes itself" if isinstance(vae.codec, CodesCodec) else "or writes text"
        raise RequestError(f"That model reads {kind}, and codes are those of a model of pictures.")
    size = vae.settings.model.latent_size
    if not size:
        raise RequestError("That model has no code.")
    blank = np.zeros(vae.codec.shape, np.uint8)
    if not is_normal(vae.model.eval().posterior(vae.batch([blank]))):
        raise RequestError(
            "The codes of that model have no mean and deviation of each unit: it needs a posterior that is normal "
            "(model.posterior.name=diagonal_normal)."
        )
    vae.decode(torch.zeros(1, size))  # a decoder that needs the picture too (switches) says so


@torch.no_grad()
def _posteriors(vae: TextVAE, raw: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
    """Means and deviations [2, B, Z] of q(z₁|x), a few pictures at a time."""
    pictures = iter(raw)
    while some := list(islice(pictures, AT_ONCE)):
        q = vae.model.eval().posterior(vae.batch(some))
        yield torch.stack([q.mean, q.stddev]).float().cpu().numpy()
