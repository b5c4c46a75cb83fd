"""What may leave for a terminal."""

import io
import json
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from textvae_cli import console


@given(st.text())
def test_clean_leaves_one_line_of_printable_text(text):
    shown = console.clean(text)
    assert not any(ord(c) < 32 or 127 <= ord(c) < 160 or c in "\u2028\u2029\u202e" for c in shown)
    shown.encode()
    assert console.clean(shown) == shown


def test_clean_keeps_what_people_write():
    text = "Ça va 👩‍👩‍👧 [bold]yes[/bold] \\o/ سلام"
    assert console.clean(text) == text
    assert console.clean("a\tb\nc") == "a b c"


@pytest.mark.parametrize("text", ["\x1b[31mred", "\x9b31m", "\ud800", "two\nlines", "\u202eabc"])
def test_documents_parse_and_hold_no_control_character(capsys, text):
    console.document({"text": text, "number": float("nan"), "rows": [float("inf"), 1.5]})
    shown = capsys.readouterr().out
    tree = json.loads(shown)
    assert tree["text"] == text
    assert tree["number"] is None
    assert tree["rows"] == [None, 1.5]
    assert "\x1b" not in shown
    assert "\x9b" not in shown


def test_saying_goes_on_without_a_reader(monkeypatch):
    closed = io.StringIO()
    closed.close()
    monkeypatch.setattr(sys, "stderr", closed)
    console.say("nobody hears")
