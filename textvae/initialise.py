"""A new model that begins where a trained one is (Yang et al. 2017, §4: a language model's weights)."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from textvae import model_folder, tensors
from textvae.autoencoder import Autoencoder
from textvae.codecs import Codec
from textvae.errors import RequestError
from textvae.settings import ModelSettings

Side = Literal["model", "encoder", "decoder"]
PLAIN = "constant_variance"  # the posterior of a plain autoencoder


@dataclass(frozen=True)
class Taken:
    """How many of the tensors of one side of a model came from the model ``source``."""

    side: Side
    count: int
    total: int
    source: str

    def __str__(self) -> str:
        return f"the {self.side} begins with {self.count} of its {self.total} tensors from {self.source}"


def initialise(model: Autoencoder, codec: Codec, settings: ModelSettings) -> list[Taken]:
    """Copy into a new ``model`` what its settings ask for; without such a setting nothing is read.

    ``all_from`` takes all that there is, to train it further by another objective or at another learning rate.
    ``decoder_from`` takes the decoder and the likelihood's last layer. ``encoder_from`` takes the encoder of a
    model that has one, and the code of a plain autoencoder as the last of its layers, where the new code is alike
    (what makes a distribution begins anew); of a language model it takes those tensors of the decoder that do the
    encoder's work. Where the new decoder reads z and the old one does not, the weights of z are zero: the model
    begins as that language model, whatever the code.

    Raises RequestError for another vocabulary or scale of z, and where a tensor has no place in the new model.
    """
    wanted: list[tuple[Side, str | None]] = [
        ("model", settings.all_from),
        ("encoder", settings.encoder_from),
        ("decoder", settings.decoder_from),
    ]
    return [_take(model, codec, settings, side, name) for side, name in wanted if name is not None]


def _take(model: Autoencoder, codec: Codec, settings: ModelSettings, side: Side, name: str) -> Taken:
    source, other, found, _ = model_folder.load(model_folder.find(name))
    if other.fingerprint != codec.fingerprint:
        raise RequestError(
            f"The {side} cannot begin with {name}: its vocabulary is another. Train that model on the same corpus "
            "with the same codec (the settings under codec)."
        )
    modules: tuple[str, ...] = ("encoder",) if side == "encoder" else ("decoder", "likelihood")
    if side == "encoder" and _same_layer(settings, found.model):
        modules += ("posterior_head",)
    own, given = (tensors.state(m) if side == "model" else _named(m, modules) for m in (model, source))
    if side == "encoder" and not given:
        given = _renamed(_named(source, ("decoder",)), model.encoder.counterparts)
    wider = settings.latent_size - found.model.latent_size if side == "decoder" else 0
    misfits = [_misfit(key, value, own, wider) for key, value in given.items()]
    reasons = [reason for reason in misfits if reason]
    if not given:
        reasons = [f"the {side} {getattr(settings, side).name!r} has no tensors in common with it"]
    elif side != "encoder" and _ties(model, given) != _ties(source, given):
        reasons = ["one of them ties its embedding to its last layer (model.likelihood.tied), the other does not"]
    elif side != "encoder" and _reads(found.model) and source.decoder.z_scale != model.decoder.z_scale:
        reasons = [f"z enters it times {source.decoder.z_scale:g}, and {model.decoder.z_scale:g} here (z_scale)"]
    if reasons:
        raise RequestError(
            f"The {side} cannot begin with {name}: {'; '.join(reasons[:4])}. "
            "Give both models the same parts and options."
        )
    with torch.no_grad():
        for key, value in given.items():
            missing = [size - had for size, had in zip(own[key].shape, value.shape)]
            own[key].copy_(F.pad(value, (0, missing[1], 0, missing[0])) if any(missing) else value)
    return Taken(side, len(given), len(own), name)


def _same_layer(one: ModelSettings, other: ModelSettings) -> bool:
    """Whether the codes of two models are one more layer of their encoders, and the same one; no label enters it."""
    plain = one.posterior.name == PLAIN and not {one.labels, other.labels} & {"condition", "both"}
    return plain and one.posterior == other.posterior and one.latent_size == other.latent_size


def _reads(settings: ModelSettings) -> bool:
    """Whether the decoder reads anything beside words: a code, or a label."""
    return settings.latent_size > 0 or settings.labels in ("condition", "both")


def _named(model: Autoencoder, modules: tuple[str, ...]) -> dict[str, Tensor]:
    """Those of the model's tensors that stand in the given modules, tied ones once."""
    return {key: value for key, value in tensors.state(model).items() if key.partition(".")[0] in modules}


def _renamed(decoder: dict[str, Tensor], counterparts: Mapping[str, str]) -> dict[str, Tensor]:
    """A decoder's tensors under the names of the encoder's that do the same work."""
    return {
        f"encoder.{new}{key.removeprefix(f'decoder.{old}')}": value
        for key, value in decoder.items()
        for old, new in counterparts.items()
        if key.startswith(f"decoder.{old}")
    }


def _misfit(key: str, value: Tensor, own: dict[str, Tensor], wider: int) -> str:
    """Why the tensor has no place in the new model, or nothing; z, which is ``wider`` there, comes after the word."""
    if key not in own:
        return f"{key} has no place in this model"
    place, size = own[key].shape, value.shape
    with_z = ((size[0], size[1] + wider), (size[0] + wider, size[1])) if len(size) == 2 and wider > 0 else ()
    return "" if place == size or place in with_z else f"{key} is {list(size)} there and {list(place)} here"


def _ties(model: Autoencoder, keys: Mapping[str, Tensor]) -> dict[str, str]:
    return {key: first for key, first in tensors.aliases(model).items() if first in keys and key != first}
