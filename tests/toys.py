"""Tiny corpora, and tiny models of every recipe and of every variant of a registered part.

Nothing here names a part: what is registered is found, shrunk and built, so that a new part is tested unasked.
"""

import contextlib
import inspect
import itertools
import tempfile
from functools import cache
from typing import Any, Literal, get_args, get_origin

import numpy as np
import pytest
import torch

from textvae.assembly import build_objective, fit_codec
from textvae.batching import Batch, Batches
from textvae.captioned import Captioned
from textvae.codecs import CODECS
from textvae.corruptions import CORRUPTIONS
from textvae.decoders import DECODERS
from textvae.devices import has_bf16
from textvae.encoders import ENCODERS
from textvae.errors import RequestError
from textvae.likelihoods import LIKELIHOODS
from textvae.posteriors import POSTERIORS
from textvae.priors import PRIORS
from textvae.recipes import load_recipe, recipes
from textvae.settings import Part
from textvae.text_vae import TextVAE

NEEDS_BF16 = pytest.mark.skipif(not has_bf16(torch.device("cpu")), reason="this processor has no LSTM in bfloat16")
SENTENCES = [
    "the cat sat on the mat",
    "a dog ran",
    "the dog saw the old cat in the garden today",
    "birds sing",
    "a man reads a book at home",
    "rain",
    "the woman drinks tea and the man drinks milk",
    "children play in the garden",
    "the train is late again",
    "where is the station",
    "she sings an old song",
    "he buys two tickets for the train",
    "snow falls on the town at night",
    "it is cold",
    "the old man sleeps",
    "a bird sat in the old tree",
]
_rng = np.random.default_rng(0)
PICTURES = [(_rng.random((1, 4, 4)) < p).astype(np.uint8) * 255 for p in np.linspace(0.1, 0.9, 16)]
CAPTIONED = [Captioned(picture, (text, text.upper())) for picture, text in zip(PICTURES, SENTENCES)]

SLOTS = {
    "encoder": ENCODERS,
    "posterior": POSTERIORS,
    "prior": PRIORS,
    "decoder": DECODERS,
    "likelihood": LIKELIHOODS,
    "encoder_noise": CORRUPTIONS,
    "decoder_noise": CORRUPTIONS,
}
RECIPES = sorted(recipes(), key=lambda name: (not name.startswith("sentences"), name))


def families() -> list[str]:
    """The first recipe of each choice of parts: those that differ in objective and sizes alone stand for each other.

    Models that sum labels out are none of them: labels are a part of their terms (see test_labels.py).
    """
    found: dict[tuple[Any, ...], str] = {}
    for name in RECIPES:
        settings = load_recipe(name)
        if settings.model.labels == "both":
            continue
        parts = tuple(getattr(settings.model, slot).name for slot in SLOTS)
        found.setdefault((parts, settings.model.latent_size > 0), name)
    return list(found.values())


FAMILIES = families()
AS_MANY = {"vocab_size": (320, 30, 30), "max_length": (30, 30)}  # tried in this order: subwords need their bytes


class Memory:
    """Encoded examples in memory."""

    def __init__(self, arrays, labels=None, lengths=None):
        self.arrays = list(arrays)
        self.labels = None if labels is None else np.asarray(labels, np.int64)
        sizes = [a.shape[-1] for a in self.arrays] if lengths is None else lengths
        self.lengths = np.array(sizes, np.int32)

    def __len__(self):
        return len(self.arrays)

    def __getitem__(self, index):
        return self.arrays[index]


def small(options: dict[str, Any]) -> dict[str, Any]:
    """Those of the options that are large sizes or many layers, made small."""
    found: dict[str, Any] = {}
    for key, value in options.items():
        if isinstance(value, list | tuple) and value and all(isinstance(n, int) for n in value):
            found[key] = [8]
        elif key == "layers" and isinstance(value, int):
            found[key] = min(value, 2)
        elif isinstance(value, int) and not isinstance(value, bool) and value > 16:
            found[key] = 8
    return found


@cache
def _fitting(name: str) -> tuple[Part, list[Any]]:
    """The settings of a tiny codec of that name, and the raw examples that it reads."""
    takes = inspect.signature(CODECS.get(name).fit).parameters
    for size, raw in itertools.product(AS_MANY["vocab_size"], (SENTENCES, PICTURES, CAPTIONED)):
        options: dict[str, Any] = {"vocab_size": size, "max_length": 30, "ngrams": 3}
        if "model" in takes:
            options["model"] = first_stage()
        part = Part(name=name, **{key: value for key, value in options.items() if key in takes})
        with contextlib.suppress(RequestError, AttributeError, TypeError, ValueError):  # not what it reads
            fit_codec(part, raw).encode(raw)
            return part, raw
    raise AssertionError(f"The codec {name} fits neither the sentences nor the pictures of these tests, nor both.")


def codec_part(name: str) -> Part:
    """The settings of a tiny codec of that name."""
    return _fitting(name)[0]


def raw_of(codec: str) -> list[Any]:
    """Raw examples that the codec of that name reads."""
    return _fitting(codec)[1]


@cache
def codec_of(name: str):
    """A fitted codec of that name."""
    return fit_codec(codec_part(name), raw_of(name))


def settings_of(recipe: str, assignments: dict[str, Any] | None = None):
    """A recipe with every size small, and then with ``assignments``."""
    given = dict(assignments or {})
    settings = load_recipe(recipe)
    tiny: dict[str, Any] = {
        "train.batch_size": 4,
        "train.device": "cpu",
        "train.precision": "fp32",
        "train.epochs": 2,
        "train.learning_rate": 0.01,
    }
    if settings.model.latent_size:
        tiny["model.latent_size"] = 3
    if settings.model.labels != "ignore":
        tiny["model.classes"] = ["a", "b"]
    if settings.objective.options.get("features"):
        tiny["objective.features"] = features_folder()
    names = {key: value for key, value in given.items() if key.endswith(".name")}
    settings = settings.override(names) if names else settings
    for slot, registry in SLOTS.items():
        part = getattr(settings.model, slot)
        options = {**registry.options(part.name, ("vocab_size", "input_shape")), **part.options}
        tiny |= {f"model.{slot}.{key}": value for key, value in small(options).items()}
    tree = settings.override(tiny).to_dict()
    tree["codec"] = codec_part(settings.codec.name).model_dump()
    return type(settings).from_dict(tree).override(given)


@cache
def features_folder() -> str:
    """The folder of an untrained tiny classifier of the pictures, for objectives that compare features."""
    folder = tempfile.mkdtemp(prefix="textvae-test-") + "/classifier"
    vae_of("images/conv_classifier").save_pretrained(folder)
    return folder


@cache
def first_stage() -> str:
    """The folder of an untrained tiny VAE of the pictures whose codes tell them apart, for codecs that read codes."""
    folder = tempfile.mkdtemp(prefix="textvae-test-") + "/m1"
    vae = vae_of("images/vae")
    with torch.no_grad():
        for parameter in vae.model.parameters():
            parameter.mul_(4.0)
    vae.save_pretrained(folder)
    return folder


def vae_of(recipe: str, assignments: dict[str, Any] | None = None) -> TextVAE:
    """An untrained tiny model of a recipe."""
    settings = settings_of(recipe, assignments)
    return TextVAE.new(settings, codec_of(settings.codec.name))


def batch_of(vae: TextVAE, n: int = 16) -> torch.Tensor:
    """The first raw examples of these tests that the model's codec reads, as x [B, …]."""
    return vae.batch(raw_of(vae.settings.codec.name)[:n])


def whole_batch(vae: TextVAE, n: int = 16) -> Batch:
    """Those examples with what is to be written of them, where that is not x itself."""
    codec = vae.codec
    encoded = codec.encode(raw_of(vae.settings.codec.name)[:n])
    return Batch(codec.collate(encoded), target=codec.targets(encoded))


def batches_of(vae: TextVAE, shuffle: bool = True, n: int = 16, **options) -> Batches:
    """Batches over those examples."""
    examples = Memory(vae.codec.encode(raw_of(vae.settings.codec.name)[:n]))
    train = vae.settings.train
    options = {"targets": vae.codec.targets, **options}
    return Batches(examples, vae.codec.collate, train.batch_size, train.seed, shuffle, **options)


def attached(vae: TextVAE, name: str, **options: Any):
    """The objective of that name, made to go with the model; the test is skipped where it refuses to."""
    objective = build_objective(Part(name=name, **options))
    try:
        objective.attach(vae.model)
    except RequestError as error:
        pytest.skip(str(error))
    return objective


def objective_of(vae: TextVAE):
    """The objective that the model's settings name."""
    return build_objective(vae.settings.objective)


def pairwise(choices):
    """Of all choices, a few in which any two values that stand together in one of them do so, too."""
    new, seen = {c: set(itertools.combinations_with_replacement(c, 2)) for c in choices}, set()
    best = choices[0]
    while not seen or new[best] - seen:
        yield best
        seen |= new[best] | {()}
        best = max(choices, key=lambda choice: len(new[choice] - seen))


def variants(registry, wanted=lambda part: True):
    """Pytest parameters (name, options) of each part, in which any two of its closed choices stand together once."""
    found = []
    for name in registry:
        if not wanted(registry.get(name)):
            continue
        axes = []
        for key, parameter in inspect.signature(registry.get(name)).parameters.items():
            if get_origin(parameter.annotation) is Literal:
                axes.append([(key, value) for value in get_args(parameter.annotation)])
            elif parameter.annotation is bool:
                axes.append([(key, False), (key, True)])
            elif key == "layers" and parameter.annotation is int:
                axes.append([(key, 1), (key, 2)])
        for choice in pairwise(list(itertools.product(*axes))):
            label = "-".join([name, *(f"{k}={v}" for k, v in choice)])
            found.append(pytest.param(name, dict(choice), id=label))
    return found


def homes(slot: str, name: str, options: dict[str, Any]) -> list[TextVAE]:
    """Tiny models of every recipe in which that part can stand; there is at least one."""
    assignments = {f"model.{slot}.name": name} | {f"model.{slot}.{key}": value for key, value in options.items()}
    found, refusals = [], []
    for recipe in RECIPES:
        try:
            found.append(vae_of(recipe, assignments))
        except RequestError as error:
            refusals.append(str(error))
    assert found, f"The {slot} {name} goes with no recipe: {refusals}"
    return found


def equal(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> bool:
    """Whether two dictionaries hold the same tensors, bit for bit."""
    return a.keys() == b.keys() and all(torch.equal(a[key], b[key]) for key in a)


def shaken(module, scale=1.0):
    """The module with weights large enough to matter."""
    with torch.no_grad():
        for p in module.parameters():
            p.add_(scale * torch.randn_like(p))
    return module
