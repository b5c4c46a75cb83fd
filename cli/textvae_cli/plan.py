"""From a recipe, a file, ``--set`` and flags to the settings of a run, new or resumed."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from textvae.errors import RequestError
from textvae.recipes import load_recipe
from textvae.settings import Settings, TrainSettings, read_toml

DEFAULTS = {"text": "sentences/lstm", "image": "images/vae"}
CHANGEABLE = {"train.epochs", "train.steps", "train.minutes", "train.device"}
LENGTH = ("train.epochs", "train.steps", "train.minutes")
FEWEST_STEPS = 600  # that a recipe's epochs come to: a small corpus is read more often
PLACE = {"corpus.source", "corpus.valid"}  # a corpus may have moved; the trainer compares what is in it


@dataclass(frozen=True)
class Request:
    """What the user asked for, each layer over the one before it: recipe, config, assignments, flags."""

    recipe: str | None = None
    config: Path | None = None
    assignments: Mapping[str, Any] = field(default_factory=dict)
    flags: Mapping[str, Any] = field(default_factory=dict)
    rate: float | None = None

    @property
    def named_recipe(self) -> str | None:
        """The recipe that the user or the config file names."""
        return self.recipe or (read_toml(self.config).get("recipe") or None if self.config else None)

    def settings(self, kind: str = "text") -> Settings:
        """The settings of a new run on a corpus of that kind."""
        name = self.named_recipe or DEFAULTS[kind]
        return self.over(load_recipe(name))

    def over(self, settings: Settings) -> Settings:
        """The layers above the recipe, put over ``settings``."""
        if self.config:
            values = {k: v for k, v in read_toml(self.config).items() if k != "recipe"}
            try:
                settings = settings.override(flat(values))
            except RequestError as error:
                raise RequestError(f"In {self.config}: {error}") from None
        settings = settings.override(self.assignments).override(self.flags)
        if self.rate is not None:
            settings = settings.override({"objective.name": "target_rate", "objective.rate": self.rate})
        return settings

    @property
    def says_how_long(self) -> bool:
        """Whether the user asked for a length of the run."""
        written = flat(read_toml(self.config)) if self.config else {}
        return any(key in given for key in LENGTH for given in (written, self.assignments, self.flags))

    def resumed(self, settings: Settings, run: Path) -> tuple[Settings, bool]:
        """The settings of a run that goes on, and whether its length changed.

        Raises RequestError if anything would change but the length, the device and the place of the corpus.
        """
        new = self.over(settings)
        before, after = flat(settings.to_dict()), flat(new.to_dict())
        changed = {key for key in before.keys() | after.keys() if before.get(key) != after.get(key)}
        recipe = self.named_recipe or settings.recipe
        if recipe != settings.recipe and not recipe.endswith(".toml"):
            changed.add("recipe")
        if refused := sorted(changed - CHANGEABLE - PLACE):
            raise RequestError(
                f"{run} was begun with other settings of {', '.join(refused)}: a run that goes on may change --epochs, "
                "--steps, --minutes and --device only. Leave that out, or begin a new run with another --out."
            )
        return new, bool(changed & CHANGEABLE - {"train.device"})


def long_enough(train: TrainSettings, steps_of_epoch: int) -> TrainSettings:
    """At least ``FEWEST_STEPS`` steps, evaluated less often than each epoch where an epoch has few."""
    if train.steps or train.epochs * steps_of_epoch >= FEWEST_STEPS:
        return train
    every = train.evaluate_every or max(steps_of_epoch, FEWEST_STEPS // 20)
    return train.model_copy(update={"epochs": -(-FEWEST_STEPS // steps_of_epoch), "evaluate_every": every})


def flat(tree: Mapping[str, Any]) -> dict[str, Any]:
    """``{"model": {"encoder": {"name": …}}}`` to ``{"model.encoder.name": …}``; options of parts stay whole."""
    found: dict[str, Any] = {}
    for section, values in tree.items():
        if not isinstance(values, dict):
            found[section] = values
            continue
        for key, value in values.items():
            if section == "model" and isinstance(value, dict):
                found |= {f"{section}.{key}.{option}": held for option, held in value.items()}
            else:
                found[f"{section}.{key}"] = value
    return found


def absolute(source: str | None) -> str | None:
    """A file or folder by its absolute path, so that a run finds it from elsewhere; a name as it is."""
    if not source or source == "-":
        return source
    path = Path(source).expanduser()
    try:
        return str(path.resolve()) if path.exists() else source
    except (OSError, ValueError):
        return source


def default_out(runs: Path, source: str, settings: Settings) -> Path:
    """``runs/CORPUS-RECIPE``, with a number behind it where there is such a run already."""
    stem = re.sub(r"(?i)\.(txt|csv|tsv|jsonl?|parquet|npy|npz)?(\.gz)?$", "", source.rstrip("/").rpartition("/")[2])
    recipe = Path(settings.recipe or "own").name
    name = re.sub(r"[^\w.-]+", "-", f"{stem.lstrip('.-') or 'run'}-{recipe}")
    place, number = runs / name, 1
    while (place / "config.toml").exists():
        number += 1
        place = runs / f"{name}-{number}"
    return place


def run_to_resume(out: Path | None, runs: Path) -> Path:
    """The run of that name, or the newest one under ./runs; RequestError where there is none."""
    if out is not None:
        if not (out / "config.toml").exists():
            raise RequestError(f"There is no run in {out} to resume. Leave out --resume to begin one.")
        return out
    begun = sorted(runs.glob("*/config.toml"), key=lambda path: _touched(path.parent))
    if not begun:
        raise RequestError(f"There is no run under {runs}/ to resume. Name one with --out, or leave out --resume.")
    return begun[-1].parent


def _touched(run: Path) -> float:
    return max(path.stat().st_mtime for path in (run / "config.toml", run / "metrics.jsonl") if path.exists())
