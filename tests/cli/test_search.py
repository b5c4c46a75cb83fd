"""``textvae index`` and ``textvae search`` as they are typed."""

import json
import os
import signal
import subprocess
import sys

import numpy as np
import pytest

from tests.cli.conftest import ROOT

NEWS = [
    "The rocket flew to the moon.",
    "A shuttle orbits the moon.",
    "The team won the match.",
    "A match of two teams.",
]
NEWS += ["The goal of the match.", "A moon orbits a planet with a rocket."]


@pytest.fixture(scope="module")
def documents(tmp_path_factory):
    """A tiny model of documents, and a table of them with labels."""
    from typer.testing import CliRunner

    from textvae_cli.app import app

    folder = tmp_path_factory.mktemp("documents")
    rows = [f"{'space' if 'moon' in text else 'sport'}\t{text}" for text in NEWS * 4]
    (folder / "news.tsv").write_text("label\ttext\n" + "\n".join(f"{row} {i}" for i, row in enumerate(rows)))
    words = ["train", folder / "news.tsv", "--recipe=documents/vae", "--steps=30", f"--out={folder / 'run'}"]
    words += ["--set=model.latent_size=4", "--set=codec.max_share=1.0", "--label-column=label", "--precision=fp32"]
    done = CliRunner().invoke(app, list(map(str, words)))
    assert done.exit_code == 0, done.output
    return folder


@pytest.mark.parametrize("binary", [[], ["--binary"]])
def test_documents_are_found_named_scored_and_shown_with_words(binary, textvae, documents):
    words = ["index", documents / "news.tsv", "--out", "i", "--label-column", "label", *binary]
    done = textvae(*words, "--model", documents / "run")
    assert done.exit_code == 0, done.stderr
    assert done.stdout == ""
    assert f"i: 24 documents in codes of 4 {'bits' if binary else 'numbers'}" in done.stderr
    done = textvae("search", "i", NEWS[0], "-k", "3")  # the index knows its model
    assert done.exit_code == 0, done.stderr
    assert done.stderr == ""
    rows = [line.split("\t") for line in done.stdout.splitlines()]
    assert len(rows) == 3
    assert all(len(row) == 4 for row in rows)
    assert any(row[1].startswith("The rocket flew to the moon.") and row[2] == "space" for row in rows)
    scores = [float(row[0]) for row in rows]
    assert scores == sorted(scores, reverse=not binary)
    done = textvae("search", "i", "match", "moon", "-k", "99", "--json")
    tree = json.loads(done.stdout)
    assert "holds 24 examples: that many hits at most" in done.stderr
    assert tree["metric"] == ("hamming" if binary else "cosine")
    assert [result["query"] for result in tree["results"]] == ["match", "moon"]
    assert [len(result["hits"]) for result in tree["results"]] == [24, 24]
    hit = tree["results"][0]["hits"][0]
    assert hit.keys() == {"index", "score", "name", "label", "text", "words"}
    assert textvae("search", "i", "-", "-k", "1", input="match\n\nmoon\n").stdout.count("\n") == 4


def test_a_radius_is_for_codes_of_bits(textvae, documents):
    words = ["index", documents / "news.tsv", "--label-column", "label", "--model", documents / "run"]
    assert textvae(*words, "--out", "bits", "--binary").exit_code == 0
    assert textvae(*words, "--out", "real").exit_code == 0
    all_of_them = textvae("search", "bits", "moon", "-k", "24", "--json", "--radius", "4")
    assert len(json.loads(all_of_them.stdout)["results"][0]["hits"]) == 24
    near = json.loads(textvae("search", "bits", "moon", "-k", "24", "--json", "--radius", "1").stdout)
    assert all(hit["score"] <= 1 for hit in near["results"][0]["hits"])
    refused = textvae("search", "real", "moon", "--radius", "1")
    assert refused.exit_code == 2
    assert "--binary" in refused.stderr


def test_sentences_are_found_whole(textvae, tiny):
    assert textvae("index", "toy:50", "--out", "i", "--model", tiny).exit_code == 0
    found = json.loads(textvae("search", "i", "слово в другом письме", "-k", "2", "--json").stdout)
    assert len(found["results"][0]["hits"]) == 2  # a model of pieces spells any script in bytes
    text = found["results"][0]["hits"][0]["text"]
    assert textvae("search", "i", text, "-k", "1").stdout.startswith(f"1.000\t{text}\t")


def test_pictures_are_found_by_a_picture(textvae, pictures, tmp_path):
    from PIL import Image

    (tmp_path / "photos").mkdir()
    for i, picture in enumerate(np.load(pictures / "p.npy")):
        Image.fromarray(picture[0]).save(tmp_path / "photos" / f"{i}.png")
    done = textvae("index", "photos", "--out", "i", "--model", pictures / "run")
    assert done.exit_code == 0, done.stderr
    done = textvae("search", "i", "photos/7.png", "-k", "1", "--json")
    assert done.exit_code == 0, done.stderr
    [hit] = json.loads(done.stdout)["results"][0]["hits"]
    assert hit["index"] == 7
    assert hit["score"] == pytest.approx(1, abs=1e-4)


def test_what_is_appended_is_found_and_the_same_twice_is_not(textvae, documents):
    model = ["--model", documents / "run"]
    assert textvae("index", documents / "news.tsv", "--out", "i", *model).exit_code == 0
    done = textvae("index", documents / "news.tsv", "--out", "i", "--json")
    assert (done.exit_code, json.loads(done.stdout)["added"]) == (0, 0)
    assert "24 of 24 had been indexed before" in done.stderr
    with open("more.txt", "w") as file:
        file.write("A rocket orbits the match.\n")
    refused = textvae("index", "more.txt", "--out", "i")
    assert refused.exit_code == 2
    assert "--append" in refused.stderr
    assert json.loads(textvae("index", "more.txt", "--out", "i", "--append", "--json").stdout)["rows"] == 25
    assert "A rocket orbits the match." in textvae("search", "i", "rocket match", "-k", "25").stdout
    assert json.loads(textvae("index", "more.txt", "--out", "i", "--overwrite", "--json", *model).stdout)["rows"] == 1


def test_wrong_requests_are_told(textvae, documents, tiny, pictures, tmp_path):
    assert textvae("index", documents / "news.tsv", "--out", "i", "--model", documents / "run").exit_code == 0
    (tmp_path / "empty.txt").write_text("")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "file").write_text("")
    model = ["--model", documents / "run"]
    wrong = {
        ("search", "i", "слово"): "knows no word",
        ("search", "i", "moon", "zzz qqq"): 'no word of "zzz qqq"',
        ("search", "i", ""): "empty",
        ("search", "i"): "Say what to search for",
        ("search", "i", "-"): "no sentence",
        ("search", "i", "moon", "--model", tiny): "made by the model",
        ("search", "i", "moon", "-k", "0"): "'-k'",
        ("search", "missing.idx", "moon"): "not there",
        ("search", "mine", "moon"): "not an index",
        ("index", "empty.txt", "--out", "j", *model): "no sentences",
        ("index", documents / "news.tsv", "--out", "mine", *model): "not an index",
        ("index", "toy:9", "--out", "i", "--append", "--model", tiny): "made by the model",
        ("index", "toy:9", "--out", "i", "--append", "--binary"): "real codes",
        ("index", pictures / "p.npy", "--out", "j", *model): "reads text",
    }
    for words, part in wrong.items():
        done = textvae(*words, input="")
        assert done.exit_code == 2, (words, done.output)
        assert part in done.stderr, (words, done.stderr)
        assert "Traceback" not in done.stderr
    os.truncate("i/codes.bin", 10)
    done = textvae("search", "i", "moon")
    assert done.exit_code == 1
    assert "truncated" in done.stderr


def test_a_model_that_has_gone_is_named(textvae, documents):
    import shutil

    shutil.copytree(documents / "run" / "model", "m")
    assert textvae("index", documents / "news.tsv", "--out", "i", "--model", "m").exit_code == 0
    os.rename("m", "n")
    done = textvae("search", "i", "moon")
    assert done.exit_code == 2
    assert "say where it is: --model" in done.stderr
    assert textvae("search", "i", "moon", "--model", "n").exit_code == 0


def test_search_does_without_faiss(textvae, documents, monkeypatch):
    assert textvae("index", documents / "news.tsv", "--out", "i", "--model", documents / "run").exit_code == 0
    found = textvae("search", "i", "moon", "--json").stdout
    monkeypatch.setitem(sys.modules, "faiss", None)
    other = textvae("search", "i", "moon", "--json")
    assert other.exit_code == 0, other.stderr
    hits, same = ([hit["score"] for hit in json.loads(text)["results"][0]["hits"]] for text in (found, other.stdout))
    assert hits == pytest.approx(same, abs=1e-6)


KILLED = """
import os, sys
from textvae.latent import index as module
module.Indexing.__init__.__defaults__ = (*module.Indexing.__init__.__defaults__[:-1], 10)
real, limit, calls = module._put, int(sys.argv.pop(1)), []
def put(file, data):
    calls.append(data)
    if len(calls) == limit:
        file.write(data[:7])
        os.kill(os.getpid(), 9)
    real(file, data)
module._put = put
from textvae_cli.app import main
main()
"""


def test_a_killed_run_goes_on_with_the_same_bytes(textvae, documents, monkeypatch):
    from textvae.latent.index import Indexing

    path = os.pathsep.join(str(ROOT / folder) for folder in (".", "cli", "corpora"))
    env = {**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"}
    words = ["index", str(documents / "news.tsv"), "--model", str(documents / "run"), "--out"]
    command = [sys.executable, "-c", KILLED, "6", *words, "i"]
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == -signal.SIGKILL, done.stderr
    monkeypatch.setattr(Indexing.__init__, "__defaults__", (*Indexing.__init__.__defaults__[:-1], 10))
    assert "10 of 24 had been indexed before" in textvae(*words, "i").stderr
    assert "before" not in textvae(*words, "whole").stderr
    for name in os.listdir("i"):
        with open(f"i/{name}", "rb") as one, open(f"whole/{name}", "rb") as other:
            assert one.read() == other.read()


@pytest.fixture
def few_docs(tmp_path, monkeypatch):
    """A Python with little documentation, and a cache of its own."""
    from textvae_corpora import python_docs

    texts = {"csv": "Read a csv file.", "csv.reader": "Rows of a csv file.", "gzip": "Compress files.", "math": "Root."}
    found = [python_docs.Entry(name, doc) for name, doc in texts.items()] * 8
    monkeypatch.setattr(python_docs, "entries", lambda: iter(found))
    monkeypatch.setattr(python_docs, "_FORMAT", "few")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def test_a_query_alone_is_searched_for_in_the_documentation_of_python(textvae, few_docs, tmp_path):
    done = textvae("search", "read a csv file", "-k", "16")
    assert done.exit_code == 0, done.stderr
    assert "first use" in done.stderr
    names = [line.split("\t")[1] for line in done.stdout.splitlines()]
    assert names[0] in ("csv", "csv.reader")
    again = textvae("search", "read a csv file", "-k", "16")
    assert again.stdout == done.stdout
    assert "first use" not in again.stderr
    [place] = (tmp_path / "cache" / "textvae").iterdir()
    assert {path.name for path in place.iterdir()} <= {"LOCK", "index", "model"}
    os.truncate(place / "index" / "codes.bin", 3)  # a damaged one is made again
    again = textvae("search", "read a csv file", "-k", "16")
    assert (again.exit_code, again.stdout) == (0, done.stdout)
    assert "first use" in again.stderr
    assert textvae("search", "слово").exit_code == 2
    assert textvae("search", "x" * 5000).exit_code == 2
    assert "gzip" in textvae("search", "-", "-k", "9", input="compress").stdout


def test_what_looks_like_an_index_is_no_query(textvae, few_docs, tmp_path):
    (tmp_path / "folder").mkdir()
    for place, part in (("missing.idx", "is not there"), ("folder", "is not an index")):
        done = textvae("search", place)
        assert done.exit_code == 2
        assert part in done.stderr


def test_found_pictures_stand_on_a_sheet(textvae, pictures, tmp_path):
    from PIL import Image

    assert textvae("index", pictures / "p.npy", "--out", "i", "--model", pictures / "run").exit_code == 0
    query = f"{pictures / 'p.npy'}:3"
    done = textvae("search", "i", query, "-k", "2", "--out", "hits.png")
    assert done.exit_code == 0, done.stderr
    assert done.stdout.splitlines()[0] == "1.000\tpicture 3"
    with Image.open("hits.png") as image:
        assert image.size[0] > 3 * image.size[1]
    for words in (["i", query, "--out", "hits.txt"], ["i", "a text"], ["i", query, "--out", "."]):
        assert textvae("search", *words).exit_code == 2


def test_a_model_of_bits_is_searched_by_hamming_distance(textvae, documents):
    words = ["train", documents / "news.tsv", "--recipe=documents/semantic_hashing", "--steps=2", "--out=run"]
    words += ["--set=model.latent_size=9", "--set=codec.max_share=1.0", "--label-column=label", "--precision=fp32"]
    assert textvae(*words).exit_code == 0
    assert "codes of 9 bits" in textvae("index", documents / "news.tsv", "--out", "i", "--model", "run").stderr
    tree = json.loads(textvae("search", "i", NEWS[0], "-k", "24", "--json").stdout)
    assert tree["metric"] == "hamming"
    scores = [hit["score"] for hit in tree["results"][0]["hits"]]
    assert scores == sorted(scores)
    assert set(scores) <= set(range(10))
