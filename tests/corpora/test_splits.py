"""Validation splits, fingerprints, the cache of texts and what happens when it cannot be written."""

import errno
import os

import numpy as np
import pytest

from textvae.errors import RequestError, TextvaeError
from textvae_corpora import load_corpus, load_examples, store

LINES = [f"sentence {i}" for i in range(100)]


def test_held_out_rows_are_disjoint_and_repeatable(write):
    path = write("a.txt", LINES)
    first, second, other = (load_corpus(path, seed=seed) for seed in (1, 1, 2))
    assert len(first.valid) == 5
    assert sorted([*first.train, *first.valid]) == sorted(LINES)
    assert list(first.valid) == list(second.valid) != list(other.valid)
    assert first.fingerprint == second.fingerprint != other.fingerprint
    assert "5 sentences held out for validation" in first.notes
    assert first.kind == "text"
    assert first.name == "a.txt"


def test_labels_follow_their_rows(write):
    path = write("a.tsv", [f"{i % 3}\t{i % 3} is the label" for i in range(50)])
    corpus = load_corpus(path, valid_fraction=0.5)
    for texts, labels in ((corpus.train, corpus.train_labels), (corpus.valid, corpus.valid_labels)):
        assert [int(text[0]) for text in texts] == labels.tolist()


@pytest.mark.parametrize(("count", "fraction", "held"), [(2, 0.01, 1), (2, 0.99, 1), (10, 0.5, 5), (3, 0.99, 2)])
def test_neither_part_is_empty(write, count, fraction, held):
    corpus = load_corpus(write("a.txt", LINES[:count]), valid_fraction=fraction)
    assert (len(corpus.train), len(corpus.valid)) == (count - held, held)


def test_one_sentence_is_in_both(write):
    corpus = load_corpus(write("a.txt", ["alone"]))
    assert list(corpus.train) == list(corpus.valid) == ["alone"]
    assert any("only one sentence" in note for note in corpus.notes)


@pytest.mark.parametrize("fraction", [0, 1, -1, float("nan")])
def test_bad_fraction(write, fraction):
    with pytest.raises(RequestError, match="between 0 and 1"):
        load_corpus(write("a.txt", LINES), valid_fraction=fraction)


def test_given_validation_file(write):
    a, b = write("a.tsv", ["x\tone", "z\ttwo"]), write("b.tsv", ["y\tthree", "x\tfour"])
    corpus = load_corpus(a, valid=b)
    assert corpus.labels == ("x", "y", "z")
    assert (corpus.train_labels.tolist(), corpus.valid_labels.tolist()) == ([0, 2], [1, 0])
    with pytest.raises(RequestError, match="alike"):
        load_corpus(a, valid="digits")


def test_folder_of_splits(write, tmp_path):
    for name in ("train", "dev", "test"):
        write(f"{name}.txt", [f"{name} {i}" for i in range(3)])
    corpus = load_corpus(str(tmp_path))
    assert (corpus.train[0], corpus.valid[0]) == ("train 0", "dev 0")
    assert load_examples(str(tmp_path))[0][0] == "test 0"


def test_a_changed_file_is_another_corpus(write):
    before = load_corpus(write("a.txt", LINES))
    assert load_corpus(write("a.txt", LINES)).fingerprint == before.fingerprint
    after = load_corpus(write("a.txt", ["changed", *LINES[1:]]))
    assert after.fingerprint != before.fingerprint
    assert "changed" in [*after.train, *after.valid]
    assert "sentence 0" in [*before.train, *before.valid]  # the old one still stands: it was copied


def test_texts(write, monkeypatch):
    monkeypatch.setattr("textvae_corpora.tables._BATCH", 7)  # several chunks
    texts = load_corpus(write("a.tsv", LINES), valid_fraction=0.3).train
    whole = load_examples(write("a.tsv", LINES))[0]
    assert len(whole.dataset.data.column("text").chunks) > 5
    assert list(whole) == [whole[i] for i in range(100)] == LINES
    listed = list(texts)
    assert [texts[i] for i in range(len(texts))] == listed
    assert texts[3:40:5] == listed[3:40:5]
    assert texts[::-1] == listed[::-1]
    assert texts[-1] == texts[np.int64(69)] == listed[-1]
    assert texts[5:5] == []
    with pytest.raises(IndexError):
        texts[70]


def test_second_reading_finds_the_cache(write, monkeypatch):
    path = write("a.txt", [*LINES, ""])
    first = load_corpus(path)
    monkeypatch.setattr(store, "_write", None)
    assert load_corpus(path).notes == first.notes


@pytest.mark.parametrize("damage", ["cut", "garbage", "no notes"])
def test_a_damaged_cache_is_built_again(write, cache, damage):
    path = write("a.txt", LINES)
    load_corpus(path)
    (stored,) = cache.glob("*.arrow")
    whole = stored.read_bytes()
    stored.unlink()  # never write into a file that is mapped
    if damage == "no notes":
        stored.write_bytes(whole)
        stored.with_suffix(".json").unlink()
    else:
        stored.write_bytes(whole[: len(whole) // 2] if damage == "cut" else b"garbage" * 50)
    assert list(load_examples(path)[0]) == LINES


def test_full_disk(write, monkeypatch, cache):
    def full(*args):
        raise OSError(errno.ENOSPC, "No space left on device")

    path = write("a.txt", LINES)
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(TextvaeError, match=r"disk is full.*textvae") as caught:
            load_corpus(path)
    assert caught.value.exit_code == 1
    assert not [*cache.glob("*.part"), *cache.glob("*.arrow")]
    assert len(load_examples(path)[0]) == 100


def test_a_file_that_changes_while_it_is_read(write, monkeypatch):
    path = write("a.txt", LINES)
    hashed = store.file_hash

    def hash_then_change(read):
        found = hashed(read)
        write("a.txt", [*LINES, "one more"])
        return found

    monkeypatch.setattr(store, "file_hash", hash_then_change)
    with pytest.raises(TextvaeError, match="changed while it was read"):
        load_corpus(path)
