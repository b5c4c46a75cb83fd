"""Recipe < config < --set < flags, and what a resumed run may change."""

from pathlib import Path

import pytest

from textvae.errors import RequestError
from textvae_cli.plan import FEWEST_STEPS, Request, default_out, long_enough, run_to_resume


@pytest.fixture
def config(tmp_path):
    path = tmp_path / "my.toml"
    path.write_text(
        '[model]\nlatent_size = 8\nencoder = { name = "lstm", hidden_size = 64 }\n[train]\nbatch_size = 8\n'
    )
    return path


def test_each_layer_goes_over_the_one_before(config):
    plain = Request().settings()
    assert (plain.recipe, plain.model.latent_size, plain.train.batch_size) == ("sentences/lstm", 32, 64)
    over = Request(config=config, assignments={"model.latent_size": 5, "train.epochs": 2}, flags={"train.epochs": 3})
    got = over.settings()
    assert (got.train.batch_size, got.model.latent_size, got.train.epochs) == (8, 5, 3)
    assert got.model.encoder.options["hidden_size"] == 64
    assert got.model.encoder.options["embedding_size"] == plain.model.encoder.options["embedding_size"]


def test_a_config_may_name_its_recipe(tmp_path):
    (tmp_path / "c.toml").write_text('recipe = "sentences/ptb"\n')
    assert Request(config=tmp_path / "c.toml").settings().codec.name == "words"
    assert Request(config=tmp_path / "c.toml", recipe="images/vae").settings().codec.name == "pixels"


def test_every_saved_config_can_be_given_back(tmp_path):
    settings = Request(assignments={"model.latent_size": 7}).settings()
    (tmp_path / "config.toml").write_text(settings.to_toml())
    assert Request(config=tmp_path / "config.toml").settings() == settings
    assert Request(recipe=str(tmp_path / "config.toml")).settings() == settings


def test_rate_sets_the_target_or_replaces_the_objective():
    kept = Request(rate=5, assignments={"objective.method": "multiplier"}).settings().objective
    assert (kept.name, kept.options["rate"], kept.options["method"]) == ("target_rate", 5, "multiplier")
    replaced = Request(recipe="images/vae", rate=5).settings("image").objective
    assert (replaced.name, replaced.options) == ("target_rate", {"rate": 5})


@pytest.mark.parametrize(
    ("text", "part"),
    [("[model]\nlatent_sice = 3", "latent_size"), ("[modell]\nx = 1", "my.toml"), ("a = ", "not TOML")],
)
def test_a_wrong_config_is_named(tmp_path, text, part):
    (tmp_path / "my.toml").write_text(text)
    with pytest.raises(RequestError, match=part):
        Request(config=tmp_path / "my.toml").settings()


def test_a_resumed_run_may_only_get_longer():
    settings = Request().settings()
    assert Request().resumed(settings, Path("r")) == (settings, False)
    new, longer = Request(flags={"train.epochs": 99}).resumed(settings, Path("r"))
    assert longer
    assert new.train.epochs == 99
    assert not Request(flags={"train.device": "cpu"}).resumed(settings, Path("r"))[1]
    same = Request("sentences/lstm", flags={"train.seed": 0}, rate=settings.objective.options["rate"])
    assert same.resumed(settings, Path("r")) == (settings, False)
    for other in (
        Request(flags={"train.seed": 1}),
        Request(rate=3.0),
        Request("sentences/ptb"),
        Request(assignments={"model.latent_size": 4}),
    ):
        with pytest.raises(RequestError, match="--epochs"):
            other.resumed(settings, Path("r"))


@pytest.mark.parametrize(
    ("source", "name"),
    [
        ("/data/my corpus.txt", "my-corpus-lstm"),
        ("x.tsv.gz", "x-lstm"),
        ("toy:200", "toy-200-lstm"),
        ("user/set", "set-lstm"),
        ("/folder/", "folder-lstm"),
        ("-", "run-lstm"),
        ("/", "run-lstm"),
        ("..", "run-lstm"),
    ],
)
def test_default_run_folder(tmp_path, source, name):
    settings = Request().settings()
    assert default_out(tmp_path, source, settings) == tmp_path / name
    for number in ("", "-2"):
        (tmp_path / (name + number)).mkdir()
        (tmp_path / (name + number) / "config.toml").touch()
    assert default_out(tmp_path, source, settings) == tmp_path / f"{name}-3"


def test_no_run_to_resume(tmp_path):
    with pytest.raises(RequestError, match="no run"):
        run_to_resume(None, tmp_path)
    with pytest.raises(RequestError, match="no run"):
        run_to_resume(tmp_path / "x", tmp_path)


def test_a_small_corpus_is_read_more_often_unless_the_user_says_how_long(config):
    train = Request().settings().train
    longer = long_enough(train, steps_of_epoch=2)
    assert longer.epochs * 2 == FEWEST_STEPS
    assert longer.evaluate_every == 30
    assert long_enough(train, steps_of_epoch=FEWEST_STEPS) is train
    assert not Request(config=config).says_how_long
    for key in ("train.epochs", "train.steps", "train.minutes"):
        assert Request(flags={key: 1}).says_how_long
        assert Request(assignments={key: 1}).says_how_long
    config.write_text("[train]\nepochs = 3\n")
    assert Request(config=config).says_how_long
