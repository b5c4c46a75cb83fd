"""interpolate, sample, reconstruct, evaluate, models, recipes, corpora on a tiny model."""

import json
import math
import shutil
import subprocess

import pytest
import torch

from textvae.devices import has_bf16

from .conftest import start

A, B = "The man reads a book.", "Does the girl sing?"


def test_interpolate_prints_t_and_text_for_cut(textvae, tiny):
    done = textvae("interpolate", A, B, "--model", tiny, "--steps", 5)
    rows = [line.split("\t") for line in done.stdout.splitlines()]
    assert [row[0] for row in rows] == ["0.00", "0.25", "0.50", "0.75", "1.00"]
    assert all(len(row) == 3 for row in rows)
    assert done.stderr == ""


@pytest.mark.parametrize("words", [[], ["--path", "slerp"], ["--decode", "greedy"], ["--decode", "sample"]])
def test_interpolate_json(textvae, tiny, words):
    done = textvae("interpolate", A, B, "--model", tiny, "--seed", 1, "--json", *words)
    tree = json.loads(done.stdout)
    assert tree.keys() == {"model", "path", "steps"}
    assert tree["model"] == str(tiny)
    assert len(tree["steps"]) == 7
    assert all(step.keys() == {"t", "text", "log_prob"} for step in tree["steps"])
    assert done.stdout == textvae("interpolate", A, B, "--model", tiny, "--seed", 1, "--json", *words).stdout


def test_interpolate_reads_standard_input(textvae, tiny):
    piped = textvae("interpolate", "-", "--model", tiny, input=f"\ufeff{A}\r\n{B}\n")
    assert piped.stdout == textvae("interpolate", A, B, "--model", tiny).stdout
    assert textvae("interpolate", "-", "--model", tiny, input=A).exit_code == 2
    assert textvae("interpolate", A, "--model", tiny).exit_code == 2


@pytest.mark.parametrize("text", ["ÉCOLE 🙂 zzyzx", "word " * 300, "[/bold] \x1b[31m", "\udcff\ud800", "0", "\u200b"])
def test_any_sentence_works(textvae, tiny, text):
    done = textvae("interpolate", text, B, "--model", tiny)
    assert done.exit_code == 0, done.stderr
    assert ("cut after 20 tokens" in done.stderr) == (len(text) > 100)
    assert "\x1b" not in done.stdout + done.stderr


@pytest.mark.parametrize("command", [["interpolate", "", B], ["interpolate", A, " "], ["reconstruct", A, "\t"]])
def test_an_empty_sentence_is_refused(textvae, tiny, command):
    done = textvae(*command, "--model", tiny)
    assert done.exit_code == 2
    assert "sentence is empty" in done.stderr


def test_sample_is_that_of_the_library(textvae, tiny):
    from textvae import TextVAE

    tree = json.loads(textvae("sample", "-n", 300, "--seed", 3, "--model", tiny, "--json").stdout)
    assert tree.keys() == {"model", "samples"}
    drawn = TextVAE.from_pretrained(tiny).sample(300, seed=3)
    assert [row["text"] for row in tree["samples"]] == [one.raw for one in drawn]
    assert len(textvae("sample", "-n", 300, "--model", tiny).stdout.split("\n")) == 301
    for words in (["--temperature", 0], ["--top-k", 3], ["--top-p", 0.5]):
        assert textvae("sample", "-n", 3, "--model", tiny, *words).exit_code == 0
    assert textvae("sample", "--top-p", 0, "--model", tiny).exit_code == 2


def test_a_closed_pipe_is_silent(tiny):
    done = start("sample", "-n", 100_000_000, "--model", tiny)
    head = subprocess.run(["head", "-1"], stdin=done.stdout, capture_output=True, check=True)
    done.stdout.close()
    assert head.stdout.endswith(b"\n")
    with done.stderr as said:
        assert said.read() == b""
    assert done.wait(60) == 0


def test_a_full_disk_at_standard_output(tiny):
    with open("/dev/full", "wb") as full:
        done = start("sample", "--model", tiny, stdout=full)
        _, err = done.communicate()
    assert done.returncode == 1
    assert err.startswith(b"textvae: the disk is full")
    assert len(err.splitlines()) == 1


def test_reconstruct(textvae, tiny):
    tree = json.loads(textvae("reconstruct", A, B, "--samples", 2, "--model", tiny, "--json").stdout)
    assert [row["text"] for row in tree["reconstructions"]] == [A, B]
    assert all(len(row["samples"]) == 2 for row in tree["reconstructions"])
    piped = textvae("reconstruct", "-", "--samples", 0, "--model", tiny, input=f"{A}\n\n{B}\n" * 40)
    rows = [line.split("\t") for line in piped.stdout.splitlines()]
    assert [row[0] for row in rows] == [A, B] * 40
    assert rows[1][1] == tree["reconstructions"][1]["reconstruction"]
    assert textvae("reconstruct", "-", "--model", tiny, input="\n").exit_code == 2
    assert textvae("reconstruct", "-", "--model", tiny, input=b"\xff\xfe").exit_code == 2


KEYS = [
    "nll",
    "nll_iw",
    "iw_samples",
    "distortion",
    "rate",
    "mi",
    "active_units",
    "perplexity",
    "perplexity_iw",
    "tokens",
    "sentences",
]


def test_evaluate(textvae, tiny, tmp_path):
    (tmp_path / "test.txt").write_text(f"{A}\n{B}\n" * 5)
    words = ["evaluate", tmp_path / "test.txt", "--model", tiny]
    tree = json.loads(textvae(*words, "--iw-samples", 5, "--json").stdout)
    assert {*KEYS, "reconstruction_bleu"} <= tree.keys()
    assert tree["sentences"] == 10
    assert tree["nll"] == pytest.approx(tree["distortion"] + tree["rate"])
    assert tree["perplexity"] == pytest.approx(math.exp(10 * tree["nll"] / tree["tokens"]))
    assert 0 <= tree["reconstruction_bleu"] <= 100
    assert json.loads(textvae(*words, "--json", "--limit", 3).stdout)["sentences"] == 3
    shown = textvae(*words, "--iw-samples", 5).stdout
    assert "over the whole split" in shown
    assert f"over {tree['tokens']} tokens" in shown
    piped = textvae("evaluate", "-", "--model", tiny, "--json", input=f"{A}\n{B}\n" * 5)
    assert json.loads(piped.stdout)["tokens"] == tree["tokens"]
    done = textvae(*words, "--iw-samples", 5, "--precision", "bf16", "--json")
    half, here = json.loads(done.stdout), has_bf16(torch.device("cpu"))
    assert half["evaluation_precision"] == ("bf16" if here else "fp32")
    assert tree["evaluation_precision"] == "fp32"
    assert half["nll_iw"] == pytest.approx(tree["nll_iw"], rel=0.01)
    assert (half["nll_iw"] != tree["nll_iw"]) == here != ("computing in fp32" in done.stderr)


def test_evaluate_draws_codes_wider(textvae, tiny, tmp_path):
    (tmp_path / "test.txt").write_text(f"{A}\n{B}\n")
    words = ["evaluate", tmp_path / "test.txt", "--model", tiny]
    plain, wide = (
        json.loads(textvae(*words, "--iw-samples", 5, *more, "--json").stdout) for more in ([], ["--widen=2"])
    )
    assert (plain["widen"], wide["widen"]) == (1.0, 2.0)
    assert plain["nll_iw"] != wide["nll_iw"]
    assert {plain[key] for key in ("nll", "rate", "mi")} == {wide[key] for key in ("nll", "rate", "mi")}
    assert "5 codes drawn 2 times as wide" in textvae(*words, "--iw-samples", 5, "--widen", 2).stdout
    for refused, reason in ((["--iw-samples=5", "--widen=-1"], "over 0"), (["--widen=2"], "--iw-samples 100")):
        done = textvae(*words, *refused)
        assert done.exit_code == 2
        assert reason in done.stderr


def test_pictures_are_told_from_text(textvae, tiny, pictures):
    run = pictures / "run"
    for words in (["interpolate", A, B], ["sample"], ["reconstruct", A]):
        done = textvae(*words, "--model", run)
        assert done.exit_code == 2
        assert "writes pictures" in done.stderr
    tree = json.loads(textvae("evaluate", pictures / "p.npy", "--model", run, "--json").stdout)
    assert tree["reconstruction_bleu"] is None
    assert "perplexity" not in textvae("evaluate", pictures / "p.npy", "--model", run).stdout
    assert "holds text" in textvae("evaluate", "toy:20", "--model", run).stderr
    assert "holds pictures" in textvae("evaluate", pictures / "p.npy", "--model", tiny).stderr


def test_documents_write_their_top_words(textvae, tmp_path):
    out = tmp_path / "run"
    done = textvae("train", "toy:60", "--recipe", "documents/vae", "--steps", 3, "--out", out, "--precision", "fp32")
    assert done.exit_code == 0, done.stderr
    for words in (["interpolate", A, B], ["sample", "-n", 2], ["reconstruct", A]):
        shown = textvae(*words, "--model", out)
        assert shown.exit_code == 0, shown.stderr
        assert shown.stdout
    assert "knows no word" in textvae("reconstruct", "zzz", "--model", out).stderr
    assert json.loads(textvae("evaluate", "toy:20", "--model", out, "--json").stdout)["reconstruction_bleu"] is None


def test_words_and_language_models(textvae, tmp_path):
    tiny = ["--steps", 2, "--precision", "fp32", "--set=model.decoder.hidden_size=8"]
    done = textvae("train", "toy:60", "--recipe", "sentences/ptb", "--out", "w", *tiny)
    assert done.exit_code == 0, done.stderr
    assert "does not know: The zzz" not in textvae("reconstruct", A, "--model", "w").stderr
    assert "does not know: zzz\n" in textvae("reconstruct", "The zzz", "--model", "w").stderr
    tree = json.loads(textvae("evaluate", "toy:20", "--model", "w", "--json").stdout)
    assert tree["reconstruction_bleu"] is not None
    done = textvae("train", "toy:60", "--recipe", "sentences/language_model", "--out", "l", *tiny)
    assert done.exit_code == 0, done.stderr
    assert textvae("sample", "-n", 1, "--model", "l").exit_code == 0
    assert "without a code" in textvae("interpolate", A, B, "--model", "l").stderr
    said = textvae("evaluate", "toy:20", "--model", "l", "--iw-samples", 5, "--widen", 2).stdout
    assert "−log p(x) in nats per sentence" in said
    assert [row.split()[0] for row in said.splitlines()] == ["nll", "perplexity", "tokens", "sentences"]


def test_which_model_is_taken(textvae, tiny, tmp_path, monkeypatch):
    shutil.copytree(tiny / "model", tmp_path / "runs/one/model")
    assert textvae("sample").stderr == "model: runs/one (the newest run)\n"
    monkeypatch.setenv("TEXTVAE_MODEL", str(tiny))
    assert textvae("sample").stderr == f"model: {tiny} ($TEXTVAE_MODEL)\n"
    assert textvae("sample", "--model", "runs/one/model").stderr == ""
    listed = json.loads(textvae("models", "--json").stdout)["models"]
    assert [row["model"] for row in listed][:2] == [str(tiny), "runs/one"]
    assert listed[1]["validation"]["nll"] > 0
    assert "runs/one\trun\tsentences/lstm" in textvae("models").stdout


def test_no_model_at_all(textvae, monkeypatch):
    monkeypatch.setattr("textvae_cli.loading.shipped", list)
    done = textvae("sample")
    assert done.exit_code == 2
    assert "textvae train FILE" in done.stderr
    assert json.loads(textvae("models", "--json").stdout) == {"models": []}


def test_recipes(textvae, tmp_path):
    names = [row["name"] for row in json.loads(textvae("recipes", "--json").stdout)["recipes"]]
    assert "sentences/lstm" in names
    shown = textvae("recipes", "sentences/lstm").stdout
    (tmp_path / "my.toml").write_text(shown)
    assert textvae("recipes", "my.toml").stdout == shown
    assert json.loads(textvae("recipes", "images/vae", "--json").stdout)["settings"]["codec"]["name"] == "pixels"
    wrong = textvae("recipes", "sentences/lst")
    assert wrong.exit_code == 2
    assert "sentences/lstm" in wrong.stderr


def test_corpora(textvae):
    rows = {row["name"]: row for row in json.loads(textvae("corpora", "--json").stdout)["corpora"]}
    assert rows["toy"]["present"]
    assert "toy\tyes" in textvae("corpora").stdout


def test_evaluate_measures_samples(textvae, tiny):
    result = textvae("evaluate", "toy:30", "--model", tiny, "--samples", 8, "--judge", tiny)
    assert result.exit_code == 2
    assert "language_model" in result.stderr
    result = textvae("evaluate", "toy:30", "--model", tiny, "--samples", 8, "--json")
    assert result.exit_code == 0, result.stderr
    found = json.loads(result.stdout)["of_samples"]
    assert found["samples"] == 8
    assert found["judge"] == "5-grams"
    assert found["forward_perplexity"] > 1
    assert 0 <= found["verbatim"] <= 1


def test_sample_writes_the_best_sentence_of_a_code_unless_words_are_to_be_drawn(textvae, tiny):
    from textvae import Decoding, TextVAE

    vae = TextVAE.from_pretrained(tiny)
    for words, decoding in (
        ((), Decoding("beam")),
        (("--decode", "greedy"), Decoding("greedy")),
        (("--temperature", "1.0"), Decoding("sample")),
        (("--top-k", "3"), Decoding("sample", top_k=3)),
    ):
        result = textvae("sample", "-n", 5, "--seed", 4, "--model", tiny, "--json", *words)
        texts = [sample["text"] for sample in json.loads(result.stdout)["samples"]]
        assert texts == [sample.raw for sample in vae.sample(5, decoding, seed=4)]
