"""The commands on a model of pictures: what they write, show and refuse."""

import json
import os
import re

import numpy as np
import pytest
from PIL import Image


def seen(file):
    """The picture in a file, read whole."""
    with Image.open(file) as image:
        return image.copy()


@pytest.fixture(scope="session")
def run(pictures):
    """A model of grey pictures, 4 x 4."""
    return pictures / "run"


@pytest.fixture
def photos(tmp_path):
    """A colour photo, a picture with a transparent part, a grey one of the model's size."""
    Image.new("RGB", (40, 30), (200, 10, 10)).save(tmp_path / "a.jpg")
    Image.new("RGBA", (9, 9), (0, 0, 0, 0)).save(tmp_path / "b.png")
    Image.new("L", (4, 4), 70).save(tmp_path / "c.png")
    return tmp_path


def test_sample(textvae, run, tmp_path):
    words = ["sample", "-n", 6, "--seed", 1, "--model", run]
    done = textvae(*words, "--grid", "deep/er/g.png", "--out", "single", "--json")
    assert done.exit_code == 0, done.stderr
    tree = json.loads(done.stdout)
    assert tree.keys() == {"model", "grid", "out", "samples"}
    assert [row.keys() for row in tree["samples"]] == [{"log_prob"}] * 6
    assert seen(tmp_path / "deep/er/g.png").mode == "L"
    assert sorted(os.listdir("single")) == [f"{i}.png" for i in range(6)]
    assert seen("single/0.png").size == (4, 4)
    grid = (tmp_path / "deep/er/g.png").read_bytes()
    assert textvae(*words, "--grid", "h.png").stdout == ""
    assert (tmp_path / "h.png").read_bytes() == grid
    assert textvae(*words, "--grid", "d.png", "--decode", "sample").exit_code == 0
    assert set(np.unique(np.asarray(seen("d.png")))) == {0, 255}


def test_samples_beside_the_nearest_training_pictures(textvae, run, pictures, tmp_path):
    words = ["sample", "-n", 13, "--seed", 1, "--nearest", "--model", run]
    done = textvae(*words, "--grid", "g.png", "--out", "single", "--json")
    assert done.exit_code == 0, done.stderr
    tree = json.loads(done.stdout)
    assert tree["samples"][0].keys() == {"log_prob", "nearest", "label", "distance", "ratio"}
    assert tree["nearest"].keys() == {"training", "samples", "held_out"}
    assert (tree["nearest"]["training"], tree["nearest"]["held_out"]["pictures"]) == (9, 1)
    assert seen("g.png").size == (12 * 66 + 2, 4 * 66 + 2 + 4)
    grid, training = np.asarray(seen("g.png")), np.load(pictures / "p.npy")
    first = grid[2 + 66 : 2 + 66 + 64 : 16, 2 : 2 + 64 : 16]  # a pixel is 16 x 16
    assert (training[:, 0] == first).all((1, 2)).sum() == 1
    sample = np.asarray(seen("single/00.png"))
    assert tree["samples"][0]["distance"] == pytest.approx(np.sqrt(((sample / 255 - first / 255) ** 2).sum()), rel=1e-5)
    table = textvae(*words)
    assert [line.split("\t")[0] for line in table.stdout.splitlines()] == ["distance", "ratio", "copies"]


def test_a_model_that_recites_is_found_out():
    from textvae_cli.memory import look_up
    from textvae_corpora import load_corpus

    corpus = load_corpus("sprites:200")
    found = look_up(corpus.train[:20], corpus)
    assert found.facts["samples"] == {"distance": 0.0, "ratio": 0.0, "copies": 1.0}
    assert found.facts["held_out"]["copies"] == 0.0
    assert [row["nearest"] for row in found.each] == list(range(20))
    assert found.each[3]["label"] == corpus.labels[corpus.train_labels[3]]


def test_nearest_without_what_it_was_trained_on(textvae, run, pictures, tmp_path):
    import shutil

    shutil.copytree(run, "moved")
    config = tmp_path / "moved/model/config.json"
    text = config.read_text()
    for other, part in (("gone.npy", "cannot be read again. There is no file"), ("digits", "have another shape")):
        config.write_text(text.replace(str(pictures / "p.npy"), other))
        done = textvae("sample", "--nearest", "--model", "moved", "--grid", "g.png")
        assert done.exit_code == 2
        assert part in done.stderr
    assert not (tmp_path / "g.png").exists()


def test_reconstruct(textvae, run, pictures, photos):
    words = ["reconstruct", "a.jpg", "b.png", "c.png", f"{pictures / 'p.npy'}:0-1", "--model", run, "--out", "r.png"]
    done = textvae(*words, "--json")
    assert done.exit_code == 0, done.stderr
    rows = json.loads(done.stdout)["reconstructions"]
    assert [row["picture"] for row in rows][:3] == ["a.jpg", "b.png", "c.png"]
    assert rows[0].keys() == {"picture", "distortion", "squared_error"}
    assert "a.jpg: made it grey, scaled and cropped 40 x 30 to 4 x 4" in done.stderr
    assert "b.png: made white what is transparent" in done.stderr
    assert "c.png:" not in done.stderr
    shown = np.asarray(seen("r.png"))
    tile = (shown.shape[1] - 2) // 5
    assert (shown[2 : tile - 2, 2 + tile : 2 * tile - 2] == 255).all()
    assert (shown[2 : tile - 2, 2 + 2 * tile : 3 * tile - 2] == 70).all()
    once = textvae(*words, "--samples", 2)
    assert once.exit_code == 0, once.stderr
    assert np.asarray(seen("r.png")).shape == (4 * tile + 2, shown.shape[1])
    many = textvae("reconstruct", *["c.png"] * 13, "--model", run, "--out", "m.png")
    assert many.stderr.endswith("m.png: 26 pictures\n")


def test_reconstruct_what_was_made_noisy(textvae, run, pictures):
    trained = ["train", pictures / "p.npy", "--recipe", "images/denoising", "--steps", 2, "--out", "d"]
    assert textvae(*trained, "--set", "model.encoder_noise.rate=1").exit_code == 0
    words = ["reconstruct", f"{pictures / 'p.npy'}:0-1", "--noisy", "--out", "r.png"]
    noisy = textvae(*words, "--model", "d", "--json")
    assert noisy.exit_code == 0, noisy.stderr
    shown = np.asarray(seen("r.png"))
    assert shown.shape == (3 * 66 + 2, 2 * 66 + 2)
    assert (shown[70:130, 10:60] == 0).all(), "all of it is blanked"
    clean = json.loads(textvae(*words[:2], *words[3:], "--model", "d", "--json").stdout)
    assert json.loads(noisy.stdout)["reconstructions"][0] != clean["reconstructions"][0]
    refused = textvae(*words, "--model", run)
    assert refused.exit_code == 2
    assert "without noise" in refused.stderr


def test_squared_error_and_distortion_are_those_of_the_model(textvae, run, photos):
    import torch

    from textvae import TextVAE

    row = json.loads(textvae("reconstruct", "c.png", "--model", run, "--json").stdout)["reconstructions"][0]
    vae = TextVAE.from_pretrained(run)
    x = torch.full((1, 1, 4, 4), 70 / 255)
    back = vae.decode(vae.encode(np.full((1, 4, 4), 70, np.uint8)))
    assert row["squared_error"] == pytest.approx(((x - torch.tensor(back) / 255) ** 2).sum().item(), abs=1e-5)
    log_px = vae.model.log_px(x, vae.model.posterior(x).mean[None])
    assert row["distortion"] == pytest.approx(-log_px.item(), rel=1e-5)


@pytest.mark.parametrize("path", ["linear", "slerp"])
def test_interpolate(textvae, run, photos, path):
    words = ["interpolate", "a.jpg", "c.png", "--steps", 5, "--path", path, "--model", run]
    done = textvae(*words, "--out", "i.png", "--json")
    assert done.exit_code == 0, done.stderr
    tree = json.loads(done.stdout)
    assert [step["t"] for step in tree["steps"]] == [0, 0.25, 0.5, 0.75, 1]
    assert tree["out"] == "i.png"
    assert seen("i.png").size == (5 * 66 + 2, 68)


def test_traverse(textvae, run, photos):
    words = ["traverse", "--model", run, "--json"]
    tree = json.loads(textvae(*words, "--dims", "3,1", "--steps", 3, "--out", "p.png").stdout)
    assert (tree["dims"], tree["out"]) == ([3, 1], "p.png")
    places = [row["values"] for row in tree["steps"]]
    np.testing.assert_allclose(places, [[a, b] for a in (-2, 0, 2) for b in (-2, 0, 2)], atol=1e-3)
    assert seen("p.png").size == (200, 200)
    line = textvae(*words, "--dims", 2, "--steps", 5, "--range", "-1,1", "--from", "c.png", "--out", "l.png")
    assert [row["values"] for row in json.loads(line.stdout)["steps"]] == [[-1], [-0.5], [0], [0.5], [1]]
    assert seen("l.png").size == (5 * 66 + 2, 68)
    chosen = textvae("traverse", "--model", run, "--out", "c.png")
    assert "what matters most here" in chosen.stderr
    assert chosen.stdout == ""
    assert seen("c.png").size == (15 * 66 + 2, 15 * 66 + 2)


def test_traverse_sentences(textvae, tiny):
    words = ["traverse", "--dims", "1", "--model", tiny]
    tree = json.loads(textvae(*words, "--json").stdout)
    assert len(tree["steps"]) == 9
    assert tree["steps"][0].keys() == {"values", "text", "log_prob"}
    shown = textvae(*words, "--from", "The man reads a book.", "--range", "0,1", "--steps", 2).stdout.splitlines()
    assert [line.split("\t")[0] for line in shown] == ["0.00", "1.00"]


def test_a_recipe_of_pictures_needs_no_corpus(textvae, tmp_path):
    done = textvae("train", "--recipe", "images/vae", "--steps", 2, "--size", 6, "--threads", 1)
    assert done.exit_code == 0, done.stderr
    assert "corpus: digits" in done.stderr
    assert "next: textvae sample -n 64 --grid samples.png" in done.stdout
    assert textvae("sample", "--grid", "g.png").exit_code == 0  # of the newest run
    assert seen("g.png").mode == "L"
    assert "Say what to train on" in textvae("train").stderr


def test_commands_that_read_a_corpus(textvae, run, photos):
    done = textvae("evaluate", ".", "--model", run, "--json")
    assert done.exit_code == 0, done.stderr
    assert json.loads(done.stdout)["sentences"] == 3
    assert "scaled and cropped to 4 x 4" in done.stderr
    assert textvae("encode", "digits", "--limit", 7, "--out", "z.npy", "--model", run).exit_code == 0
    assert len(np.load("z.npy")) == 7


@pytest.mark.parametrize(
    ("words", "part"),
    [
        (["sample"], "add --grid out.png"),
        (["sample", "--grid", "out.jpg"], "ends in .jpg"),
        (["sample", "--grid", "."], "ends in nothing"),
        (["sample", "--grid", "g.png", "--out", "c.png"], "is a file"),
        (["sample", "--grid", "c.png/g.png"], "cannot be written"),
        (["sample", "--grid", "g.png", "--top-k", "3"], "are for words"),
        (["sample", "--grid", "g.png", "--temperature", "1"], "are for words"),
        (["reconstruct", "c.png"], "add --out pairs.png"),
        (["reconstruct", "c.png", "--out", "folder.png"], "is a folder"),
        (["reconstruct", "nope.png", "--out", "r.png"], "no picture 'nope.png'"),
        (["reconstruct", "A sentence.", "--out", "r.png"], "no picture 'A sentence.'"),
        (["reconstruct", "", "--out", "r.png"], "no picture"),
        (["reconstruct", "digits", "--out", "r.png"], "as in digits:7"),
        (["reconstruct", "folder.png", "--out", "r.png"], "more than one"),
        (["reconstruct", "digits:1797", "--out", "r.png"], "0 to 1,796"),
        (["reconstruct", "digits:5-4", "--out", "r.png"], "0 to"),
        (["reconstruct", "toy:9:3", "--out", "r.png"], "holds text"),
        (["reconstruct", "none/such:3", "--out", "r.png"], "none/such"),
        (["reconstruct", "text.png", "--out", "r.png"], "text.png is not a picture"),
        (["reconstruct", "text.txt", "--out", "r.png"], "text.txt is not a picture"),
        (["interpolate", "c.png", "--out", "i.png"], "takes two"),
        (["interpolate", "digits:0-1", "c.png", "--out", "i.png"], "3 were named"),
        (["traverse"], "add --out plane.png"),
        (["traverse", "--dims", "0,1", "--steps", "101", "--out", "p.png"], "--steps 100 at most"),
        (["traverse", "--dims", "0", "--label", "3", "--out", "p.png"], "cannot be told '3'"),
        (["traverse", "--dims", "x", "--out", "p.png"], "with a comma between"),
        (["traverse", "--dims", "", "--out", "p.png"], "with a comma between"),
        (["traverse", "--dims", "0,99", "--out", "p.png"], "no dimension 99"),
        (["traverse", "--dims", "0,0", "--out", "p.png"], "two different ones"),
        (["traverse", "--range", "1", "--out", "p.png"], "two numbers"),
        (["traverse", "--range", "0,inf", "--out", "p.png"], "finite"),
        (["traverse", "--from", "digits:0-1", "--out", "p.png"], "one picture"),
        (["impute", "a ___"], "for text"),
        (["analogy", "a", "b", "c"], "for text"),
        (["neighbours", "a", "--in", "toy:9"], "for text"),
        (["evaluate", "toy:9"], "holds text"),
    ],
)
def test_wrong_requests_exit_2_and_write_nothing(textvae, run, photos, words, part):
    (photos / "folder.png").mkdir()
    (photos / "text.png").write_text("no picture")
    (photos / "text.txt").write_text("no picture")
    before = sorted(photos.iterdir())
    done = textvae(*words, "--model", run)
    assert done.exit_code == 2, done.output
    assert part in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""
    assert sorted(photos.iterdir()) == before


@pytest.mark.parametrize(
    ("words", "part"),
    [
        (["sample", "--grid", "g.png"], "--grid is for pictures"),
        (["sample", "--out", "g"], "--out is for pictures"),
        (["sample", "--nearest"], "--nearest is for pictures"),
        (["reconstruct", "A cat.", "--out", "g.png"], "--out is for pictures"),
        (["interpolate", "A cat.", "A dog.", "--out", "g.png"], "--out is for pictures"),
        (["traverse", "--out", "g.png"], "--out is for pictures"),
        (["traverse", "--dims", "0,1"], "along one dimension"),
        (["interpolate", "a.jpg", "b.png"], "a.jpg is a picture, and this model reads text. textvae train FOLDER"),
        (["reconstruct", "a.jpg"], "a.jpg is a picture"),
        (["reconstruct", "mnist/test:7"], "mnist/test:7 is a picture"),
    ],
)
def test_pictures_and_a_model_of_text(textvae, tiny, photos, words, part):
    done = textvae(*words, "--model", tiny)
    assert done.exit_code == 2, done.output
    assert part in done.stderr


def test_without_pillow(textvae, run, monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "PIL", None)
    done = textvae("sample", "--grid", "g.png", "--model", run)
    assert done.exit_code == 2
    assert "pip install 'textvae[images]'" in done.stderr


def test_a_preview_in_the_terminal(textvae, run, photos, monkeypatch):
    monkeypatch.setattr("textvae_cli.pictures.can_preview", lambda: True)
    for key, value in {"TERM": "xterm-256color", "COLORTERM": "truecolor", "FORCE_COLOR": "1"}.items():
        monkeypatch.setenv(key, value)
    monkeypatch.setattr("shutil.get_terminal_size", lambda *_: os.terminal_size((40, 12)))
    done = textvae("reconstruct", "c.png", "--model", run, color=True)
    assert done.exit_code == 0, done.stderr
    assert "38;2;70;70;70" in done.stdout
    lines = [re.sub(r"\x1b\[[\d;]*m", "", line) for line in done.stdout.splitlines()]
    assert lines == ["▀" * 6] * 6  # two pictures of 4 x 4 with margins: 11 rows of 6 pixels


@pytest.mark.parametrize(
    ("env", "shown"), [({}, True), ({"NO_COLOR": "1"}, False), ({"TERM": "dumb"}, False), ({"TERM": ""}, False)]
)
def test_which_terminals_show_pictures(monkeypatch, env, shown):
    import sys

    from textvae_cli.pictures import can_preview

    monkeypatch.delenv("NO_COLOR", raising=False)
    for key, value in {"TERM": "xterm", **env}.items():
        monkeypatch.setenv(key, value)
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    assert can_preview() == shown
    monkeypatch.setattr(sys.stdout, "isatty", lambda: False)
    assert not can_preview()
