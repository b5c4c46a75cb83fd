"""A model of captions, as it is typed: trained on a folder, asked about pictures, searched by text."""

import json

import pytest
from PIL import Image
from typer.testing import CliRunner

COLOURS = {"red": (220, 20, 20), "green": (20, 200, 20), "blue": (20, 20, 220), "white": (250, 250, 250)}
TINY = ["--set=model.encoder.channels=[8]", "--set=model.latent_size=4", "--set=model.decoder.hidden_size=32"]
TINY += ["--set=model.decoder.embedding_size=16", "--precision=fp32", "--threads=1"]


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """Pictures of one colour each, which their captions name, and a model of them."""
    from textvae_cli.app import app

    folder = tmp_path_factory.mktemp("captions")
    (folder / "photos").mkdir()
    rows = ["file\tcaption"]
    for i in range(24):
        name = list(COLOURS)[i % 4]
        Image.new("RGB", (8, 8), tuple(max(0, c - i) for c in COLOURS[name])).save(folder / f"photos/{i:02}.png")
        rows += [f"{i:02}.png\ta {name} wall", f"{i:02}.png\ta wall that is {name}"]
    (folder / "photos/captions.tsv").write_text("\n".join(rows))
    words = ["train", folder / "photos", "--recipe=images/captions", "--steps=150", f"--out={folder / 'run'}", *TINY]
    words += ["--set=objective.name=autoencoder", "--batch-size=12", "--set=train.learning_rate=0.02"]
    words += ["--set=train.evaluate_every=75"]
    done = CliRunner().invoke(app, list(map(str, words)))
    assert done.exit_code == 0, done.output
    assert "next: textvae reconstruct PICTURE.png" in done.stdout
    return folder


def test_reconstruct_writes_what_is_said_of_a_picture(textvae, photos):
    words = ["reconstruct", photos / "photos/00.png", photos / "photos/01.png", "--model", photos / "run"]
    tree = json.loads(textvae(*words, "--samples=2", "--json").stdout)["reconstructions"]
    assert [row["picture"].rpartition("/")[2] for row in tree] == ["00.png", "01.png"]
    assert "red" in tree[0]["caption"].split()
    assert "green" in tree[1]["caption"].split()
    assert len(tree[0]["samples"]) == 2
    shown = textvae(*words)
    assert shown.exit_code == 0, shown.stderr
    assert tree[0]["caption"] in shown.stdout


def test_sample_interpolate_and_traverse_write_words(textvae, photos):
    model = ["--model", photos / "run"]
    assert textvae("sample", "-n", 3, *model).stdout.count("\n") == 3
    ends = photos / "photos/00.png", photos / "photos/01.png"
    steps = json.loads(textvae("interpolate", *ends, "--steps", 3, "--json", *model).stdout)["steps"]
    assert "red" in steps[0]["text"]
    assert "green" in steps[-1]["text"]
    assert textvae("traverse", "--from", ends[0], *model).exit_code == 0
    assert "--out is for pictures" in textvae("reconstruct", ends[0], "--out", "x.png", *model).stderr
    assert "--grid is for pictures" in textvae("sample", "--grid", "x.png", *model).stderr


def test_evaluate_measures_the_captions(textvae, photos):
    done = textvae("evaluate", photos / "photos", "--iw-samples", 3, "--json", "--model", photos / "run")
    assert done.exit_code == 0, done.stderr
    tree = json.loads(done.stdout)
    assert tree["sentences"] == 24
    assert tree["exact"] > 0.4
    assert tree["caption_bleu"] > 80
    assert tree["nll_iw"] <= tree["nll"] + 0.5
    assert "squared_error" not in tree
    table = textvae("evaluate", photos / "photos", "--model", photos / "run").stdout
    assert "exact" in table
    assert "perplexity" in table


def test_a_text_finds_its_pictures_and_a_picture_those_like_it(textvae, photos):
    done = textvae("index", photos / "photos", "--out", "i", "--model", photos / "run")
    assert done.exit_code == 0, done.stderr
    assert "24 pictures" in done.stderr
    done = textvae("search", "i", "a blue wall", "-k", "4", "--out", "hits.png", "--json")
    assert done.exit_code == 0, done.stderr
    tree = json.loads(done.stdout)
    hits = tree["results"][0]["hits"]
    assert tree["metric"] == "log_prob"
    assert all(int(hit["name"][:2]) % 4 == 2 for hit in hits)
    assert all("blue" in hit["text"] for hit in hits)
    scores = [hit["score"] for hit in hits]
    assert scores == sorted(scores, reverse=True)
    with Image.open("hits.png") as sheet:
        assert sheet.size[0] > 3 * sheet.size[1]
    shown = textvae("search", "i", "a blue wall", "a red wall", "-k", "2").stdout
    assert shown.startswith("a blue wall:\n")
    assert "blue" in shown.splitlines()[1]
    by_picture = json.loads(textvae("search", "i", photos / "photos/02.png", "-k", "1", "--json").stdout)
    assert by_picture["metric"] == "cosine"
    assert by_picture["results"][0]["hits"][0]["name"] == "02.png"


def test_what_cannot_be_done_is_told(textvae, photos, pictures):
    textvae("index", photos / "photos", "--out", "i", "--model", photos / "run", "--limit", 4)
    for words, part in [
        (["search", "i", "a wall", "--radius", "3"], "--radius is a number of bits"),
        (["search", "i", "a wall", str(photos / "photos/00.png")], "no picture 'a wall'"),
        (["search", "i", ""], "A sentence is empty"),
        (["evaluate", pictures / "p.npy", "--model", photos / "run"], "has no captions"),
        (["train", pictures / "p.npy", "--recipe", "images/captions"], "captions.tsv"),
        (["train", photos / "photos/captions.tsv", "--recipe", "images/captions"], "holds text"),
        (["neighbours", "a", "--in", "toy:9", "--model", photos / "run"], "for text"),
    ]:
        done = textvae(*words)
        assert done.exit_code == 2, done.output
        assert part in done.stderr, done.stderr
    asked = textvae("search", "i", "a purple wall")
    assert "does not know: purple" in asked.stderr


def test_a_run_on_captions_goes_on(textvae, photos):
    words = ["train", photos / "photos", "--recipe=images/captions", "--out=again", *TINY]
    assert textvae(*words, "--steps=4").exit_code == 0
    longer = textvae("train", "--resume", "--out=again", "--steps=6", "--json")
    assert longer.exit_code == 0, longer.output
    assert json.loads(longer.stdout)["steps"] == 6
