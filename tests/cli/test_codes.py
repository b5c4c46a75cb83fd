"""A first model, and a second one of its codes (M1+M2), as they are typed."""

import json
import shutil

import numpy as np
import pytest

SMALL = ["--set=model.encoder.hidden_sizes=[8]", "--set=model.decoder.hidden_sizes=[8]", "--set=model.latent_size=3"]
SMALL += ["--set=train.batch_size=8", "--precision=fp32", "--threads=1", "--json"]
M1_M2 = ["train", "pictures.npz", "--recipe=images/m1_m2", *SMALL, "--set=corpus.labelled=4"]


@pytest.fixture
def first(textvae, tmp_path):
    """Files of pictures with labels, and a model of them in the folder m1."""
    images = np.random.default_rng(0).integers(0, 256, (24, 6, 6), np.uint8)
    np.savez(tmp_path / "pictures.npz", images=images, labels=np.repeat(["a", "b"], 12))
    np.save(tmp_path / "one.npy", images[:3, None])
    told = "--set=model.posterior.name=constant_variance"  # codes that tell pictures apart after a few steps
    done = textvae("train", "pictures.npz", "--recipe=images/vae", "--steps=3", "--out=m1", told, *SMALL)
    assert done.exit_code == 0, done.stderr


def test_every_command_of_pictures_works_on_codes(textvae, first, tmp_path):
    words = [*M1_M2, "--set=codec.model=m1", "--set=train.evaluate_every=100", "--set=train.decay=constant"]
    words += ["--set=train.warmup=0"]  # so that a longer plan is the same at first
    for run, steps in (("whole", 6), ("run", 3)):
        done = textvae(*words, f"--out={run}", "--steps", steps)
        assert done.exit_code == 0, done.stderr
    shutil.rmtree("m1")  # it travels with the run
    resumed = textvae("train", "--resume", "--out=run", "--steps=6", "--threads=1", "--json")
    assert resumed.exit_code == 0, resumed.stderr
    one, two = (tmp_path / run / "checkpoints/last/model.safetensors" for run in ("whole", "run"))
    assert one.read_bytes() == two.read_bytes()
    measured = textvae("evaluate", "pictures.npz", "--model=run", "--json")
    assert measured.exit_code == 0, measured.stderr
    tree = json.loads(measured.stdout)
    assert 0 <= tree["accuracy"] <= 1
    assert "squared_error" not in tree, "of a code there is none"
    table = textvae("evaluate", "pictures.npz", "--model=run")
    assert "−ELBO in nats per picture's code" in " ".join(table.stdout.split()), table.output
    assert "perplexity" not in table.stdout
    for line in (
        ["sample", "-n", 2, "--label=b", "--grid=out.png"],
        ["reconstruct", "pictures.npz:0", "pictures.npz:1", "--samples=1", "--out=out.png"],
        ["interpolate", "pictures.npz:0", "pictures.npz:1", "--steps=3", "--out=out.png"],
        ["traverse", "--steps=2", "--out=out.png"],
        ["traverse", "--from=pictures.npz:0", "--dims=0", "--steps=2", "--label=a", "--out=out.png"],
        ["encode", "pictures.npz", "--out=z.npy"],
        ["index", "pictures.npz", "--out=i.idx"],
        ["search", "i.idx", "pictures.npz:0", "--out=out.png"],
        ["plot", "codes", "pictures.npz", "--out=out.png"],
    ):
        done = textvae(*line, "--model=run")
        assert done.exit_code == 0, (line, done.output)
        made = tmp_path / next(
            str(word).partition("=")[2] for word in line if str(word).startswith(("--out", "--grid"))
        )
        assert made.exists()
        if made.suffix == ".png":
            made.unlink()
    refused = textvae("plot", "features", "--out=out.png", "--model=run")
    assert refused.exit_code == 2
    assert "no layer that reads pixels" in refused.stderr


def test_without_a_first_model_nothing_is_begun(textvae, first, tmp_path, tiny):
    before = sorted(tmp_path.iterdir())
    for model, why in (
        ("m2", "codec.model is 'm2', and no codes can be had from there"),
        (tiny, "codes are those of a model of pictures"),
    ):
        done = textvae(*M1_M2, "--out=run", f"--set=codec.model={model}")
        assert done.exit_code == 2
        assert why in done.stderr
        assert "textvae train CORPUS --recipe images/vae --out runs/m1" in done.stderr
    other = textvae(*M1_M2, "--out=run", "--set=codec.model=m1", "--size=5")
    assert other.exit_code == 2
    assert "this model reads uint8 [1, 6, 6]" in other.stderr
    text = tmp_path / "text.txt"
    text.write_text("a sentence\n" * 30)
    wrong = textvae("train", "text.txt", "--recipe=images/m1_m2", "--out=run")
    assert wrong.exit_code == 2
    assert "holds text, and the recipe reads pictures" in wrong.stderr
    text.unlink()
    assert sorted(tmp_path.iterdir()) == before
