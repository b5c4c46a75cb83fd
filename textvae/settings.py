"""Settings of a model and of a run: read from TOML, checked, written back whole."""

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, Self

import tomli_w
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from textvae.errors import RequestError
from textvae.registry import did_you_mean


class Strict(BaseModel):
    """Refuses keys that it does not know and numbers that are not finite."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False, validate_assignment=True)


class Part(BaseModel):
    """A registered name and the options of that part; the options are checked when it is built."""

    model_config = ConfigDict(extra="allow", allow_inf_nan=False)
    name: str

    @property
    def options(self) -> dict[str, Any]:
        """The options without the name."""
        return dict(self.__pydantic_extra__ or {})


class CorpusSettings(Strict):
    """Where the examples come from."""

    source: str = ""
    valid: str | None = None
    text_column: str | None = None
    label_column: str | None = None
    encoding: str = "utf-8"
    limit: int | None = Field(None, ge=1)
    size: int | None = Field(None, ge=1, le=4096)  # pixels a side that pictures are brought to; default: as they are
    labelled: int | None = Field(None, ge=0)  # training examples that keep their label, as many of each class
    labelled_share: float | None = Field(None, gt=0, lt=1)  # of an epoch: labelled examples are repeated to fill it


class ModelSettings(Strict):
    """The parts of a model."""

    latent_size: int = Field(32, ge=0, le=65_536)
    encoder: Part
    posterior: Part = Part(name="diagonal_normal")
    prior: Part = Part(name="standard_normal")
    decoder: Part
    likelihood: Part
    encoder_noise: Part = Part(name="none")
    decoder_noise: Part = Part(name="none")
    labels: Literal["ignore", "condition", "predict", "both"] = "ignore"  # q(z|x, y) and p(x|z, y); q(y|x); all three
    classes: list[str] = []  # the labels' names, from the corpus
    all_from: str | None = None  # a trained model that a new one begins with; not read again afterwards
    encoder_from: str | None = None  # one whose encoder it begins with
    decoder_from: str | None = None
    word_vectors: bool = True  # of sentences: a new model's embeddings begin with what stands together in the corpus


class TrainSettings(Strict):
    """How a model is trained."""

    epochs: int = Field(20, ge=1)
    steps: int | None = Field(None, ge=1)  # instead of epochs
    minutes: float | None = Field(None, gt=0)  # at most; the schedules then follow the clock
    batch_size: int = Field(32, ge=1)
    max_tokens: int | None = Field(None, ge=1)  # padded tokens in a batch
    optimizer: Literal["adam", "sgd"] = "adam"
    learning_rate: float = Field(1e-3, gt=0)
    decay: Literal["constant", "linear", "cosine"] = "linear"  # of the learning rate, over the run
    warmup: float = Field(0.01, ge=0, le=1)  # share of the run over which the learning rate rises
    weight_decay: float = Field(0.0, ge=0)
    clip: float = Field(5.0, gt=0)  # norm of the gradient
    average: float = Field(0.0, ge=0, lt=1)  # decay of a moving average of the weights, which is kept; 0: none
    calibrate: bool = False  # the softmax of words has the temperature that suits the validation split
    patience: int = Field(5, ge=1)  # evaluations without a better model before the run stops
    evaluate_every: int | None = Field(None, ge=1)  # steps; default: each epoch
    save_every: int = Field(500, ge=1)  # steps
    keep: int = Field(2, ge=1)  # checkpoints, beside the best
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    device: str = "auto"
    seed: int = Field(0, ge=0, lt=2**32)


class Settings(Strict):
    """All that makes a run what it is."""

    recipe: str = ""
    corpus: CorpusSettings = CorpusSettings()
    codec: Part
    model: ModelSettings
    objective: Part
    train: TrainSettings = TrainSettings()

    @classmethod
    def from_dict(cls, values: Mapping[str, Any], origin: str = "the settings") -> Self:
        """Check a tree of values; RequestError names the first that is wrong, and the nearest known keys."""
        try:
            return cls.model_validate(values)
        except ValidationError as error:
            raise RequestError(_explain(error, cls, origin)) from None

    @classmethod
    def from_toml(cls, path: Path) -> Self:
        """Read a TOML file."""
        return cls.from_dict(read_toml(path), str(path))

    def to_dict(self) -> dict[str, Any]:
        """A tree of plain values, without those that are None."""
        return self.model_dump(exclude_none=True)

    def to_toml(self) -> str:
        """The settings as a TOML document."""
        return tomli_w.dumps(self.to_dict())

    def override(self, assignments: Mapping[str, Any]) -> Self:
        """A copy with ``{"model.latent_size": 64}`` put in place; RequestError for a key that does not exist.

        A new ``name`` for a part starts from that part's own defaults, not from the options of the part it replaces.
        """
        tree = self.to_dict()
        # Names first, so that options given beside a new name are options of the new part.
        for key, value in sorted(assignments.items(), key=lambda item: not item[0].endswith(".name")):
            *path, last = key.split(".")
            node: dict[str, Any] = tree
            model: Any = self
            for step in path:
                model = getattr(model, step, None)
                if not isinstance(node.get(step), dict):
                    raise RequestError(f"There is no setting {key!r}. {did_you_mean(key, self.keys())}")
                node = node[step]
            if last == "name" and not isinstance(model, Strict) and node.get("name") != value:
                node.clear()
            elif isinstance(model, Strict) and last not in type(model).model_fields:
                raise RequestError(f"There is no setting {key!r}. {did_you_mean(key, self.keys())}")
            node[last] = value
        return self.from_dict(tree, "--set")

    def keys(self) -> list[str]:
        """The dotted names of all settings that are there."""
        return list(_flatten(self.model_dump()))


def read_toml(path: Path) -> dict[str, Any]:
    """The values of a TOML file; RequestError where it is missing or not TOML."""
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise RequestError(f"{path} cannot be read: {error}.") from error
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise RequestError(f"{path} is not TOML: {error}.") from error


def parse_assignment(text: str) -> tuple[str, Any]:
    """``a.b=1`` to ("a.b", 1): the value is read as TOML, and as a plain string where it is not TOML."""
    key, equals, value = text.partition("=")
    if not equals or not key.strip():
        raise RequestError(f"--set takes key=value, as in --set model.latent_size=64; {text!r} is not that.")
    try:
        read = tomllib.loads(f"value = {value}")
    except (tomllib.TOMLDecodeError, RecursionError):
        read = {}
    plain = read.keys() == {"value"} and isinstance(read["value"], str | int | float | list | dict)  # not a date
    return key.strip(), read["value"] if plain else value.strip()


def _flatten(tree: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in tree.items():
        flat |= _flatten(value, f"{prefix}{key}.") if isinstance(value, dict) else {prefix + key: value}
    return flat


def _explain(error: ValidationError, settings: type[BaseModel], origin: str) -> str:
    first = error.errors()[0]
    where = ".".join(map(str, first["loc"]))
    if first["type"] == "extra_forbidden":
        model: Any = settings
        for step in first["loc"][:-1]:
            model = model.model_fields[str(step)].annotation
        return f"In {origin} there is no setting {where!r}. {did_you_mean(str(first['loc'][-1]), model.model_fields)}"
    if first["type"] == "missing":
        return f"In {origin} the setting {where!r} is missing."
    return f"In {origin} {where} = {first['input']!r} is wrong: {first['msg']}."
