"""CSV, TSV, JSON and Parquet: columns, labels, bad rows."""

import gzip
import json

import pytest

from textvae.errors import RequestError
from textvae_corpora import load_corpus, load_examples


def rows(source, **options):
    texts, labels, notes = load_examples(source, **options)
    return list(texts), None if labels is None else labels.tolist(), notes


def test_csv(write):
    path = write("a.csv", 'id,Text,label\n1,"one, two",b\n2,"say ""hi""\nthere",a\n3,NA,\n')
    assert rows(path) == (["one, two", 'say "hi" there', "NA"], [1, 0, -1], ())
    corpus = load_corpus(path, valid=path)
    assert corpus.labels == ("a", "b")
    assert corpus.train_labels.dtype.name == "int64"
    assert rows(write("a.csv.gz", gzip.compress(b"text\nx\n")))[0] == ["x"]


def test_text_column(write):
    path = write("a.csv", "n,a,b\n1,x,u\n2,y,v\n")
    assert rows(path, text_column="b") == (["u", "v"], None, ())
    assert rows(path, text_column="b", label_column="a") == (["u", "v"], [0, 1], ())
    with pytest.raises(RequestError, match=r"It has n, a, b\. Say --text-column"):
        rows(path)
    with pytest.raises(RequestError, match="no text column 'bb'"):
        rows(path, text_column="bb")
    with pytest.raises(RequestError, match="cannot be both"):
        rows(path, text_column="a", label_column="a")
    texts, labels, notes = rows(write("b.csv", "n,words\n1,x\n2.5,y\n"))
    assert (texts, labels) == (["x", "y"], None)
    assert notes == ("the first row was taken as the names of columns: n, words",)


def test_numbers_as_labels_are_in_the_order_of_numbers(write):
    path = write("a.csv", "text,label\nx,10\ny,9\nz,10\n")
    assert load_corpus(path, valid=path).labels == ("9", "10")
    assert rows(path)[1] == [1, 0, 1]
    assert load_examples(path, classes=("10", "7"))[1].tolist() == [0, -1, 0]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('text\n"never closed\nmore\n', r"a\.csv: line \d is not CSV"),
        ("text,label\na,b,c\n", r"row 2 has 3 cells, the header 2"),
        ("text\n", "no sentences found"),
        ("", "no sentences found"),
        (b"text\ncaf\xe9\n", "line 2 is not UTF-8"),
    ],
)
def test_bad_csv(write, content, message):
    with pytest.raises(RequestError, match=message):
        load_corpus(write("a.csv", content))


def test_tsv(write):
    headless = write("a.tsv", ['1\tgood "food .', "0\tbad\tfood", "no tab", ""])
    texts, labels, notes = rows(headless)
    assert (texts, labels) == (['good "food .', "bad food"], [1, 0])
    assert set(notes) == {"no header: read as label, text", "2 blank rows skipped"}
    assert rows(write("b.tsv", ["label\tsentence", "x\ta"])) == (["a"], [0], ())
    assert rows(write("c.tsv", ["just", "text"])) == (["just", "text"], None, ())
    assert rows(write("d.tsv", ["a\tb\tc", "1\tx\t2"]))[0] == ["x"]


def test_json_lines(write):
    values = [{"text": "a", "label": 1}, {"text": None, "label": 0}, {"text": 3}, {"text": ["z"]}, {}, 7]
    values += [{"text": "b", "label": True}, {"text": "c\ud800", "label": None}]
    content = "\n".join(map(json.dumps, values)) + "\n\n"
    texts, labels, notes = rows(write("a.jsonl", content))
    assert texts == ["a", "b", "c\ufffd"]
    assert labels == [0, 1, -1]
    assert set(notes) == {
        "5 rows skipped: what stood there is not text",
        "1 blank row skipped",
        "1 unpaired surrogate replaced",
    }


def test_json_list_and_strings(write):
    assert rows(write("a.json", json.dumps([{"q": "x"}, {"q": "y"}], indent=1)))[0] == ["x", "y"]
    assert rows(write("b.jsonl", '"x"\n"y"\n'))[0] == ["x", "y"]
    assert rows(write("c.json", '["x", 1]'))[0] == ["x"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('{"text": "a"}\n{"text": "b"\n', "line 2 is not JSON"),
        ('[{"text": "a"},\n{"text" "b"}]', "line 2 is not JSON"),
        ("[" * 100_000, "a.json"),
        ('{"a": "x", "b": "y"}', "It has a, b"),
    ],
)
def test_bad_json(write, content, message):
    with pytest.raises(RequestError, match=message):
        load_corpus(write("a.json", content))


def test_parquet(tmp_path, write):
    import pyarrow as pa
    import pyarrow.parquet as pq

    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"n": [1, 2, 3], "s": ["x", None, "y"], "topic": ["b", "b", "a"]}), path)
    assert rows(str(path)) == (["x", "y"], [1, 0], ("1 row skipped: what stood there is not text",))
    with pytest.raises(RequestError, match="not a Parquet file"):
        load_corpus(write("b.parquet", b"PAR1 nonsense"))
