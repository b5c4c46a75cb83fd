"""Plain text to standard output and standard error: no control character of a user or a model leaves from here."""

import contextlib
import json
import math
import re
import sys
from typing import Any

from textvae.errors import RequestError

_WHITE = re.compile(r"[\t-\r\x1c-\x1f\x85\u2028\u2029]+")
_RAW = re.compile(r"[\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")  # what JSON does not escape
_CONTROL = re.compile(r"[\x00-\x1f]|" + _RAW.pattern)


def clean(text: object) -> str:
    """One line, without control characters, text direction overrides and lone surrogates."""
    return _CONTROL.sub("", _WHITE.sub(" ", str(text)))


def out(*fields: object) -> None:
    """A line of results: fields with a tab between."""
    sys.stdout.write("\t".join(map(clean, fields)) + "\n")


def document(tree: Any) -> None:
    """The one JSON document of ``--json``; numbers that are not finite become null."""
    text = json.dumps(_finite(tree), ensure_ascii=False, indent=2)
    sys.stdout.write(_RAW.sub(lambda found: f"\\u{ord(found[0]):04x}", text) + "\n")


def say(text: object) -> None:
    """A line on standard error; work goes on where nobody can read it."""
    with contextlib.suppress(OSError, ValueError):
        sys.stderr.write(clean(text) + "\n")
        sys.stderr.flush()


def lines_of_input() -> list[str]:
    """The lines of standard input that are not blank; RequestError where it is not UTF-8 or holds none."""
    if sys.stdin is None:
        raise RequestError("There is no standard input to read from.")
    try:
        text = sys.stdin.buffer.read().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise RequestError(f"Standard input is not UTF-8 (byte {error.start:,}). Convert it first: iconv.") from None
    lines = [line.strip() for line in re.split(r"\r\n|\n|\r", text) if line.strip()]
    if not lines:
        raise RequestError("Standard input holds no sentence.")
    return lines


def _finite(tree: Any) -> Any:
    if isinstance(tree, dict):
        return {key: _finite(value) for key, value in tree.items()}
    if isinstance(tree, list | tuple):
        return [_finite(value) for value in tree]
    return None if isinstance(tree, float) and not math.isfinite(tree) else tree
