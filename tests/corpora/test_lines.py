"""Text files: what is cleaned and counted, and what is refused with which message."""

import gzip
import io
import os
from pathlib import Path

import pytest

from textvae.errors import RequestError
from textvae_corpora import load_corpus, load_examples
from textvae_corpora.decode import BLOCK, line_batches


def read(source, **options):
    texts, labels, notes = load_examples(source, **options)
    assert labels is None
    return list(texts), notes


@pytest.mark.parametrize(
    ("content", "texts", "note"),
    [
        (b"a b\nc d\n", ["a b", "c d"], None),
        (b"a b\nc d", ["a b", "c d"], None),
        (b" a b \n c \n", ["a b", "c"], None),
        (b"\xef\xbb\xbfa\nb\n", ["a", "b"], None),
        (b"a\r\nb\r\n", ["a", "b"], None),
        (b"a\rb\r", ["a", "b"], None),
        (b"a\n\n  \nb\n", ["a", "b"], "2 blank lines skipped"),
        (b"a\n\nb", ["a", "b"], "1 blank line skipped"),
        (b"a\tb\n", ["a b"], None),
        (b"a\x01b\x1b[0m\x7f\n", ["ab[0m"], "3 control characters removed"),
        ("a\u2028b\u2029c\n".encode(), ["a\u2028b\u2029c"], None),
        ("a\x0bb\x0cc\x85d\n".encode(), ["a b c d"], None),
        (b"<unk> N\n", ["<unk> N"], None),
        (b"NA\nnull\n0\n", ["NA", "null", "0"], None),
        (b"a\n" + b"x" * 10_001 + b"\n", ["a", "x" * 10_000], "1 line cut to 10,000 characters"),
        (b"a\n" + b"x" * 9_000_000 + b"\nb", ["a", "x" * 10_000, "b"], "1 line cut to 10,000 characters"),
    ],
)
def test_cleaning(write, content, texts, note):
    found, notes = read(write("a.txt", content))
    assert found == texts
    assert notes == (() if note is None else (note,))


def test_nul_after_the_beginning_is_removed(write):
    found, notes = read(write("a.txt", b"a\n" * 5000 + b"b\x00c\n"))
    assert found[-1] == "bc"
    assert notes == ("1 control character removed",)


@pytest.mark.parametrize("name", ["a", "a.log", "a.txt", "a.b.c"])
def test_any_suffix_is_lines(write, name):
    assert read(write(name, ["x", "y"]))[0] == ["x", "y"]


def test_gzip(write):
    assert read(write("a.txt.gz", gzip.compress(b"x\ny\n")))[0] == ["x", "y"]
    with pytest.raises(RequestError, match=r"c\.txt\.gz is damaged or cut off"):
        load_corpus(write("c.txt.gz", gzip.compress(os.urandom(5000))[:-2000]))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"ok\nfine\nnaive caf\xe9\n", r"bad\.txt: line 3 is not UTF-8 \(byte 17 .*--encoding latin-1"),
        (b"\xff\xfeh\x00i\x00", r"bad\.txt is UTF-16, not UTF-8\. Say --encoding utf-16"),
        (b"a\x00b\n", "NUL bytes"),
        (b"\x89PNG\r\n\x1a\n....", "PNG picture"),
        (b"PK\x03\x04....", "zip archive"),
        (b"\x7fELF....", "a program"),
        (b"%PDF-1.7", "PDF"),
        (b"", r"no sentences found in .*bad\.txt: one sentence per line is expected"),
        (b"\n \n", r"one sentence per line is expected \(2 blank lines skipped\)"),
    ],
)
def test_refused(write, content, message):
    with pytest.raises(RequestError, match=message):
        load_corpus(write("bad.txt", content))


def test_the_place_of_a_bad_byte_is_exact_in_a_long_file(write):
    lines = BLOCK // 10 + 5
    content = "é23456789\n".encode() * lines
    path = write("long.txt", b"\xef\xbb\xbf" + content + b"ab\xff\n")
    with pytest.raises(RequestError, match=rf"line {lines + 1:,} is .*byte {3 + len(content) + 2:,} "):
        load_corpus(path)


def test_encodings(write):
    assert read(write("l.txt", "café\n".encode("latin-1")), encoding="latin-1")[0] == ["café"]
    for name in ("utf-16", "utf-16-le", "utf-8-sig"):
        assert read(write("w.txt", "café\r\nx\n".encode(name)), encoding=name)[0] == ["café", "x"]
    for name in ("klingon", "rot13", "hex"):
        with pytest.raises(RequestError, match=f"no encoding called '{name}'"):
            read(write("l.txt", "a\n"), encoding=name)


def test_line_ends_at_the_edges_of_blocks(write):
    """CR LF may be cut in two by a block, a character too."""
    content = b"x" * (BLOCK - 1) + b"\r\n" + b"y" * (BLOCK - 3) + "é\nz".encode()
    lines = [line for batch in line_batches(Path(write("e.txt", content))) for line in batch]
    assert [(line[0], len(line)) for line in lines] == [("x", BLOCK - 1), ("y", BLOCK - 2), ("z", 1)]


def test_missing_files_name_the_nearest(write):
    path = write("sentences.txt", ["a"])
    with pytest.raises(RequestError, match=r"no file .*sentence\.txt.*Did you mean .*sentences\.txt"):
        load_corpus(path.replace("sentences", "sentence"))
    with pytest.raises(RequestError, match="no folder"):
        load_corpus("/no/such/folder/a.txt")
    with pytest.raises(RequestError, match="empty"):
        load_corpus("")


def test_permission_denied(write, monkeypatch):
    def refuse(self, *args, **kwargs):
        raise PermissionError(13, "Permission denied")

    path = write("a.txt", ["a"])
    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(RequestError, match="permission denied"):
        load_corpus(path)


def test_special_files():
    with pytest.raises(RequestError, match="neither a file nor a folder"):
        load_corpus("/dev/null")


def test_columns_of_lines(write):
    with pytest.raises(RequestError, match="no column 'text'"):
        load_corpus(write("a.txt", ["a"]), text_column="text")


def test_limit(write):
    path = write("a.txt", ["a", "", "b", "c", ""])
    assert read(path, limit=2) == (["a", "b"], ("1 blank line skipped",))
    assert read(path, limit=9)[0] == ["a", "b", "c"]
    with pytest.raises(RequestError, match="limit"):
        load_corpus(path, limit=0)


def test_standard_input_and_pipes(monkeypatch, tmp_path, cache):
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"a\nb\n")))
    assert read("-")[0] == ["a", "b"]
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"\n")))
    with pytest.raises(RequestError, match="no sentences found in standard input"):
        read("-")
    os.mkfifo(tmp_path / "pipe")
    if os.fork() == 0:
        (tmp_path / "pipe").write_bytes(b"c\n")
        os._exit(0)
    assert read(str(tmp_path / "pipe"))[0] == ["c"]
    os.wait()
    assert not list(cache.glob("tmp*"))
