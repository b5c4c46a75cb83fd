"""Pictures as strangers send them: the odd is brought into shape and told, the damaged or hostile is refused."""

import gzip
import io
import os
import struct
import warnings
import zipfile
import zlib

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from textvae.errors import RequestError
from textvae_corpora import READERS, arrays, load_corpus, load_examples, picture_file

from .test_images import idx, save


def one(path, **options):
    """The only picture of a folder or file, and the notes."""
    (picture,), _, notes = load_examples(str(path), **options)
    return picture, notes


# Pixels


@pytest.mark.parametrize(
    ("array", "brightest", "note"),
    [
        (np.full((2, 5, 6), 255.0), 255, "floats up to 255: taken as 0 … 255"),
        (np.full((2, 5, 6), 200.4, np.float16), 200, "taken as 0 … 255"),
        (np.ones((2, 5, 6)), 255, ""),
        (np.full((2, 5, 6), 0.5), 128, ""),
        (np.ones((2, 5, 6), np.uint8), 255, "0 and 1: taken as black and white"),
        (np.ones((2, 5, 6), np.int64), 255, "0 and 1: taken as black and white"),
        (np.full((2, 5, 6), 2, np.uint8), 2, ""),
        (np.zeros((2, 5, 6), np.uint8), 0, ""),
    ],
)
def test_what_values_mean(tmp_path, array, brightest, note):
    np.save(tmp_path / "a.npy", array)
    for limit in (None, 1):
        examples, _, notes = load_examples(str(tmp_path / "a.npy"), limit=limit)
        assert (examples.dtype, examples.max()) == (np.uint8, brightest)
        assert note in " ".join(notes)
        assert bool(notes) == bool(note)


def test_the_limit_does_not_change_what_values_mean(tmp_path):
    np.save(tmp_path / "a.npy", np.stack([np.ones((5, 6)), np.full((5, 6), 255.0)]))
    assert one(tmp_path / "a.npy", limit=1)[0].max() == 1


@pytest.mark.parametrize("value", [16.0, 256.0, -0.1, np.inf, np.nan])
def test_floats_of_no_known_range(tmp_path, value):
    array = np.zeros((2, 5, 6))
    array[1, 2, 3] = value
    np.save(tmp_path / "a.npy", array)
    with pytest.raises(RequestError, match="floats in"):
        load_corpus(str(tmp_path / "a.npy"))


@pytest.mark.parametrize("channels_first", [False, True])
def test_alpha_in_an_array(tmp_path, channels_first):
    array = np.zeros((2, 5, 6, 4), np.uint8)
    array[0, ..., 3], array[1, ..., :] = 255, (100, 0, 0, 128)
    np.save(tmp_path / "a.npy", array.transpose(0, 3, 1, 2) if channels_first else array)
    examples, _, notes = load_examples(str(tmp_path / "a.npy"))
    assert examples[:, :, 0, 0].tolist() == [[0, 0, 0], [177, 127, 127]]
    assert notes == ("what is transparent was made white",)


def test_one_colour_picture_is_not_many_slits(tmp_path):
    np.save(tmp_path / "a.npy", np.zeros((40, 30, 3), np.uint8))
    assert one(tmp_path / "a.npy")[0].shape == (3, 40, 30)


@pytest.mark.parametrize(("size", "colour", "shape"), [((4, 8), True, (3, 4, 8)), (None, False, (1, 20, 20))])
def test_arrays_are_brought_to_a_shape(tmp_path, size, colour, shape):
    from textvae_corpora import load_split

    pixels = np.random.default_rng(0).integers(0, 256, (2, 20, 20, 3), np.uint8)
    np.save(tmp_path / "a.npy", pixels)
    split = load_split(str(tmp_path / "a.npy"), size=size, colour=colour)
    assert split.examples.shape == (2, *shape)
    assert len(split.notes) == 1
    if not colour:
        luma = np.stack([np.asarray(Image.fromarray(picture).convert("L")) for picture in pixels])
        assert (split.examples[:, 0] == luma).all()


# Kinds of picture files


def test_modes(tmp_path):
    from textvae_corpora.picture_file import opened_picture, pixels

    grey = np.arange(0, 256, 8, dtype=np.uint8).reshape(4, 8)
    colour = Image.fromarray(np.stack([grey, grey, grey], -1))
    deep = Image.fromarray(grey.astype(np.uint16) * 257)
    kinds = {"l.png": Image.fromarray(grey), "rgb.png": colour, "deep.png": deep, "rgba.png": colour.convert("RGBA")}
    kinds |= {"la.png": Image.fromarray(grey).convert("LA"), "p.png": colour.quantize(256), "g.gif": colour}
    kinds |= {"b.bmp": colour, "w.webp": colour}
    for name, image in kinds.items():
        image.save(tmp_path / name, **({"lossless": True} if name == "w.webp" else {}))
        with opened_picture(tmp_path / name) as opened:
            found = pixels(opened, colour=False)
        assert found.shape == (1, 4, 8)
        np.testing.assert_allclose(found[0].astype(int), grey, atol=1, err_msg=name)
    colour.convert("CMYK").save(tmp_path / "c.jpg", quality=100)
    with opened_picture(tmp_path / "c.jpg") as opened:
        np.testing.assert_allclose(pixels(opened)[0].astype(int), grey, atol=6)


def test_grey_of_16_bits_stays_grey(tmp_path):
    Image.fromarray(np.full((4, 4), 40_000, np.uint16)).save(tmp_path / "a.png")
    assert one(tmp_path)[0].tolist() == np.full((1, 4, 4), 40_000 >> 8).tolist()


def test_a_palette_with_a_transparent_colour(tmp_path):
    image = Image.new("P", (4, 4), 0)
    image.putpalette([10, 20, 30] + [0] * 765)
    image.save(tmp_path / "a.png", transparency=0)
    assert (one(tmp_path)[0] == 255).all()


@pytest.mark.parametrize("orientation", range(1, 9))
def test_photos_are_turned_upright(tmp_path, orientation):
    from PIL import ImageOps

    stored = np.zeros((16, 32), np.uint8)
    stored[:8, :16] = 255
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(stored).save(tmp_path / "a.jpg", exif=exif, quality=100)
    picture, notes = one(tmp_path)
    with Image.open(tmp_path / "a.jpg") as image:
        upright = np.asarray(ImageOps.exif_transpose(image))
    assert upright.shape == ((32, 16) if orientation > 4 else (16, 32))
    assert (picture[0] == upright).all()
    assert notes == ()


def test_an_animation_is_its_first_frame(tmp_path):
    frames = [Image.new("RGB", (6, 6), colour) for colour in ("red", "blue", "green")]
    frames[0].save(tmp_path / "a.gif", save_all=True, append_images=frames[1:], duration=40)
    frames[0].save(tmp_path / "b.png", save_all=True, append_images=frames[1:])
    examples = load_examples(str(tmp_path))[0]
    assert examples[:, :, 0, 0].tolist() == [[255, 0, 0]] * 2


def test_the_name_does_not_say_what_a_file_is(tmp_path):
    Image.new("L", (4, 4), 9).save(tmp_path / "a.png")
    (tmp_path / "a.png").rename(tmp_path / "a.jpg")
    assert one(tmp_path)[0].max() == 9


# Damaged and hostile picture files


def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(width, height, data):
    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(data)) + chunk(b"IEND", b"")


def test_a_decompression_bomb_is_refused_by_its_header(tmp_path, monkeypatch):
    (tmp_path / "a.png").write_bytes(png(100_000, 100_000, b""))
    monkeypatch.setattr(Image.Image, "load", None)  # whoever decodes it fails
    with pytest.raises(RequestError, match=r"a\.png is refused"):
        load_corpus(str(tmp_path))


@pytest.mark.parametrize("suffix", ["png", "jpg", "gif", "webp", "bmp"])
def test_truncated_pictures(tmp_path, suffix):
    path = tmp_path / f"a.{suffix}"
    noise = np.random.default_rng(0).integers(0, 255, (40, 40, 3), np.uint8)
    Image.fromarray(noise).save(path)
    whole = path.read_bytes()
    for length in (0, 1, 9, len(whole) // 3, len(whole) * 2 // 3):
        path.write_bytes(whole[:length])
        with pytest.raises(RequestError, match=rf"a\.{suffix}"):
            load_corpus(str(tmp_path))


@settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_altered_pictures_are_read_or_refused(tmp_path, data):
    suffix = data.draw(st.sampled_from(["png", "jpg", "gif", "webp"]))
    stream = io.BytesIO()
    Image.new("RGB", (12, 9), (1, 2, 3)).save(stream, {"jpg": "JPEG"}.get(suffix, suffix))
    content = bytearray(stream.getvalue())
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    for old in tmp_path.iterdir():
        old.unlink()
    (tmp_path / f"a.{suffix}").write_bytes(content)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        try:
            assert one(tmp_path)[0].dtype == np.uint8
        except RequestError as error:
            assert f"a.{suffix}" in str(error)  # noqa: PT017


def test_other_formats_are_not_opened(tmp_path):
    (tmp_path / "a.png").write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\n")
    with pytest.raises(RequestError, match="is not a picture"):
        load_corpus(str(tmp_path))


def test_all_damaged_pictures_are_told_of(tmp_path):
    for i in range(9):
        (tmp_path / f"{i}.png").write_bytes(b"nothing") if i < 5 else save(tmp_path / f"{i}.png")
    with pytest.raises(RequestError, match=r"5 of the 9 pictures .* cannot be read.*0\.png.*Remove them") as told:
        load_corpus(str(tmp_path))
    assert "4.png" not in str(told.value)


def test_large_photos_are_not_held_at_their_size(tmp_path, monkeypatch):
    import tracemalloc

    for i in range(6):
        Image.new("RGB", (1000, 800), (i, 0, 0)).save(tmp_path / f"{i}.jpg")
    tracemalloc.start()
    load_examples(str(tmp_path))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 6_000_000  # all of them are 14,400,000 bytes


# Folders


def test_other_files_among_pictures(tmp_path):
    for i in range(3):
        save(tmp_path / f"{i}.png", mode="L")
    for name in ("README.txt", "Thumbs.db", "labels.csv", ".DS_Store", "__MACOSX/._0.png", ".hidden/9.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"\0\1\2")
    examples, _, notes = load_examples(str(tmp_path))
    assert len(examples) == 3
    assert notes == ("3 other files skipped",)


def test_a_picture_of_a_train_is_no_split(tmp_path):
    for name in ("train.png", "test.png", "car.png"):
        save(tmp_path / name)
    assert len(load_examples(str(tmp_path))[0]) == 3


def test_a_folder_of_other_files(tmp_path):
    (tmp_path / "a.tif").write_bytes(b"II*\0")
    with pytest.raises(RequestError, match=r"but \.tif: a folder holds"):
        load_corpus(str(tmp_path))
    (tmp_path / "a.tif").unlink()
    with pytest.raises(RequestError, match="no documents found"):
        load_corpus(str(tmp_path))


def test_one_picture(tmp_path):
    save(tmp_path / "a.png")
    corpus = load_corpus(str(tmp_path))
    assert (len(corpus.train), len(corpus.valid)) == (1, 1)
    assert "only one picture" in corpus.notes[-1]
    assert one(tmp_path / "a.png")[0].shape == (3, 4, 5)
    (tmp_path / "a.png").write_bytes(b"a text")
    with pytest.raises(RequestError, match="not a picture"):
        load_corpus(str(tmp_path / "a.png"))


def test_folders_of_splits(tmp_path):
    for split, count in (("train", 4), ("test", 2)):
        for label in ("cat", "dog"):
            for i in range(count):
                save(tmp_path / split / label / f"{i}.png", (7 + i, 7))
    corpus = load_corpus(str(tmp_path))
    assert (len(corpus.train) + len(corpus.valid), corpus.labels) == (8, ("cat", "dog"))
    assert corpus.train.shape[1:] == (1, 7, 7) or corpus.train.shape[1:] == (3, 7, 7)
    examples, labels, notes = load_examples(str(tmp_path))
    assert (len(examples), labels.tolist()) == (4, [0, 0, 1, 1])
    assert "the test split" in notes[0]
    (tmp_path / "lorry").mkdir()  # now "train" is a vehicle
    assert len(load_examples(str(tmp_path))[0]) == 12


def test_validation_takes_the_shape_of_training(tmp_path):
    save(tmp_path / "a/1.png", (20, 20), "L")
    save(tmp_path / "b/1.png", (30, 10))
    corpus = load_corpus(str(tmp_path / "a"), valid=str(tmp_path / "b"))
    assert corpus.valid[0].shape == (1, 20, 20)
    assert "validation: the pictures are 30 x 10 each: scaled and cropped to 20 x 20" in corpus.notes


def test_names_that_are_no_text(tmp_path):
    folder = os.fsencode(tmp_path)
    for name in (b"\xff\xfe", b"plain"):
        os.mkdir(folder + b"/" + name)
        with open(folder + b"/" + name + b"/\x80\n.png", "wb") as file:
            Image.new("L", (4, 4)).save(file, "PNG")
    corpus = load_corpus(str(tmp_path))
    assert corpus.labels == ("\\xff\\xfe", "plain")
    with open(folder + b"/plain/\x81.png", "wb") as file:
        file.write(b"nothing")
    with pytest.raises(RequestError, match="not a picture"):
        load_corpus(str(tmp_path))


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_picture_that_may_not_be_read(tmp_path):
    save(tmp_path / "a.png")
    (tmp_path / "a.png").chmod(0)
    with pytest.raises(RequestError, match="permission denied"):
        load_corpus(str(tmp_path))


def test_links_in_a_circle(tmp_path):
    save(tmp_path / "x/a.png")
    (tmp_path / "x/again").symlink_to(tmp_path)
    (tmp_path / "x/gone.png").symlink_to(tmp_path / "nowhere.png")
    assert len(load_examples(str(tmp_path))[0]) == 1


# idx and numpy files


@given(
    st.lists(st.integers(0, 2**32 - 1) | st.integers(0, 5), min_size=1, max_size=4),
    st.binary(max_size=200),
    st.binary(max_size=3),
    st.booleans(),
)
@settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_idx_file_is_read_or_refused(tmp_path, shape, content, cut, packed):
    data = idx(shape, content)
    data = data[: len(data) - len(cut)]
    path = tmp_path / "a-images-idx3-ubyte"
    path.write_bytes(gzip.compress(data) if packed else data)
    try:
        (examples, _, _), size = load_examples(str(path)), int(np.prod(shape))
        assert len(content) - len(cut) == size == examples.size
    except RequestError as error:
        assert str(path) in str(error)  # noqa: PT017


@pytest.mark.parametrize("count", [3, 5])
def test_idx_labels_that_do_not_match(write, count):
    path = write("a-images-idx3-ubyte", idx((4, 2, 2), bytes(16)))
    write("a-labels-idx1-ubyte", idx((count,), bytes(count)))
    with pytest.raises(RequestError, match="holds 4 pictures and labels of shape"):
        load_corpus(path)


def header(text, version=(1, 0), length=None):
    size = len(text) if length is None else length
    return b"\x93NUMPY" + bytes(version) + struct.pack("<H" if version == (1, 0) else "<I", size) + text


SHAPE = "{'descr': '|u1', 'fortran_order': False, 'shape': %s, }"


@pytest.mark.parametrize(
    ("data", "part"),
    [
        (header(SHAPE.encode() % b"(4000000000, 100, 100)"), "says it holds"),
        (header(SHAPE.encode() % b"(-3, -4, 5)"), "shape"),
        (header(SHAPE.encode() % b"(2, 3, 4)") + bytes(23), "not a numpy file"),
        (header(SHAPE.encode() % b"(0, 3, 4)"), "says it holds"),
        (header(SHAPE.encode() % b"'abc'"), "not a numpy file"),
        (header(SHAPE.encode() % b"(2.5, 3)"), "not a numpy file"),
        (header(b"(" * 9000), "not a numpy file"),
        (header(b"{" * 200), "not a numpy file"),
        (header(b"", (2, 0), 2**32 - 1), "not a numpy file"),
        (header(b"\xff" * 50, (3, 0)), "not a numpy file"),
        (header(SHAPE.encode() % b"(2, 3, 4)", (9, 9)), "not a numpy file"),
        (header(SHAPE.replace("|u1", "|O").encode() % b"(2,)") + b"cos\nsystem\n(S'true'\ntR.", "not a numpy file"),
        (header(SHAPE.replace("|u1", "<c8").encode() % b"(1, 2, 2)") + bytes(32), "no pictures"),
        (header(SHAPE.replace("|u1", "|V9999999").encode() % b"(9999999,)"), "says it holds"),
        (b"cos\nsystem\n(S'true'\ntR.", "not a numpy file"),
        (b"\x80\x04\x95", "not a numpy file"),
    ],
)
def test_hostile_npy_files(write, data, part):
    with pytest.raises(RequestError, match=part):
        load_corpus(write("a.npy", data))
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("images.npy", data)
    with pytest.raises(RequestError, match=part):
        load_corpus(write("b.npz", stream.getvalue()))
    with pytest.raises(RequestError, match=part):
        load_corpus(write("c.npy", gzip.compress(data)))


@settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_any_npy_file_is_read_or_refused(tmp_path, data):
    stream = io.BytesIO()
    np.save(stream, np.arange(60, dtype=np.uint8).reshape(3, 4, 5))
    content = bytearray(stream.getvalue())
    for _ in range(data.draw(st.integers(1, 5))):
        place = data.draw(st.integers(0, 80) | st.integers(0, len(content) - 1))
        content[place] = data.draw(st.integers(0, 255) | st.sampled_from(list(b"0123456789(),-'{}|<uifO")))
    path = tmp_path / "a.npy"
    path.write_bytes(content[: data.draw(st.integers(0, len(content)))] if data.draw(st.booleans()) else content)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        try:
            assert load_examples(str(path))[0].dtype == np.uint8
        except RequestError as error:
            assert str(path) in str(error)  # noqa: PT017


def test_a_zip_bomb_is_not_unpacked(tmp_path, monkeypatch):
    """Neither an array of zeros nor a header of spaces is read beyond what is allowed."""
    monkeypatch.setattr(arrays, "MOST_BYTES", 100_000)
    bombs = {"array": header(SHAPE.encode() % b"(9000, 100, 100)") + bytes(1 << 22)}
    bombs["header"] = header(b" " * (1 << 22), (2, 0))
    read = []
    whole = zipfile.ZipExtFile.read
    monkeypatch.setattr(zipfile.ZipExtFile, "read", lambda self, n=-1: read.append(n) or whole(self, n))
    for name, data in bombs.items():
        with zipfile.ZipFile(tmp_path / f"{name}.npz", "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("images.npy", data)
        with pytest.raises(RequestError):
            load_corpus(str(tmp_path / f"{name}.npz"))
    assert 0 < max(read) <= 1 << 14


@pytest.mark.parametrize("labels", [np.array([3.0, 10.0]), np.array([3, 10]), np.array([b"3", b"10"])])
def test_names_of_labels(tmp_path, labels):
    np.savez(tmp_path / "a.npz", images=np.zeros((2, 4, 4), np.uint8), labels=labels)
    assert load_corpus(str(tmp_path / "a.npz"), valid=str(tmp_path / "a.npz")).labels == ("3", "10")


def test_arrays_that_are_not_read_are_told(tmp_path):
    arrays = {
        f"{name}_{split}": np.zeros((2, 4, 4) if name == "x" else 2) for name in "xy" for split in ("train", "test")
    }
    np.savez(tmp_path / "a.npz", **arrays)
    assert load_examples(str(tmp_path / "a.npz"))[2] == ("x_train is read, and not x_test, y_test",)


def test_labels_as_a_bomb(tmp_path):
    np.savez_compressed(tmp_path / "a.npz", images=np.zeros((2, 4, 4), np.uint8), labels=np.zeros(1 << 20))
    with pytest.raises(RequestError, match="says it holds 8,388,608 bytes"):
        load_corpus(str(tmp_path / "a.npz"))


def test_archives_that_cannot_be_opened(tmp_path, write):
    stream = io.BytesIO()
    np.savez(stream, images=np.zeros((2, 4, 4), np.uint8))
    locked = bytearray(stream.getvalue())
    for magic, place in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):  # the flag of an encrypted member
        locked[locked.index(magic) + place] |= 1
    with pytest.raises(RequestError, match="not a numpy file"):
        load_corpus(write("a.npz", bytes(locked)))
    np.savez(tmp_path / "b.npz", images=np.array([None, 1], object), allow_pickle=True)
    with pytest.raises(RequestError, match="not a numpy file"):
        load_corpus(str(tmp_path / "b.npz"))


def test_every_suffix_is_one_that_pillow_reads():
    assert set(picture_file.SUFFIXES) <= set(READERS)
    known = Image.registered_extensions()
    assert {known[suffix] for suffix in picture_file.SUFFIXES} == set(picture_file.FORMATS)
