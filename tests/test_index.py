"""An index: what is found is what is nearest, whatever interrupts its making and whoever made it."""

import os
from dataclasses import dataclass, replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.toys import PICTURES, SENTENCES, raw_of, vae_of
from textvae.errors import CorruptFolder, RequestError, TextvaeError
from textvae.latent import index as module
from textvae.latent.bits import medians
from textvae.latent.index import CODES, EXAMPLES, HEADER, LOG, Header, Index, Indexing, remove, same_model
from textvae.latent.matches import matches
from textvae.latent.means import Means
from textvae.latent.shards import fingerprint


@dataclass
class Table:
    examples: list
    fingerprint: str = "a"
    labels: np.ndarray | None = None
    classes: tuple[str, ...] = ()


def codes_of(n, size=5, seed=0):
    return np.random.default_rng(seed).normal(size=(n, size)).astype(np.float32)


def header_of(size=5, **options):
    return Header("a/model", "f", options.pop("kind", "text"), size, **options)


def cuts(z):
    return tuple(medians(z).tolist())


def made(folder, texts, z, header=None, shard=4, append=False, key="a", **options):
    """An index of texts whose codes are given."""
    rows = {text: row for row, text in enumerate(texts)}
    encode = lambda raw: z[[rows[text] for text in raw]]  # noqa: E731
    table = Table(texts, key, *options.pop("labels", (None, ())))
    Indexing(folder, table, encode, header or header_of(z.shape[1]), key, shard=shard, **options).write(append)
    return Index.open(folder)


def slow(index, z, k):
    """The definition of what search finds: rows and scores."""
    if index.header.metric == "cosine":
        stored = index.header.stored(z)
        near = stored.astype(np.float64) @ np.asarray(index.codes, np.float64).T
    else:
        ours, theirs = (np.unpackbits(bits, axis=1) for bits in (index.header.stored(z), index.codes))
        near = -(ours[:, None] != theirs[None]).sum(-1).astype(float)
    orders = [np.lexsort((np.arange(len(row)), -row))[:k] for row in near]
    return [
        [(int(i), abs(row[i]) if row[i] < 0 and index.header.thresholds else row[i]) for i in order]
        for row, order in zip(near, orders)
    ]


@pytest.fixture(params=["faiss", "torch"])
def engine(request, monkeypatch):
    if request.param == "torch":
        monkeypatch.setattr(module, "_has_faiss", lambda: False)
    else:
        pytest.importorskip("faiss", reason="faiss is not installed")
    return request.param


@pytest.mark.parametrize("binary", [False, True])
@pytest.mark.parametrize("k", [1, 7, 500])
def test_search_finds_the_nearest_and_the_earlier_of_two_alike(binary, k, engine, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "PIECE", 16)
    z = codes_of(60, 19)
    z[40:50] = z[3]  # many alike
    index = made(tmp_path / "i", [f"t{i}" for i in range(60)], z, header_of(19, thresholds=cuts(z) if binary else None))
    queries = np.concatenate([z[[3, 11]], codes_of(3, 19, 1)])
    for hits, expected in zip(index.search(queries, k), slow(index, queries, k)):
        assert len(hits) == min(k, 60)
        assert [hit.row for hit in hits] == [row for row, _ in expected]
        np.testing.assert_allclose([hit.score for hit in hits], [score for _, score in expected], atol=1e-6)


def test_a_radius_leaves_the_hamming_ball(engine, tmp_path):
    z = codes_of(60, 19)
    index = made(tmp_path / "i", [f"t{i}" for i in range(60)], z, header_of(19, thresholds=cuts(z)))
    query = codes_of(1, 19, 1)
    bits = z > np.array(cuts(z))
    distances = (bits != (query > np.array(cuts(z)))).sum(1)
    near = sorted(np.flatnonzero(distances <= 8).tolist(), key=lambda row: (distances[row], row))
    assert 0 < len(near) < 60
    assert [hit.row for hit in index.search(query, 60, radius=8)[0]] == near
    assert index.search(query, 60, radius=0)[0] == []
    real = made(tmp_path / "real", ["a", "b"], codes_of(2, 5))
    with pytest.raises(RequestError, match="--binary"):
        real.search(codes_of(1, 5), radius=3)


@settings(max_examples=20, deadline=None)
@given(st.integers(1, 40), st.integers(1, 70), st.integers(1, 50), st.booleans())
def test_both_engines_find_the_same(n, size, k, binary):
    pytest.importorskip("faiss", reason="faiss is not installed")
    z, queries = codes_of(n, size), codes_of(2, size, 1)
    header = header_of(size, thresholds=(0.0,) * size if binary else None)
    codes, metric = header.stored(z), header.metric
    for query in header.stored(queries):
        a, b = (find(query, codes, min(k, n), metric) for find in (module._by_faiss, module._by_torch))
        np.testing.assert_allclose([hit.score for hit in a], [hit.score for hit in b], atol=1e-6)
        assert not binary or a == b


def test_a_code_of_nothing_is_like_none(engine, tmp_path):
    index = made(tmp_path / "i", ["a", "b"], np.zeros((2, 5), np.float32))
    assert [hit.score for hit in index.search(codes_of(1), 2)[0]] == [0, 0]


@pytest.mark.parametrize("recipe", ["sentences/lstm", "documents/vae", "images/vae"])
def test_an_index_holds_codes_texts_labels_and_pictures(recipe, tmp_path):
    vae = vae_of(recipe)
    raw = raw_of(vae.settings.codec.name)
    pictures = raw is PICTURES
    header = Header("m", fingerprint(vae), "image" if pictures else "text", 3, shape=(1, 4, 4) if pictures else ())
    table = Table(np.stack(raw) if pictures else raw, labels=np.array([0, 1, -1, 0] * 4), classes=("no", "yes"))
    names = [f"n{i}" for i in range(16)]
    told = []
    work = Indexing(tmp_path / "deep" / "i", table, Means(vae), header, "x", names, shard=5)
    assert work.write(progress=told.append) == 0
    assert told == [0, 5, 10, 15, 16]
    index = Index.open(tmp_path / "deep" / "i")
    assert len(index) == 16
    assert index.header == header
    torch.testing.assert_close(
        torch.from_numpy(np.array(index.codes)),
        torch.nn.functional.normalize(vae.encode(raw), dim=-1),
        atol=1e-5,
        rtol=0,
    )
    for row in (0, 4, 5, 14, 15):
        one = index[row]
        assert (one.row, one.name, one.label) == (row, names[row], ["no", "yes", None, "no"][row % 4])
        assert one.text == (None if pictures else raw[row])
        assert not pictures or np.array_equal(one.picture, raw[row])
    assert index.search(vae.encode(raw[7:8]).numpy(), 1)[0][0].score == pytest.approx(1)
    index.check()
    assert work.write() == 16


def bytes_of(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


class Killed(BaseException):
    pass


@pytest.mark.parametrize(("at", "kept"), [(1, 0), (2, 0), (3, 0), (4, 0), (5, 4), (9, 8), (10, 8), (19, 20)])
def test_a_killed_run_goes_on_and_ends_with_the_same_bytes(at, kept, tmp_path, monkeypatch):
    """Stopped in the middle of a write: of the first line, of codes, of examples, of a line that makes them valid."""
    texts, z, real, calls = [f"t{i}" for i in range(22)], codes_of(22), module._put, []

    def put(file, data):
        calls.append(data)
        if len(calls) == at:
            real(file, data[: len(data) // 2])
            raise Killed
        real(file, data)

    monkeypatch.setattr(module, "_put", put)
    with pytest.raises(Killed):
        made(tmp_path / "i", texts, z)
    monkeypatch.undo()
    assert len(Index.open(tmp_path / "i")) == kept
    made(tmp_path / "i", texts, z)
    made(tmp_path / "whole", texts, z)
    assert bytes_of(tmp_path / "i") == bytes_of(tmp_path / "whole")


def test_appending_rebuilds_nothing_and_is_done_once(tmp_path):
    texts, z = [f"t{i}" for i in range(9)], codes_of(9)
    made(tmp_path / "i", texts, z)
    before = bytes_of(tmp_path / "i")
    more, other = [f"u{i}" for i in range(3)], codes_of(3, seed=1)
    with pytest.raises(RequestError, match=r"holds 9 examples of a.*--append"):
        made(tmp_path / "i", more, other, key="b")
    for _ in range(2):  # the second time it is there
        index = made(tmp_path / "i", more, other, key="b", append=True)
        assert len(index) == 12
    after = bytes_of(tmp_path / "i")
    assert all(after[name].startswith(data) for name, data in before.items())
    assert index[10].text == "u1"
    assert index.search(other[1:2], 1)[0][0].row == 10


def test_an_unfinished_source_comes_first(tmp_path):
    texts, z = [f"t{i}" for i in range(9)], codes_of(9)
    calls = []

    def encode(raw):
        calls.append(raw)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return z[: len(raw)]

    with pytest.raises(KeyboardInterrupt):
        Indexing(tmp_path / "i", Table(texts), encode, header_of(), "first.txt", shard=4).write()
    assert Index.open(tmp_path / "i").missing == 5
    with pytest.raises(RequestError, match=r"waits for the rest of first.txt \(5 of 9\)"):
        made(tmp_path / "i", ["x"], z, key="b", append=True)
    assert len(Index.open(tmp_path / "i").search(z[:1], 9)[0]) == 4


def test_two_writers_are_refused_and_a_reader_keeps_what_it_opened(tmp_path):
    texts, z = [f"t{i}" for i in range(9)], codes_of(9)
    reader = made(tmp_path / "i", texts, z)
    refused = []

    def encode(raw):
        with pytest.raises(RequestError, match="Another process"):
            made(tmp_path / "i", ["y"], z, key="c", append=True)
        with pytest.raises(RequestError, match="Another process"):
            remove(tmp_path / "i")
        refused.append(len(raw))
        return z[:1]

    Indexing(tmp_path / "i", Table(["x"], "b"), encode, header_of(), "b").write(append=True)
    assert refused == [1]
    assert len(reader) == len(reader.codes) == 9
    assert len(Index.open(tmp_path / "i")) == 10
    remove(tmp_path / "i")
    assert reader.search(z[3:4], 1)[0][0].row == 3  # mapped before, and still there


@pytest.mark.parametrize("name", [CODES, EXAMPLES])
def test_a_truncated_index_is_told(name, tmp_path):
    made(tmp_path / "i", ["a", "b", "c"], codes_of(3))
    path = tmp_path / "i" / name
    os.truncate(path, path.stat().st_size - 1)
    with pytest.raises(CorruptFolder, match=f"{name} is truncated"):
        Index.open(tmp_path / "i")
    path.unlink()
    with pytest.raises(CorruptFolder, match="truncated: 0 bytes"):
        Index.open(tmp_path / "i")


@pytest.mark.parametrize("name", [CODES, EXAMPLES])
def test_flipped_bits_are_found_by_a_check(name, tmp_path):
    index = made(tmp_path / "i", [f"t{i}" for i in range(9)], codes_of(9))
    path = tmp_path / "i" / name
    data = bytearray(path.read_bytes())
    data[-7] ^= 1
    path.write_bytes(data)
    with pytest.raises(CorruptFolder, match="examples 8 to 8"):
        index.check()
    with pytest.raises(CorruptFolder, match="examples 8 to 8"):
        made(tmp_path / "i", ["x"], codes_of(1), key="b", append=True)


BROKEN = {
    "header cut": (HEADER, lambda data: data[:20], CorruptFolder, "index.json is damaged"),
    "header empty": (HEADER, lambda data: b"", CorruptFolder, "index.json is damaged"),
    "header a list": (HEADER, lambda data: b"[]", CorruptFolder, "index.json is damaged"),
    "unknown key": (HEADER, lambda data: data.replace(b'"recipe"', b'"x"'), CorruptFolder, "index.json is damaged"),
    "no size": (HEADER, lambda data: data.replace(b'"size": 5', b'"size": -5'), CorruptFolder, "is damaged"),
    "newer": (HEADER, lambda data: data.replace(b'"format": 1', b'"format": 9'), RequestError, "format 9.*upgrade"),
    "log": (LOG, lambda data: data.replace(b'"rows": 3', b'"rows": 0'), CorruptFolder, "damaged in line 1"),
    "log binary": (LOG, lambda data: b"\xff\n" + data, CorruptFolder, "damaged in line 1"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_a_damaged_index_is_told(case, tmp_path):
    name, change, error, part = BROKEN[case]
    made(tmp_path / "i", ["a", "b", "c"], codes_of(3))
    path = tmp_path / "i" / name
    path.write_bytes(change(path.read_bytes()))
    with pytest.raises(error, match=part):
        Index.open(tmp_path / "i")


@pytest.mark.parametrize("junk", [b"\0" * 8, b"\xff" * 8, b"\xff\xff\xff\xff\xff\xff\xff\x7f"])
def test_junk_among_the_examples_is_an_error_and_no_crash(junk, tmp_path):
    made(tmp_path / "i", ["a", "b", "c"], codes_of(3))
    path = tmp_path / "i" / EXAMPLES
    data = path.read_bytes()
    for at in range(0, len(data) - 8, 40):
        path.write_bytes(data[:at] + junk + data[at + 8 :])
        try:
            found = Index.open(tmp_path / "i")[1]
        except CorruptFolder:
            continue
        assert isinstance(found.text, str | None)


def test_what_is_no_index_is_left_alone(tmp_path):
    for name in ("missing", "empty"):
        if name == "empty":
            (tmp_path / name).mkdir()
        with pytest.raises(RequestError, match=r"textvae index FILE --out"):
            Index.open(tmp_path / name)
    (tmp_path / "file").write_text("mine")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine").write_text("mine")
    for name in ("file", "full"):
        with pytest.raises(RequestError, match="not an index"):
            made(tmp_path / name, ["a"], codes_of(1))
        with pytest.raises(RequestError, match="not an index"):
            remove(tmp_path / name)
    assert (tmp_path / "full" / "mine").read_text() == "mine"
    remove(tmp_path / "missing")
    with pytest.raises(RequestError, match="cannot be written"):
        made(tmp_path / "file" / "below", ["a"], codes_of(1))


def test_another_model_is_refused_by_name(tmp_path):
    index = made(tmp_path / "i", ["a"], codes_of(1))
    same_model(index, "f", "moved/model")
    with pytest.raises(RequestError, match=r"made by the model a/model, and this is b/model.*--model a/model"):
        same_model(index, "g", "b/model")
    with pytest.raises(RequestError, match=r"a/model as it was then"):
        same_model(index, "g", "a/model")
    with pytest.raises(RequestError, match=r"made by the model a/model"):
        made(tmp_path / "i", ["b"], codes_of(1), replace(header_of(), fingerprint="g", model="c"), append=True)
    with pytest.raises(RequestError, match="5 dimensions, not 6"):
        index.search(codes_of(1, 6))


def test_a_full_disk_keeps_what_was_done(tmp_path, monkeypatch):
    texts, z, real, calls = [f"t{i}" for i in range(9)], codes_of(9), module._put, []

    def put(file, data):
        calls.append(data)
        if len(calls) == 5:
            raise OSError(28, "No space left on device")
        real(file, data)

    monkeypatch.setattr(module, "_put", put)
    with pytest.raises(TextvaeError, match=r"disk is full.*same command again") as raised:
        made(tmp_path / "i", texts, z)
    assert raised.value.exit_code == 1
    monkeypatch.undo()
    assert len(Index.open(tmp_path / "i")) == 4
    assert len(made(tmp_path / "i", texts, z)) == 9


def test_bits_are_balanced_and_packed():
    z = codes_of(101, 11)
    header = header_of(11, thresholds=cuts(z))
    bits = np.unpackbits(header.stored(z), axis=1)
    assert header.stored(z).shape == (101, 2)
    assert header.row == 2
    np.testing.assert_array_equal(bits[:, :11].sum(0), 50)
    assert not bits[:, 11:].any()


def test_matches_are_the_words_that_the_cosine_needs():
    """A document of words that pull the code to the query and one that pulls it away, against a slow reference."""
    vae = vae_of("documents/vae")
    document, query = "the cat sat on the mat with the old dog", vae.encode("the dog")
    [bag] = vae.codec.encode([document])
    cosine = torch.nn.functional.cosine_similarity
    whole = cosine(vae.encode(document), query, dim=0)
    worth = {}
    for word in {vae.codec.words[i] for i in bag[0]}:
        worth[word] = float(
            whole - cosine(vae.encode(" ".join(w for w in document.split() if w != word)), query, dim=0)
        )
    expected = [word for word in sorted(worth, key=worth.get, reverse=True) if worth[word] > 1e-6]
    assert [word for word in matches(vae, query, document, 99) if worth[word] > 1e-6] == expected
    assert matches(vae, query, document, 2) == expected[:2]
    assert matches(vae, query, "") == []
    assert matches(vae_of("sentences/lstm"), torch.zeros(3), SENTENCES[0]) == []
