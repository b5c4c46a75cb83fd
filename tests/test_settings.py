"""Settings and registries: what is unknown is refused with the nearest names, and what is read is written back."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.toys import RECIPES, codec_of, settings_of
from textvae.assembly import build_model, build_objective, fit_codec
from textvae.codecs import CODECS
from textvae.corruptions import CORRUPTIONS
from textvae.decoders import DECODERS
from textvae.devices import fold, resolve
from textvae.encoders import ENCODERS
from textvae.errors import RequestError
from textvae.likelihoods import LIKELIHOODS
from textvae.objectives import OBJECTIVES
from textvae.posteriors import POSTERIORS
from textvae.priors import PRIORS
from textvae.recipes import load_recipe, recipes
from textvae.registry import did_you_mean
from textvae.schedules import SCHEDULES
from textvae.settings import Settings, TrainSettings, parse_assignment

REGISTRIES = [ENCODERS, DECODERS, LIKELIHOODS, POSTERIORS, PRIORS, OBJECTIVES, CORRUPTIONS, SCHEDULES, CODECS]


@pytest.mark.parametrize("recipe", RECIPES)
def test_every_recipe_is_read_written_back_and_says_what_it_is_for(recipe, tmp_path):
    loaded = load_recipe(recipe)
    assert loaded.recipe == recipe
    file = tmp_path / "copy.toml"
    file.write_text(loaded.to_toml())
    assert Settings.from_toml(file) == loaded
    assert load_recipe(str(file)) == loaded
    assert Settings.from_dict(loaded.to_dict()) == loaded
    assert len(recipes()[recipe]) > 20
    assert recipes()[recipe].endswith(".")
    build_objective(loaded.objective)


@pytest.mark.parametrize("recipe", RECIPES)
def test_the_real_sizes_of_every_recipe_can_be_built(recipe):
    loaded = load_recipe(recipe)
    codec = codec_of(loaded.codec.name)
    with torch.device("meta"):
        classes = [] if loaded.model.labels == "ignore" else ["a", "b"]  # which a corpus gives
        settings = loaded.model.model_copy(update={"classes": classes})
        model = build_model(settings, codec)
    assert sum(p.numel() for p in model.parameters()) > 1000


@pytest.mark.parametrize("registry", REGISTRIES, ids=lambda registry: registry.kind)
def test_every_registered_part_exists_and_is_documented(registry):
    assert list(registry)
    for name in registry:
        part = registry.get(name)
        assert part.__doc__
        assert name == name.lower()
    with pytest.raises(RequestError, match=f"no {registry.kind} called 'nonsense'"):
        registry.get("nonsense")
    wrong = next(iter(registry))[:-1] + "q"
    if len(wrong) > 3:
        with pytest.raises(RequestError, match="Did you mean"):
            registry.get(wrong)


@pytest.mark.parametrize(
    ("key", "says"),
    [
        ("model.latent_sise", "model.latent_size"),
        ("train.learning_rat", "train.learning_rate"),
        ("model.encodr.hidden_size", "model.encoder"),
        ("objective.schedule.warmup", "There is no setting"),
        ("nonsense", "There is no setting"),
        ("train.epochs.more", "There is no setting"),
        ("model.model_fields", "There is no setting"),
        ("", "There is no setting"),
        ("model..latent_size", "There is no setting"),
    ],
)
def test_an_unknown_setting_is_refused_with_the_nearest_names(key, says):
    with pytest.raises(RequestError, match=says):
        load_recipe("sentences/lstm").override({key: 1})


@pytest.mark.parametrize(
    ("assignments", "says"),
    [
        ({"train.epochs": 0}, "train.epochs"),
        ({"train.epochs": "many"}, "train.epochs"),
        ({"train.learning_rate": math.nan}, "learning_rate"),
        ({"train.learning_rate": math.inf}, "learning_rate"),
        ({"train.precision": "fp8"}, "precision"),
        ({"train.seed": -1}, "seed"),
        ({"model.latent_size": 1.5}, "latent_size"),
        ({"model.latent_size": None}, "latent_size"),
    ],
)
def test_a_value_out_of_range_is_refused_with_its_name(assignments, says):
    with pytest.raises(RequestError, match=says):
        load_recipe("sentences/lstm").override(assignments)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_number_that_is_not_finite_is_refused_in_the_options_of_parts_too(value):
    loaded = settings_of("sentences/ptb", {"model.decoder.dropout": value})
    with pytest.raises(RequestError, match="dropout"):
        build_model(loaded.model, codec_of(loaded.codec.name))


@pytest.mark.parametrize(
    ("key", "value", "says"),
    [
        ("model.decoder.hiden_size", 3, "hidden_size"),
        ("model.decoder.z_to", "inputs", "'state', 'input', 'both' or 'all'"),
        ("model.encoder.bidirectional", "sometimes", "bidirectional"),
        ("model.encoder.hidden_size", 2.5, "hidden_size"),
        ("model.encoder.name", "mlp", "do not go together"),
        ("model.decoder.name", "mlp", "do not go together"),
        ("model.likelihood.name", "bernoulli", "do not go together"),
    ],
)
def test_an_option_that_a_part_lacks_or_cannot_take_is_refused(key, value, says):
    loaded = settings_of("sentences/ptb", {key: value})
    with pytest.raises(RequestError, match=says):
        build_model(loaded.model, codec_of(loaded.codec.name))


def test_a_part_that_is_renamed_forgets_the_options_of_the_old_one():
    loaded = load_recipe("sentences/lstm")
    assert loaded.model.encoder.options
    renamed = loaded.override({"model.encoder.dropout": 0.1, "model.encoder.name": "none"})
    assert renamed.model.encoder.options == {"dropout": 0.1}
    same = loaded.override({"model.encoder.name": loaded.model.encoder.name})
    assert same == loaded
    assert load_recipe("sentences/lstm") == loaded, "override changed the settings that it was called on"


def test_a_schedule_inside_an_objective_can_be_set_and_renamed():
    loaded = load_recipe("documents/vae")
    assert loaded.objective.options["schedule"]["name"] == "linear"
    changed = loaded.override({"objective.schedule.warmup": 0.4})
    assert build_objective(changed.objective).schedule.warmup == 0.4
    renamed = loaded.override({"objective.schedule.name": "cyclical", "objective.schedule.cycles": 2})
    assert renamed.objective.options["schedule"] == {"name": "cyclical", "cycles": 2}
    whole = loaded.override({"objective.schedule": "constant"})
    assert build_objective(whole.objective).schedule(0.0) == 1.0


def test_an_unknown_key_in_a_file_is_refused_with_the_nearest_names(tmp_path):
    file = tmp_path / "own.toml"
    text = load_recipe("sentences/ptb").to_toml()
    for wrong, says in (("[trian]\nepochs = 3\n", "train"), ("[train]\nepochz = 3\n", "epochs")):
        file.write_text(text.split("[train]")[0] + wrong)
        with pytest.raises(RequestError, match=rf"(?s)own\.toml.*{says}"):
            Settings.from_toml(file)
    file.write_text("not = = toml")
    with pytest.raises(RequestError, match="not TOML"):
        Settings.from_toml(file)
    file.write_bytes(b"\xff\xfe")
    with pytest.raises(RequestError, match="cannot be read"):
        Settings.from_toml(file)
    for missing in (tmp_path / "none.toml", tmp_path):
        with pytest.raises(RequestError, match="cannot be read"):
            Settings.from_toml(missing)
    file.write_text("a = " + "[" * 50_000)
    with pytest.raises(RequestError):
        Settings.from_toml(file)


def test_an_unknown_recipe_is_refused_with_the_nearest_names():
    with pytest.raises(RequestError, match="sentences/lstm"):
        load_recipe("sentence/lstm")


@pytest.mark.parametrize(
    ("text", "pair"),
    [
        ("a.b=1", ("a.b", 1)),
        ("a = 0.5", ("a", 0.5)),
        ("a=1e-3", ("a", 1e-3)),
        ("a=true", ("a", True)),
        ("a=[1, 2]", ("a", [1, 2])),
        ('a="5"', ("a", "5")),
        ("a=words", ("a", "words")),
        ("a=x=y", ("a", "x=y")),
        ("a=", ("a", "")),
        ('a={name="linear", warmup=0.1}', ("a", {"name": "linear", "warmup": 0.1})),
        ("a=1\nb=2", ("a", "1\nb=2")),
        ("a=2024-01-01", ("a", "2024-01-01")),
    ],
)
def test_assignments_are_read_as_toml_or_as_text(text, pair):
    assert parse_assignment(text) == pair


@pytest.mark.parametrize("text", ["", "a", "=1", " = 1"])
def test_what_is_no_assignment_is_refused(text):
    with pytest.raises(RequestError, match="key=value"):
        parse_assignment(text)


@settings(max_examples=150, deadline=None)
@given(st.text(max_size=40))
def test_any_assignment_is_taken_or_refused_in_our_words(text):
    try:
        key, value = parse_assignment(text)
        build_objective(load_recipe("documents/vae").override({key: value}).objective)
    except RequestError:
        pass


KEYS = [*load_recipe("documents/vae").keys(), "model.decoder.name", "model.prior.name", "codec.name"]
VALUES = st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats() | st.text(max_size=5)
NESTED = VALUES | st.lists(VALUES, max_size=3) | st.dictionaries(st.sampled_from(["name", "x"]), VALUES, max_size=2)


@settings(max_examples=250, deadline=None)
@given(st.dictionaries(st.sampled_from(KEYS), NESTED, min_size=1, max_size=3))
def test_any_value_is_taken_or_refused_in_our_words(assignments):
    """Settings that no one should write give a RequestError, never a traceback."""
    try:
        changed = load_recipe("documents/vae").override(assignments)
        codec = fit_codec(changed.codec, ["one small document", "another document"])
        with torch.device("meta"):
            build_model(changed.model, codec)
        build_objective(changed.objective)
        assert Settings.from_dict(changed.to_dict()) == changed
    except RequestError:
        pass


def test_the_nearest_names_are_told_or_all_of_them():
    assert did_you_mean("lsmt", ["lstm", "mlp"]) == "Did you mean lstm?"
    assert did_you_mean("zzz", ["lstm", "mlp"]) == "Known: lstm, mlp."
    assert did_you_mean("x", []) == "There are none."


def test_auto_is_resolved_to_what_is_here():
    found = resolve(TrainSettings())
    assert found.device in ("cpu", "cuda")
    assert found.precision in ("fp32", "bf16")
    for device in ("cuda:99", "abacus"):
        with pytest.raises(RequestError, match="--device cpu"):
            resolve(TrainSettings(device=device))


@pytest.mark.parametrize(("here", "precision"), [(True, "bf16"), (False, "fp32")])
def test_bf16_is_fp32_on_a_processor_without_it(here, precision, monkeypatch):
    monkeypatch.setattr("textvae.devices.has_bf16", lambda device: here)
    monkeypatch.setattr("textvae.devices.bf16_is_faster", lambda device: True)
    for asked in ("auto", "bf16"):
        assert resolve(TrainSettings(device="cpu", precision=asked)).precision == precision


def test_seeds_of_steps_do_not_collide():
    seeds = {fold(a, b, c) for a in range(12) for b in range(3) for c in range(200)}
    assert len(seeds) == 12 * 3 * 200
    assert all(0 <= seed < 2**63 for seed in seeds)
    assert fold(1, 2) == fold(1, 2) != fold(2, 1)
