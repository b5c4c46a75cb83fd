"""Encoded examples: Arrow and list agree, and no cache is ever stale."""

import errno
import sys

import numpy as np
import pytest

from textvae.batching import ListExamples
from textvae.codecs.words import WordCodec
from textvae.errors import TextvaeError
from textvae_corpora import encode, encode_examples, load_corpus, load_examples
from textvae_corpora.examples import ArrowExamples

LINES = [f"{'word ' * (i % 5)}number {i}" for i in range(40)]


class Stub:
    """Letters to numbers; at module level, so that a worker process can be sent it."""

    calls = 0

    def __init__(self, shift=0, dtype="uint16", lead=False):
        self.shift, self.dtype, self.lead = shift, dtype, lead

    @property
    def fingerprint(self):
        return f"stub {self.shift} {self.lead}"

    def encode(self, raw):
        Stub.calls += len(raw)
        ids = [np.array([ord(c) + self.shift for c in text], self.dtype) for text in raw]
        return [np.stack([i, i + 1]) for i in ids] if self.lead else ids


@pytest.fixture
def texts(write):
    return load_examples(write("a.txt", LINES))[0]


@pytest.mark.parametrize("lead", [False, True])
@pytest.mark.parametrize("dtype", ["uint16", "uint32", "int64"])
def test_arrow_equals_list(texts, monkeypatch, lead, dtype):
    monkeypatch.setattr(encode, "_BATCH", 7)
    codec = Stub(dtype=dtype, lead=lead)
    stored, listed = encode_examples(texts, codec), encode_examples(list(texts), codec)
    assert isinstance(stored, ArrowExamples)
    assert isinstance(listed, ListExamples)
    assert len(stored) == len(listed) == 40
    assert stored.lengths.dtype == listed.lengths.dtype == np.int32
    assert (stored.lengths == listed.lengths).all()
    for i in (*range(40), -1):
        assert stored[i].dtype == dtype
        np.testing.assert_array_equal(stored[i], listed[i])
    with pytest.raises(IndexError):
        stored[40]


def test_views_copy_nothing(texts):
    examples = encode_examples(texts, Stub())
    assert np.shares_memory(examples[3], examples[3])


def test_another_codec_gives_other_ids(texts):
    assert encode_examples(texts, Stub(0))[0][0] + 5 == encode_examples(texts, Stub(5))[0][0]


def test_another_text_gives_other_ids(write):
    for first in "ab":
        texts = load_examples(write("same.txt", [first]))[0]
        assert encode_examples(texts, Stub())[0][0] == ord(first)


def test_second_start_finds_the_cache(texts, write, monkeypatch):
    encode_examples(texts, Stub())
    before = Stub.calls
    again = encode_examples(load_examples(write("a.txt", LINES))[0], Stub())
    assert Stub.calls == before + 1  # the first text, to learn the type
    assert len(again) == 40


def test_train_and_valid_and_labels(write):
    corpus = load_corpus(write("a.tsv", [f"{i % 2}\t{line}" for i, line in enumerate(LINES)]), valid_fraction=0.3)
    for raw, labels in ((corpus.train, corpus.train_labels), (corpus.valid, corpus.valid_labels)):
        examples = encode_examples(raw, Stub(), labels=labels)
        assert ["".join(map(chr, examples[i])) for i in range(len(examples))] == list(raw)
        assert examples.labels is labels
        assert examples.lengths.tolist() == [len(text) for text in raw]


def test_processes_find_the_same_cache(texts):
    if sys.version_info >= (3, 12):
        pytest.skip("forking a process that has threads warns since Python 3.12")
    two = encode_examples(texts, Stub(), processes=2)
    before = Stub.calls
    one = encode_examples(texts, Stub())
    assert Stub.calls == before + 1
    assert [two[i].tolist() for i in range(40)] == [one[i].tolist() for i in range(40)]


def test_a_wider_array_later(write):
    class Widening(Stub):
        def encode(self, raw):
            return [np.array([int(text)], np.min_scalar_type(int(text))) for text in raw]

    texts = load_examples(write("n.txt", ["1", "70000", "5000000000"]))[0]
    assert [int(a[0]) for a in map(encode_examples(texts, Widening()).__getitem__, range(3))] == [
        1,
        70000,
        5 * 10**9,
    ]


def test_pictures():
    class Pixels(Stub):
        def encode(self, raw):
            return list(raw)

    corpus = load_corpus("digits", limit=50)
    examples = encode_examples(corpus.train, Pixels(), labels=corpus.train_labels)
    assert examples[0].shape == (1, 8, 8)
    assert len(examples) == 48
    assert examples.lengths.tolist() == [8] * 48


def test_a_full_disk_and_the_codecs_own_error(texts, monkeypatch, cache):
    class Broken(Stub):
        def encode(self, raw):
            if len(raw) > 1:
                raise KeyError("the codec's own")
            return super().encode(raw)

    with pytest.raises(KeyError, match="the codec's own"):
        encode_examples(texts, Broken(9))
    assert not list(cache.rglob("tmp*"))

    def full(*args, **kwargs):
        raise RuntimeError("while writing") from OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(type(texts.dataset), "map", full)
    with pytest.raises(TextvaeError, match="disk is full"):
        encode_examples(texts, Stub(10))


def test_the_users_datasets_settings_stay(texts):
    import datasets

    before = datasets.logging.get_verbosity(), datasets.is_progress_bar_enabled()
    encode_examples(texts, Stub(3))
    assert (datasets.logging.get_verbosity(), datasets.is_progress_bar_enabled()) == before


def test_texts_are_the_same_after_their_file_was_mapped_anew(tmp_path):
    path = tmp_path / "own.txt"
    path.write_text("\n".join(f"sentence {i}" for i in range(50)))
    corpus = load_corpus(str(path), valid_fraction=0.2)
    before, data = list(corpus.train), corpus.train.dataset
    corpus.train.stored.reopen()
    assert corpus.train.dataset is not data
    assert list(corpus.train) == before
    assert corpus.train[3] == before[3]


def test_files_are_mapped_anew_while_they_are_read(tmp_path, monkeypatch):
    """What was read leaves memory; what is held stays good, and rows stay the same."""
    from textvae_corpora import examples, texts

    lines = [f"line {i} of {i % 7}" for i in range(40)]
    (tmp_path / "a.txt").write_text("\n".join(lines))
    corpus = load_corpus(str(tmp_path / "a.txt"))
    codec = WordCodec.fit(corpus.train)
    encoded = encode_examples(corpus.train, codec)
    before, text = [encoded[i] for i in range(len(encoded))], list(corpus.train)
    monkeypatch.setattr(examples, "READS", 3)
    monkeypatch.setattr(texts, "_READS", 3)
    mapped, dataset = encoded._values, corpus.train.dataset
    again = [encoded[i] for i in range(len(encoded))]
    assert all(np.array_equal(a, b) for a, b in zip(before, again))
    assert encoded._values is not mapped
    assert [corpus.train[i] for i in range(len(text))] == text
    assert corpus.train.dataset is not dataset
    assert corpus.valid.dataset is corpus.train.dataset
