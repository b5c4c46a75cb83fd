"""impute, analogy, neighbours, encode on a tiny model."""

import json
import os
import resource
import subprocess
import sys

import numpy as np
import pytest

from .conftest import ROOT, start

A, B, C = "The man reads a book.", "Does the girl sing?", "The old man eats the soup."


def test_impute(textvae, tiny):
    words = ["impute", "The ___ reads a ____.", "--model", tiny]
    tree = json.loads(textvae(*words, "-n", 3, "--json").stdout)
    assert tree.keys() == {"model", "completions"}
    assert len(tree["completions"]) == 3
    for row in tree["completions"]:
        assert row.keys() == {"text", "words", "log_prob"}
        assert row["text"] == f"The {row['words'][0]} reads a {row['words'][1]}."
    shown = textvae(*words, "-n", 3)
    assert [line.split("\t")[0] for line in shown.stdout.splitlines()] == [row["text"] for row in tree["completions"]]
    assert shown.stderr == ""
    piped = textvae("impute", "-", "--model", tiny, "-n", 3, input="The ___ reads a ____.\n")
    assert piped.stdout == shown.stdout
    one = json.loads(textvae(*words, "--words", 1, "--json").stdout)["completions"]
    assert all(" " not in word for row in one for word in row["words"])


@pytest.mark.parametrize(
    ("words", "part"),
    [
        (["impute", A], "no blank"),
        (["impute", ""], "no blank"),
        (["impute", "x___y"], "whole words"),
        (["impute", "word " * 30 + "___"], "too long"),
        (["impute", "-"], "no sentence"),
        (["analogy", A, B], "three sentences"),
        (["analogy", A, B, " "], "empty"),
        (["analogy", "-"], "no sentence"),
        (["neighbours", A, "--in", "nope.txt"], "no file"),
        (["neighbours", " ", "--in", "toy:9"], "empty"),
        (["neighbours", "-", "--in", "-"], "both"),
        (["encode", "nope.txt", "--out", "z.npy"], "no file"),
        (["encode", "toy:9", "--out", "z.txt"], "z.txt"),
        (["encode", "toy:9", "--out", "z.npy", "--dtype", "int8"], "int8"),
    ],
)
def test_wrong_requests_exit_2_and_write_nothing(textvae, tiny, tmp_path, words, part):
    done = textvae(*words, "--model", tiny, input="")
    assert done.exit_code == 2
    assert part in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""
    assert list(tmp_path.iterdir()) == []


def test_which_models_can_do_what(textvae, tiny, pictures, tmp_path):
    run = pictures / "run"
    for words in (["impute", "a ___"], ["analogy", A, B, C], ["neighbours", A, "--in", "toy:9"]):
        done = textvae(*words, "--model", run)
        assert done.exit_code == 2
        assert "reads pictures" in done.stderr
    done = textvae("encode", pictures / "p.npy", "--out", "z.npy", "--model", run)
    assert done.exit_code == 0, done.stderr
    assert np.load("z.npy").shape[0] == 10
    assert "pictures/s" in done.stderr
    assert "holds text" in textvae("encode", "toy:9", "--out", "y.npy", "--model", run).stderr
    assert "holds pictures" in textvae("neighbours", A, "--in", pictures / "p.npy", "--model", tiny).stderr
    small = ["--steps", 2, "--precision", "fp32", "--set=model.decoder.hidden_size=8"]
    done = textvae("train", "toy:60", "--recipe", "sentences/language_model", "--out", "l", *small)
    assert done.exit_code == 0, done.stderr
    for words in (["analogy", A, B, C], ["neighbours", A, "--in", "toy:9"], ["encode", "toy:9", "--out", "y.npy"]):
        done = textvae(*words, "--model", "l")
        assert done.exit_code == 2
        assert "without a code" in done.stderr
    assert textvae("impute", "The ___ reads a book.", "--model", "l").exit_code == 0


def test_documents(textvae, tmp_path):
    done = textvae("train", "toy:60", "--recipe", "documents/vae", "--steps", 3, "--out", "d", "--precision", "fp32")
    assert done.exit_code == 0, done.stderr
    assert "word by word" in textvae("impute", "a ___ b", "--model", "d").stderr
    assert textvae("analogy", A, B, C, "--model", "d").exit_code == 0
    assert len(textvae("neighbours", A, "--in", "toy:30", "-k", 4, "--model", "d").stdout.splitlines()) == 4
    assert textvae("encode", "toy:30", "--out", "z.npy", "--model", "d").exit_code == 0
    assert len(np.load("z.npy")) == 30


def test_analogy(textvae, tiny):
    tree = json.loads(textvae("analogy", A, A, C, "--model", tiny, "--json").stdout)
    assert tree.keys() == {"model", "a", "b", "c", "text", "log_prob"}
    again = json.loads(textvae("reconstruct", C, "--samples", 0, "--model", tiny, "--json").stdout)
    assert tree["text"] == again["reconstructions"][0]["reconstruction"]
    piped = textvae("analogy", "-", "--model", tiny, input=f"{A}\n{B}\n{C}\n")
    assert piped.stdout == textvae("analogy", A, B, C, "--model", tiny).stdout
    assert len(piped.stdout.splitlines()) == 1


@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
def test_neighbours(textvae, tiny, tmp_path, metric):
    from textvae import TextVAE
    from textvae_corpora import load_examples

    texts = list(load_examples("toy:50")[0])
    (tmp_path / "in.txt").write_text("\n".join(texts))
    words = ["neighbours", A, "--in", "in.txt", "-k", 7, "--metric", metric, "--model", tiny]
    tree = json.loads(textvae(*words, "--json").stdout)
    assert tree.keys() == {"model", "metric", "neighbours"}
    vae = TextVAE.from_pretrained(tiny)
    z, query = vae.encode(texts).numpy(), vae.encode(A).numpy()
    far = np.linalg.norm(z - query, axis=1)
    near = z @ query / np.linalg.norm(z, axis=1) / np.linalg.norm(query)
    order = np.argsort(far if metric == "euclidean" else -near)[:7]
    assert [row["index"] for row in tree["neighbours"]] == order.tolist()
    assert [row["text"] for row in tree["neighbours"]] == [texts[i] for i in order]
    scores = (far if metric == "euclidean" else near)[order]
    np.testing.assert_allclose([row["score"] for row in tree["neighbours"]], scores, atol=1e-4)
    shown = [line.split("\t") for line in textvae(*words).stdout.splitlines()]
    assert [row[1] for row in shown] == [texts[i] for i in order]
    itself = textvae("neighbours", texts[9], "--in", "in.txt", "-k", 1, "--model", tiny).stdout
    assert itself.split("\t")[0] == "1.000"
    piped = textvae("neighbours", A, "--in", "-", "-k", 7, "--metric", metric, "--model", tiny, input="\n".join(texts))
    assert [line.split("\t") for line in piped.stdout.splitlines()] == shown


def test_encode(textvae, tiny):
    from textvae import TextVAE
    from textvae_corpora import load_examples

    done = textvae("encode", "toy:50", "--out", "z.npy", "--model", tiny)
    assert done.exit_code == 0, done.stderr
    assert done.stdout == ""
    assert "texts/s" in done.stderr
    assert "of the time inside the model" in done.stderr
    texts = list(load_examples("toy:50")[0])
    z = np.load("z.npy", allow_pickle=False)
    np.testing.assert_allclose(z, TextVAE.from_pretrained(tiny).encode(texts).numpy(), atol=1e-5)
    refused = textvae("encode", "toy:50", "--out", "z.npy", "--model", tiny)
    assert refused.exit_code == 2
    assert "--overwrite" in refused.stderr
    done = textvae("encode", "toy:9", "--out", "z.npy", "--model", tiny, "--overwrite", "--dtype", "float16", "--json")
    tree = json.loads(done.stdout)
    assert (tree["rows"], tree["encoded"], tree["size"], tree["dtype"]) == (9, 9, 4, "float16")
    assert np.load("z.npy").dtype == np.float16
    assert sorted(os.listdir()) == ["z.npy"]


def test_encode_to_parquet_has_text_and_label(textvae, tiny, tmp_path):
    import pyarrow.parquet as pq

    (tmp_path / "in.csv").write_text("text,label\nA cat.,b\nA dog.,a\nA cow.,\n")
    done = textvae("encode", "in.csv", "--out", "z.parquet", "--model", tiny, "--label-column", "label")
    assert done.exit_code == 0, done.stderr
    table = pq.read_table("z.parquet").to_pydict()
    assert table["text"] == ["A cat.", "A dog.", "A cow."]
    assert table["label"] == ["b", "a", None]
    assert [len(z) for z in table["z"]] == [4, 4, 4]


KILLED = """
import os, sys
from textvae.latent import shards
shards.Shards.__init__.__defaults__ = (*shards.Shards.__init__.__defaults__[:-1], 10)
real, limit, made = shards.write_whole, int(sys.argv.pop(1)), []
def write(path, data):
    if path.suffix == ".npy":
        made.append(path)
        if len(made) > limit:
            path.with_name(".tmp-" + path.name).write_bytes(data[:50])
            os._exit(9)
    real(path, data)
shards.write_whole = write
from textvae_cli.app import main
main()
"""


def test_a_killed_run_goes_on(tiny, textvae):
    path = os.pathsep.join(str(ROOT / folder) for folder in (".", "cli", "corpora"))
    env = {**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"}
    words = ["encode", "toy:50", "--out", "z.npy", "--model", str(tiny)]
    for limit, code in ((3, 9), (99, 0)):
        command = [sys.executable, "-c", KILLED, str(limit), *words]
        done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
        assert done.returncode == code, done.stderr
        assert (code == 0) == os.path.exists("z.npy")
    assert "30 of 50 had been encoded before" in done.stderr
    assert os.listdir() == ["z.npy"]
    textvae("encode", "toy:50", "--out", "whole.npy", "--model", tiny)
    np.testing.assert_allclose(np.load("z.npy"), np.load("whole.npy"), atol=1e-5)


def test_a_full_disk_ends_encode_with_1(tiny, textvae, tmp_path):
    assert textvae("encode", "toy:9000", "--out", "y.npy", "--model", tiny).exit_code == 0  # the corpus is stored now
    words = ["encode", "toy:9000", "--out", tmp_path / "z.npy", "--model", tiny]
    process = start(*words, preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000)))
    _, err = process.communicate()
    assert process.returncode == 1, err
    assert b"The disk is full" in err
    assert b"The shards that are done are kept in" in err
    assert b"Traceback" not in err
    assert not (tmp_path / "z.npy").exists()


LIGHT = """
import sys
from textvae_cli.app import app
model = sys.argv[1]
for words in (["impute", "The ___ reads."], ["analogy", *sys.argv[2:]]):
    try:
        app([*words, "--model", model])
    except SystemExit as error:
        assert not error.code, error.code
assert not {"datasets", "pandas", "pyarrow"} & sys.modules.keys()
"""


def test_sentences_alone_do_not_wait_for_datasets(tiny):
    path = os.pathsep.join(str(ROOT / folder) for folder in (".", "cli", "corpora"))
    env = {**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", LIGHT, str(tiny), A, B, C]
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
