"""Which model a command uses, and whether it can do what is asked of it."""

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import textvae
from textvae.errors import RequestError
from textvae_cli.console import say

if TYPE_CHECKING:
    from textvae import TextVAE
    from textvae.settings import TrainSettings
    from textvae_cli import options

RUNS = Path("runs")
VARIABLE = "TEXTVAE_MODEL"
PICTURE_MODEL = "textvae train FOLDER, or textvae train digits, makes a model of pictures; --model names one."


def runs() -> list[Path]:
    """The runs under ./runs that have a model, the newest first."""
    found = [path.parent.parent for path in RUNS.glob("*/model/config.json")]
    return sorted(found, key=lambda run: (run / "model/config.json").stat().st_mtime, reverse=True)


def shipped() -> list[Path]:
    """The models that come with the package."""
    return [path.parent for path in sorted((Path(textvae.__file__).parent / "pretrained").glob("*/config.json"))]


def facts(folder: Path) -> dict[str, Any]:
    """What a model folder says of itself, without loading it; nothing where it is damaged."""
    try:
        found = json.loads((folder / "config.json").read_bytes())
        return {"recipe": found["settings"].get("recipe", ""), **found.get("facts", {})}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return {}


def choose(model: str | None) -> tuple[str, str]:
    """The model to use, and why, where the user did not name it."""
    if model:
        return model, ""
    if named := os.environ.get(VARIABLE):
        return named, f"${VARIABLE}"
    if found := runs():
        return str(found[0]), "the newest run"
    if found := shipped():
        return str(found[0]), "the model that ships with textvae"
    raise RequestError("There is no model yet. Train one: textvae train FILE, a text file with a sentence a line.")


def open_model(model: str | None, device: str = "cpu") -> tuple[str, "TextVAE"]:
    """The name of the model that is used, and the model; standard error says which, where it was not named."""
    name, why = choose(model)
    if why:
        say(f"model: {name} ({why})")
    from textvae import TextVAE
    from textvae.devices import resolve
    from textvae.settings import TrainSettings

    where = resolve(TrainSettings(device=device, precision="fp32")).device
    return name, TextVAE.from_pretrained(name, where)


def precision_of(vae: "TextVAE", asked: "options.Precision") -> str:
    """``fp32`` or ``bf16``, where ``auto`` is what the model's device does best."""
    from textvae.settings import TrainSettings

    return resolved(TrainSettings(device=str(vae.model.device), precision=asked.value)).precision


def resolved(settings: "TrainSettings") -> "TrainSettings":
    """``devices.resolve``, which tells where this machine has not the precision that was asked for."""
    from textvae.devices import resolve

    found = resolve(settings)
    if settings.precision == "bf16" and found.precision == "fp32":
        say("bf16: this processor has no LSTM in it; computing in fp32")
    return found


def shape(vae: "TextVAE") -> tuple[int, int, int] | None:
    """Channels, height and width of the pictures that the model reads; None for one of text."""
    found = vae.codec.picture_shape
    return (found[0], found[1], found[2]) if found else None


def reads_pictures(vae: "TextVAE") -> bool:
    """Whether the model is one of pictures."""
    return shape(vae) is not None


def writes_pictures(vae: "TextVAE") -> bool:
    """Whether what the model writes are pictures: one of captions reads them and writes words."""
    return vae.codec.written.picture_shape is not None


def need_no_pictures(name: str, given: Mapping[str, object]) -> None:
    """RequestError if an option that is for pictures was given, and the model writes text."""
    for option, value in given.items():
        if value is not None:
            raise RequestError(f"{option} is for pictures, and the model {name} writes text. {PICTURE_MODEL}")


def need_pictures(vae: "TextVAE", name: str) -> None:
    """RequestError if the model does not write pictures."""
    if not writes_pictures(vae):
        raise RequestError(f"This command is for pictures, and the model {name} writes text. {PICTURE_MODEL}")


def need_text(vae: "TextVAE", name: str, code: bool = True) -> None:
    """RequestError if the model does not write text, or, where one is needed, has no code."""
    if reads_pictures(vae):
        raise RequestError(
            f"The model {name} reads pictures: this command is for text. "
            "textvae sample, reconstruct, interpolate, traverse, evaluate and encode work."
        )
    if code:
        need_code(vae, name)


def need_code(vae: "TextVAE", name: str) -> None:
    """RequestError if the model has no code."""
    if not vae.settings.model.latent_size:
        raise RequestError(
            f"The model {name} is a plain language model, without a code: there is nothing to encode a sentence "
            "into. textvae sample, impute and evaluate work."
        )


def names_picture(text: str) -> bool:
    """Whether a word names a picture: a file, or one of a corpus by its number."""
    from textvae_corpora import NAMES
    from textvae_corpora.picture_file import SUFFIXES

    corpus, _, number = text.rpartition(":")
    numbered = number.isdigit() and corpus.partition("/")[0].partition(":")[0] in NAMES
    return numbered or (text.lower().endswith(SUFFIXES) and Path(text).is_file())


def check_sentences(vae: "TextVAE", texts: Sequence[str]) -> None:
    """RequestError for an empty sentence; a line on standard error for what the model does not read of one."""
    from textvae.codecs.bag_of_words import BagOfWordsCodec
    from textvae.codecs.tokens import TokenCodec
    from textvae.codecs.words import WordCodec

    codec = vae.codec.written
    for text in texts:
        shown = text if len(text) <= 40 else text[:39] + "…"
        if names_picture(text):
            raise RequestError(f"{shown} is a picture, and this model reads text. {PICTURE_MODEL}")
        if not text.strip():
            raise RequestError("A sentence is empty: give it at least one word.")
        if isinstance(codec, TokenCodec) and codec.truncated(text):
            say(f'note: "{shown}" is cut after {codec.max_length} tokens, the most that this model reads')
        if isinstance(codec, WordCodec):
            unknown = [word for word in text.split() if codec.text(codec.ids([word])[0]) != word]
            if unknown:
                more = f" and {len(unknown) - 8} more" if len(unknown) > 8 else ""
                say(f"note: words that this model does not know: {' '.join(unknown[:8])}{more}")
        if isinstance(codec, BagOfWordsCodec) and not codec.encode([text])[0].size:
            say(f'note: this model knows no word of "{shown}"')
