"""Codes of a corpus: the same as of its sentences one by one, whatever interrupts the work."""

from dataclasses import dataclass

import numpy as np
import pytest
import torch

from tests.toys import PICTURES, SENTENCES, homes, raw_of, vae_of
from textvae.errors import RequestError, TextvaeError
from textvae.latent import means, shards
from textvae.latent.means import Means
from textvae.latent.shards import Shards, check_place, fingerprint

RECIPES = ["sentences/lstm", "documents/vae", "images/vae"]


@dataclass
class Table:
    examples: list
    fingerprint: str = "a"
    labels: np.ndarray | None = None
    classes: tuple[str, ...] = ()


def work_on(vae, table, out, **options):
    calls = []

    def encode(raw):
        calls.append(len(raw))
        return Means(vae)(raw)

    maker = options.pop("maker", fingerprint(vae))
    return Shards(out, table, encode, vae.settings.model.latent_size, maker, shard=5, **options), calls


@pytest.mark.parametrize("recipe", RECIPES)
def test_means_are_those_of_encode_in_order(recipe, monkeypatch):
    monkeypatch.setattr(means, "BATCH", 3)
    vae = vae_of(recipe)
    raw = raw_of(vae.settings.codec.name)
    work = Means(vae)
    torch.testing.assert_close(torch.from_numpy(work(raw)), vae.encode(raw), atol=1e-5, rtol=1e-5)
    assert work.examples == len(raw)
    assert 0 < work.share <= 1


@pytest.mark.parametrize("suffix", [".npy", ".parquet"])
@pytest.mark.parametrize("recipe", RECIPES)
def test_a_file_holds_a_row_an_example(recipe, suffix, tmp_path):
    vae = vae_of(recipe)
    raw = raw_of(vae.settings.codec.name)
    labels = np.array([0, 1, -1, 0] * 4)
    out = tmp_path / "deep" / f"z{suffix}"
    work, calls = work_on(vae, Table(raw, labels=labels, classes=("no", "yes")), out)
    told = []
    assert work.write(told.append) == 0
    assert calls == [5, 5, 5, 1]
    assert told == [0, 5, 10, 15, 16]
    assert [path.name for path in out.parent.iterdir()] == [out.name]
    if suffix == ".npy":
        z = np.load(out, allow_pickle=False)
    else:
        import pyarrow as pa
        import pyarrow.parquet as pq

        table = pq.read_table(out)
        assert table.column_names == ["text", "label", "z"]
        assert pa.types.is_fixed_size_list(table.schema.field("z").type)
        assert table["text"].to_pylist() == [one if isinstance(one, str) else None for one in raw]
        assert table["label"].to_pylist() == ["no", "yes", None, "no"] * 4
        z = np.array(table["z"].to_pylist(), np.float32)
    assert z.dtype == np.float32
    torch.testing.assert_close(torch.from_numpy(z), vae.encode(raw), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("suffix", [".npy", ".parquet"])
def test_half_precision(suffix, tmp_path):
    vae = vae_of("sentences/lstm")
    out = tmp_path / f"z{suffix}"
    work_on(vae, Table(SENTENCES), out, dtype="float16")[0].write()
    if suffix == ".npy":
        assert np.load(out).dtype == np.float16
    else:
        import pyarrow.parquet as pq

        assert "halffloat" in str(pq.read_schema(out).field("z").type)


def interrupted(vae, out, after=2, **options):
    """A run that is stopped in its third shard."""
    work, calls = work_on(vae, Table(SENTENCES), out, **options)

    def progress(done):
        if done == after * 5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        work.write(progress)
    assert not out.exists()
    return calls


def test_finished_shards_are_kept(tmp_path):
    vae, out = vae_of("sentences/lstm"), tmp_path / "z.npy"
    assert interrupted(vae, out) == [5, 5]
    work, calls = work_on(vae, Table(SENTENCES), out)
    notices = []
    assert work.write(notice=notices.append) == 10
    assert calls == [5, 1]
    assert notices == []
    torch.testing.assert_close(torch.from_numpy(np.load(out)), vae.encode(SENTENCES), atol=1e-5, rtol=1e-5)


def test_a_damaged_shard_is_made_again(tmp_path):
    vae, out = vae_of("sentences/lstm"), tmp_path / "z.npy"
    interrupted(vae, out)
    parts = sorted((tmp_path / "z.npy.parts").glob("*.npy"))
    data = bytearray(parts[0].read_bytes())
    data[-3] ^= 1
    parts[0].write_bytes(data)
    (tmp_path / "z.npy.parts" / ".tmp-000002-ab.npy-77").write_bytes(b"what a killed writer left")
    work, calls = work_on(vae, Table(SENTENCES), out)
    notices = []
    assert work.write(notice=notices.append) == 5
    assert calls == [5, 5, 1]
    assert len(notices) == 1
    assert "1 damaged shard" in notices[0]
    torch.testing.assert_close(torch.from_numpy(np.load(out)), vae.encode(SENTENCES), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(
    ("change", "part"),
    [
        ({"maker": "another"}, "another model"),
        ({"table": Table(SENTENCES, "b")}, "other examples"),
        ({"table": Table(SENTENCES[:-1])}, "other examples"),
        ({"dtype": "float16"}, "another dtype"),
        ({"key": b"{"}, "another model"),
        ({"key": b"[]"}, "another model"),
    ],
    ids=str,
)
def test_what_was_made_otherwise_is_not_used(change, part, tmp_path):
    vae, out = vae_of("sentences/lstm"), tmp_path / "z.npy"
    interrupted(vae, out)
    table = change.pop("table", Table(SENTENCES))
    if key := change.pop("key", None):
        (tmp_path / "z.npy.parts" / shards.KEY).write_bytes(key)
    work, calls = work_on(vae, table, out, **change)
    notices = []
    assert work.write(notice=notices.append) == 0
    assert sum(calls) == len(table.examples)
    assert len(notices) == 1
    assert part in notices[0]
    assert "starting afresh" in notices[0]
    assert len(np.load(out)) == len(table.examples)


def test_two_at_once_are_refused(tmp_path):
    vae, out = vae_of("sentences/lstm"), tmp_path / "z.npy"
    work, _ = work_on(vae, Table(SENTENCES), out)
    refused = []

    def progress(done):
        if done == 5:
            with pytest.raises(RequestError, match="Another process"):
                work_on(vae, Table(SENTENCES), out)[0].write()
            refused.append(done)

    work.write(progress)
    assert refused == [5]


@pytest.mark.parametrize("place", ["write_whole", "sync"])
def test_a_full_disk_keeps_the_shards_and_says_so(place, tmp_path, monkeypatch):
    vae, out = vae_of("sentences/lstm"), tmp_path / "z.npy"
    real, calls = getattr(shards, place), []

    def full(path, *more):
        calls.append(path)
        if place == "sync" or len(calls) == 3:
            raise OSError(28, "No space left on device", str(path))
        return real(path, *more)

    monkeypatch.setattr(shards, place, full)
    with pytest.raises(TextvaeError, match=r"disk is full.*same command again") as raised:
        work_on(vae, Table(SENTENCES), out)[0].write()
    assert raised.value.exit_code == 1
    assert not out.exists()
    monkeypatch.undo()
    assert work_on(vae, Table(SENTENCES), out)[0].write() == {"write_whole": 5, "sync": 16}[place]


def test_the_fingerprint_changes_with_what_codes_depend_on():
    made = [vae_of("sentences/lstm"), vae_of("sentences/lstm", {"model.encoder.pooling": "mean"}), vae_of("images/vae")]
    assert fingerprint(made[0]) == fingerprint(vae_of("sentences/lstm"))
    other = vae_of("sentences/lstm")
    with torch.no_grad():
        other.model.posterior_head.mean.bias[0] += 1
    assert len({fingerprint(vae) for vae in [*made, other]}) == 4


def test_places_are_checked_first(tmp_path):
    (tmp_path / "there.npy").write_bytes(b"mine")
    (tmp_path / "folder.npy").mkdir()
    wrong = {"z.txt": "written to", "z": "nothing", "there.npy": "--overwrite", "folder.npy": "folder"}
    for name, part in (*wrong.items(), ("there.npy/z.npy", "not a folder")):
        with pytest.raises(RequestError, match=part):
            check_place(tmp_path / name)
    check_place(tmp_path / "there.npy", overwrite=True)
    check_place(tmp_path / "new" / "Z.PARQUET")


@pytest.mark.parametrize("name", ["iaf", "von_mises_fisher", "batch_norm"])
def test_every_posterior_has_means(name):
    vae = homes("posterior", name, {})[0]
    raw = raw_of(vae.settings.codec.name)
    torch.testing.assert_close(torch.from_numpy(Means(vae)(raw)), vae.encode(raw), atol=1e-5, rtol=1e-5)


def test_pictures_are_bytes_and_not_text():
    assert Means(vae_of("images/vae"))(PICTURES).shape == (16, 3)


def test_workers_make_parts_and_the_last_one_joins_them(tmp_path):
    vae = vae_of("sentences/lstm")
    table, whole, out = Table(SENTENCES), tmp_path / "whole.npy", tmp_path / "z.npy"
    work_on(vae, table, whole)[0].write()
    encoded = []
    for part in (2, 0, 1, 1):  # in any order; one was sent twice
        work, calls = work_on(vae, table, out)
        found = work.write_part(part, 3)
        encoded.append((found, sum(calls)))
    assert encoded == [(0, 5), (0, 6), (0, 5), (5, 0)]
    work, calls = work_on(vae, table, out)
    assert work.write() == len(SENTENCES)
    assert not calls
    assert out.read_bytes() == whole.read_bytes()
    assert not work.folder.exists()


def test_a_part_that_is_missing_or_damaged_is_made(tmp_path):
    vae = vae_of("sentences/lstm")
    work, _ = work_on(vae, Table(SENTENCES), tmp_path / "z.npy")
    work.write_part(0, 2)
    shard = sorted(work.folder.glob("*.npy"))[0]
    shard.write_bytes(shard.read_bytes()[:-1])
    again, calls = work_on(vae, Table(SENTENCES), tmp_path / "z.npy")
    assert again.write_part(0, 2) == 5
    assert calls == [5]
    assert work_on(vae, Table(SENTENCES), tmp_path / "z.npy")[0].write() == 10
    assert np.load(tmp_path / "z.npy").shape == (16, 3)


def test_parts_of_another_model_or_in_use_are_refused(tmp_path):
    from filelock import FileLock

    vae = vae_of("sentences/lstm")
    work, _ = work_on(vae, Table(SENTENCES), tmp_path / "z.npy")
    work.write_part(0, 2)
    with pytest.raises(RequestError, match="another model"):
        work_on(vae, Table(SENTENCES), tmp_path / "z.npy", maker="b")[0].write_part(1, 2)
    with FileLock(work.folder / "LOCK-1-2"), pytest.raises(RequestError, match="Another process"):
        work.write()
    with FileLock(work.folder / "LOCK"), pytest.raises(RequestError, match="Another process"):
        work.write_part(1, 2)
    work.write_part(1, 2)
    assert work.write() == len(SENTENCES)
