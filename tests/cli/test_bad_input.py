"""Every kind of bad input ends in a clear line, the right exit code, and nothing half-written."""

import json
import resource
import shutil

import pytest

from .conftest import TINY, start


def refused(done, part, code=2):
    assert done.exit_code == code, done.output
    assert part in done.stderr, done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""


@pytest.mark.parametrize(
    ("name", "content", "part"),
    [
        ("none.txt", None, "There is no file"),
        ("empty.txt", b"", "empty.txt"),
        ("blank.txt", b"\n \n\t\n", "blank.txt"),
        ("folder", "folder", "folder"),
        ("binary.txt", bytes(range(256)) * 9, "binary.txt"),
        ("picture.txt", b"\x89PNG\r\n\x1a\n" + bytes(99), "PNG"),
        ("latin.txt", "Où est la gare ?\n".encode("latin-1") * 9, "--encoding"),
    ],
)
def test_what_is_no_corpus(textvae, tmp_path, name, content, part):
    if content == "folder":
        (tmp_path / name).mkdir()
    elif content is not None:
        (tmp_path / name).write_bytes(content)
    refused(textvae("train", name, "--steps", 1, *TINY), part)
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize(
    "content",
    [
        b"One.\r\nTwo.\r\nThree.\r\n",
        b"\xef\xbb\xbfOne.\nTwo.\nThree.\n",
        b"One.\nTwo.\n" + b"word " * 2_000_000 + b"\n",
        b"Only one sentence.",
        b"One.\nTwo.\nThree.",
    ],
    ids=["crlf", "bom", "10 MB line", "one sentence", "fewer than a batch"],
)
def test_what_just_works(textvae, tmp_path, content):
    (tmp_path / "c.txt").write_bytes(content)
    done = textvae("train", "c.txt", "--steps", 2, "--out", "run", *TINY)
    assert done.exit_code == 0, done.output
    assert (tmp_path / "run/model/config.json").exists()
    assert "\\r" not in json.dumps([*map(str, (tmp_path / "run/samples.txt").read_text().split("\n"))])


def test_a_model_without_a_softmax_of_words_is_not_calibrated_and_leaves_no_run(textvae, tmp_path):
    (tmp_path / "c.txt").write_text("One two three.\nTwo three four.\nThree four five.\n" * 9)
    words = [
        "train",
        "c.txt",
        "--recipe",
        "documents/nvdm",
        "--set",
        "train.calibrate=true",
        "--steps",
        1,
        "--out",
        "run",
    ]
    refused(textvae(*words), "train.calibrate looks for")
    assert not (tmp_path / "run").exists()


def test_a_vocabulary_that_the_corpus_does_not_support(textvae):
    words = [word for word in TINY if "vocab" not in word]
    done = textvae("train", "toy:40", "--steps", 1, "--out", "big", "--set=codec.vocab_size=8000", *words)
    assert done.exit_code == 0
    assert "asks for 8,000" in done.stderr
    refused(textvae("train", "toy:40", "--steps", 1, "--out", "s", "--set=codec.vocab_size=9", *words), "vocab_size")


@pytest.fixture
def folder(tiny, tmp_path):
    return shutil.copytree(tiny / "model", tmp_path / "model")


@pytest.mark.parametrize("name", ["model.safetensors", "tokenizer.model", "config.json"])
@pytest.mark.parametrize("size", [None, 0, 100])
def test_a_model_folder_that_is_not_whole(textvae, folder, name, size):
    file = folder / name
    file.unlink() if size is None else file.write_bytes(file.read_bytes()[:size])
    missing_config = name == "config.json" and size is None
    refused(
        textvae("sample", "--model", folder), "is not a model" if missing_config else name, 2 - (not missing_config)
    )


def test_a_model_of_a_newer_format(textvae, folder):
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "format": 99}))
    refused(textvae("sample", "--model", folder), "upgrade")


def test_no_such_model(textvae, tmp_path):
    refused(textvae("sample", "--model", "nope"), "There is no model 'nope'")
    refused(textvae("sample", "--model", "./no/pe"), "There is no model")
    refused(textvae("sample", "--model", "some/body"), "hub")


def test_a_full_disk_keeps_what_was_saved(tmp_path, textvae):
    """A file size limit stands in for the full disk: the operating system refuses the write in the same place."""
    big = [word for word in TINY if "hidden" not in word] + ["--set=model.encoder.hidden_size=256"]
    words = ["train", "toy:40", "--steps=4", f"--out={tmp_path / 'run'}", *big]
    limit = 1_000_000
    process = start(*words, preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit)))
    out, err = process.communicate()
    assert process.returncode == 1, err
    assert b"disk is full" in err
    assert b"Traceback" not in err
    assert out == b""
    left = [path.name for path in (tmp_path / "run").rglob("*") if path.name.startswith((".tmp", "step-"))]
    assert left == []
    done = textvae("train", "--resume", "--out", tmp_path / "run", "--threads=1")
    assert done.exit_code == 0, done.stderr
