"""The documentation of the Python that runs these tests."""

import subprocess
import sys

import pytest

from textvae.errors import RequestError
from textvae_corpora import load_split
from textvae_corpora.python_docs import Entry, entries


@pytest.fixture(scope="module")
def found():
    return {one.name: one for one in entries()}


def test_modules_classes_and_functions_are_there_and_methods_stand_with_their_class(found):
    assert len(found) > 1500
    for name in (
        "csv",
        "csv.reader",
        "gzip.open",
        "zlib.compress",
        "math",
        "math.sqrt",
        "json.dumps",
    ):
        assert name in found, name
    for name in ("builtins.open", "xml.etree.ElementTree", "collections.deque"):
        assert name in found, name
    assert len(list(entries())) == len(found)  # no name comes twice
    assert "zipfile.ZipFile.extract" not in found
    assert "extract: " in found["zipfile.ZipFile"].text
    assert "Zip File" in found["zipfile.ZipFile"].text
    assert "Comma Separated Value" in found["csv"].text  # told by _csv, which is written in C
    assert all(one.doc for one in found.values())
    assert not any(part.startswith("_") for name in found for part in name.split("."))


def test_a_text_names_what_it_is_of():
    inside = [Entry("m.C.do_it", "Do it now.\nAt once.\n\nReally.")]
    assert Entry("m.C", "A class.", ["some_thing"], inside).text == (
        "m.C: A class.\ndo_it: Do it now. At once.\nC some thing, do it"
    )


SIDE_EFFECTS = """
import sys
from textvae_corpora.python_docs import entries
assert sum(1 for _ in entries()) > 1500
assert not {"this", "antigravity", "readline", "tkinter", "turtle", "webbrowser"} & sys.modules.keys()
"""


def test_nothing_that_acts_when_it_is_imported_is():
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", SIDE_EFFECTS], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_the_corpus_has_a_name_and_labels():
    split = load_split("python-docs", limit=300)
    assert len(split.examples) == 300
    assert split.classes[split.labels[0]] == split.examples[0].partition(":")[0].partition(".")[0]
    with pytest.raises(RequestError, match="takes no argument"):
        load_split("python-docs:3")
