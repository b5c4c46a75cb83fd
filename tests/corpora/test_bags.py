"""Documents as counts: what comes out is what was counted, and what cannot be so is refused."""

import gzip
import os
from collections import Counter

import numpy as np
import pytest

from textvae.assembly import fit_codec
from textvae.errors import RequestError
from textvae.settings import Part
from textvae_corpora import load_corpus, load_split
from textvae_corpora.bags import read
from textvae_corpora.base import Options

DATA = os.environ.get("TEXTVAE_DATA")
BAG = Part(name="bag_of_words", vocab_size=2000)


@pytest.fixture
def bags(tmp_path):
    """Writes the lines of a file of bags and of its vocabulary, and reads it."""

    def written(lines, words=("cat 3", "dog 2", "the 1")):
        for name, content in (("train.feat.gz", lines), ("vocab.new.gz", words)):
            with gzip.open(tmp_path / name, "wt") as file:
                file.write("".join(f"{line}\n" for line in content))
        return read(tmp_path / "train.feat.gz", tmp_path / "vocab.new.gz", Options())

    return written


def test_words_come_as_often_as_they_are_counted(bags):
    split = bags(["3 3:1 1:2", "12 2:1", "3"])
    assert list(split.examples) == ["the cat cat", "dog"]
    assert split.classes == ("3", "12")
    assert split.labels.tolist() == [0, 1]
    assert split.vocabulary == ("cat", "dog", "the")
    assert "1 blank document skipped" in split.notes
    assert bags(["3 3:1"], ("cat", "dog", "bird")).examples[0] == "bird", "another vocabulary, another text"


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("1 4:1", "the id 4"),
        ("1 0:1", "the id 0"),
        ("1 1", "id:count"),
        ("1 1:x", "id:count"),
        ("1 -1:1", "id:count"),
        ("1 1:²", "id:count"),
        ("1 1:999999999999", "counts more words"),
        ("1 1:" + "9" * 6000, "id:count"),
        ("1 " + "0" * 13 + "1:1", "id:count"),
    ],
)
def test_lines_that_are_no_bags_are_refused(bags, line, why):
    with pytest.raises(RequestError, match=why) as found:
        bags(["1 1:1", line])
    assert "line 2" in str(found.value)


@pytest.mark.skipif(not DATA, reason="TEXTVAE_DATA is not set: newsgroups20/nvdm_bow")
def test_twenty_newsgroups_as_miao_published_it():
    corpus, test = load_corpus("newsgroups20-nvdm"), load_split("newsgroups20-nvdm/test")
    assert len(corpus.train) + len(corpus.valid) == 11_268
    assert len(test.examples) == 7_505
    assert corpus.labels == test.classes == tuple(map(str, range(1, 21)))
    codec = fit_codec(BAG, corpus.train, corpus.vocabulary)
    assert tuple(codec.words) == corpus.vocabulary
    assert len(codec.words) == 2_000
    counts = [np.zeros(2_000), np.zeros(2_000)]
    for total, texts in zip(counts, ([*corpus.train, *corpus.valid], test.examples)):
        for bag in codec.encode(texts):
            np.add.at(total, bag[0], bag[1])
    assert [int(total.sum()) for total in counts] == [1_128_881, 720_898]
    share = (counts[0] + 1) / (counts[0] + 1).sum()
    assert np.exp(-(counts[1] * np.log(share)).sum() / 720_898) == pytest.approx(1205.4, abs=0.1)
    with gzip.open(f"{DATA}/newsgroups20/nvdm_bow/test.feat.gz", "rt") as file:
        label, *pairs = next(file).split()
    first = Counter(test.examples[0].split())
    assert first == {corpus.vocabulary[int(i) - 1]: int(n) for i, n in (pair.split(":") for pair in pairs)}
    assert test.classes[test.labels[0]] == label
