"""Models on disk: config.json, model.safetensors, the codec's file and a model card, in Hugging Face's convention."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from textvae import tensors
from textvae.assembly import build_model, load_codec
from textvae.autoencoder import Autoencoder
from textvae.codecs import Codec
from textvae.errors import CorruptFolder, RequestError
from textvae.files import new_folder, sha256
from textvae.settings import Settings

FORMAT = 1
CONFIG, WEIGHTS, CARD = "config.json", "model.safetensors", "README.md"
MAX_CONFIG = 1_000_000  # bytes
FIGURES = {  # of a card, and what they are
    "nll": "−ELBO",
    "distortion": r"−log p(x\|z)",
    "rate": r"KL(q(z\|x) ‖ p(z))",
    "mi": "mutual information of x and z, over the whole split",
    "active_units": "units of the code that vary with x",
    "perplexity": "from −ELBO",
    "accuracy": "share of the labels that are told right",
}
SHIPPED = Path(__file__).parent / "pretrained" / "tatoeba"


def save(
    folder: Path,
    model: Autoencoder,
    codec: Codec,
    settings: Settings,
    facts: dict[str, Any],
    dtype: torch.dtype = torch.float32,
) -> None:
    """Write a model folder; it replaces one of the same name in one step."""
    if folder.exists() and not (folder / CONFIG).exists() and (folder.is_file() or any(folder.iterdir())):
        raise RequestError(f"{folder} is there already and is not a model: it is left alone. Give another name.")
    with new_folder(folder) as place:
        weights = {k: t.to(dtype) if t.is_floating_point() else t for k, t in tensors.state(model).items()}
        tensors.save(place / WEIGHTS, weights)
        codec.save(place)
        config = {
            "format": FORMAT,
            "library": "textvae",
            "codec": codec.fingerprint,
            "weights": sha256(place / WEIGHTS),
            "settings": settings.to_dict(),
            "facts": facts,
        }
        (place / CONFIG).write_text(json.dumps(config, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
        name = folder.absolute().parent.name if folder.name == "model" else folder.name  # a run's is that of the run
        (place / CARD).write_text(card(name, settings, facts), encoding="utf-8")


def load(folder: Path) -> tuple[Autoencoder, Codec, Settings, dict[str, Any]]:
    """Read a model folder. The weights' shapes are compared with the config before any memory is taken.

    Raises CorruptFolder for a file that is missing, truncated or does not go with the others, RequestError for
    a folder of a newer format.
    """
    try:
        with (folder / CONFIG).open("rb") as file:
            config = json.loads(file.read(MAX_CONFIG))
        number, tree, facts = config["format"], config["settings"], config.get("facts", {})
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise CorruptFolder(f"{folder / CONFIG} is missing or damaged: the folder is not a whole model.") from error
    if not isinstance(number, int) or number > FORMAT:
        raise RequestError(
            f"{folder} is of model format {number}, and this textvae reads up to {FORMAT}: "
            "upgrade it with pip install --upgrade textvae."
        )
    settings = Settings.from_dict(tree, str(folder / CONFIG))
    codec = load_codec(settings.codec, folder)
    if config.get("codec", codec.fingerprint) != codec.fingerprint:
        raise CorruptFolder(f"The vocabulary in {folder} is not the one that the model was saved with.")
    with tensors.Blank():
        model = build_model(settings.model, codec)
    tensors.check(model, folder / WEIGHTS)
    if config.get("weights") not in (None, sha256(folder / WEIGHTS)):
        raise CorruptFolder(f"{folder / WEIGHTS} is damaged: it differs from what was written.")
    tensors.fill(model, tensors.load(folder / WEIGHTS))
    return model.eval(), codec, settings, facts


def find(name: str | Path | None) -> Path:
    """The model folder that a name stands for: a model folder, a run folder, a hub id, or None for the shipped one."""
    if name is None:
        return SHIPPED
    path = Path(name)
    if (path / CONFIG).exists():
        return path
    if (path / "model" / CONFIG).exists():
        return path / "model"
    if (path / "config.toml").exists():
        raise RequestError(
            f"{path} is a run without a model yet: it was stopped before its first evaluation. "
            f"textvae train --resume --out {path} goes on."
        )
    if path.exists():
        raise RequestError(f"{path} is not a model: there is no {CONFIG} in it. See textvae models.")
    if isinstance(name, str) and name.count("/") == 1 and not name.startswith((".", "/", "~", "runs/")):
        return _download(name)
    raise RequestError(f"There is no model {str(name)!r}: no such folder. See textvae models for those that are here.")


def _download(repo_id: str) -> Path:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    try:
        return Path(snapshot_download(repo_id, allow_patterns=["*.json", "*.safetensors", "*.model", "*.txt", CARD]))
    except (HfHubHTTPError, HFValidationError, LocalEntryNotFoundError, OSError) as error:
        raise RequestError(
            f"There is no folder {repo_id}, and no model of that name could be had from the Hugging Face hub "
            f"({type(error).__name__}). Check the name and the network."
        ) from error


def push(repo_id: str, write: Callable[[Path], None], private: bool) -> str:
    """Create the repository if need be, and upload the folder that ``write`` fills."""
    import tempfile

    from huggingface_hub import HfApi

    api = HfApi()
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place) / repo_id.split("/")[-1]
        write(folder)
        api.create_repo(repo_id, private=private, exist_ok=True)
        return str(api.upload_folder(repo_id=repo_id, folder_path=os.fspath(folder)))


def card(name: str, settings: Settings, facts: dict[str, Any]) -> str:
    """The model card: what it was trained on, with which command, and how it measured."""
    corpus = Path(settings.corpus.source).name or "unknown"
    front = ["---", "library_name: textvae", "tags: [text-generation, variational-autoencoder]"]
    front += [f"license: {facts['license']}"] if "license" in facts else []
    lines = [*front, "---", "", f"# {name}", "", f"A textvae model ({settings.recipe or 'own settings'})."]
    lines += [f"Corpus: {facts.get('corpus', corpus)}.", ""]
    lines += ["`--model NAME` gives it to a command of textvae, `TextVAE.from_pretrained(NAME)` to Python: NAME is the"]
    lines += ["folder of this file, or its id on the hub.", ""]
    if command := facts.get("command"):
        lines += ["Made by:", "", f"    {command}", ""]
    if numbers := facts.get("validation"):
        counted = f"{numbers['sentences']:,} examples" if "sentences" in numbers else "examples"
        lines += [
            f"On its validation split of {counted}, in nats per example at β = 1:",
            "",
            "| | | |",
            "|---|---|---|",
        ]
        lines += [f"| {key} | {numbers[key]} | {what} |" for key, what in FIGURES.items() if key in numbers] + [""]
    if attribution := facts.get("attribution"):
        lines += [attribution, ""]
    if warning := facts.get("warning"):
        lines += [f"**{warning}**", ""]
    return "\n".join(lines)
