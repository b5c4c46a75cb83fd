"""Which column of a table holds the text, and which the label."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from textvae.errors import RequestError
from textvae.registry import did_you_mean
from textvae_corpora.base import Options

TEXT = ("text", "sentence", "content", "document", "review", "question", "caption")
LABEL = ("label", "labels", "class", "category", "topic")


def known(names: Sequence[str], options: Options) -> bool:
    """Whether one of these is the name of a text or label column, so that they are names at all."""
    return any(n in (options.text_column, options.label_column) or n.strip().lower() in TEXT + LABEL for n in names)


def choose(where: Path | str, names: Sequence[str], textual: Sequence[str], options: Options) -> tuple[str, str | None]:
    """The text column and the label column (or None), out of ``names``, of which ``textual`` hold strings.

    Raises RequestError, naming the columns, if it cannot be told.
    """
    label = _given(where, names, options.label_column, "label") or _named(names, LABEL)
    text = _given(where, names, options.text_column, "text") or _named([n for n in names if n != label], TEXT)
    if text is None:
        left = [name for name in textual if name != label]
        if len(left) != 1:
            raise RequestError(
                f"{where}: which column holds the text? It has {', '.join(names) or 'none'}. Say --text-column NAME."
            )
        text = left[0]
    if text == label and options.label_column is not None:
        raise RequestError(f"{where}: the column {text!r} cannot be both the text and the label.")
    return text, label if label != text else None


def _given(where: Path | str, names: Sequence[str], name: str | None, role: str) -> str | None:
    if name is not None and name not in names:
        raise RequestError(f"{where} has no {role} column {name!r}. {did_you_mean(name, names)}")
    return name


def _named(names: Sequence[str], wanted: Sequence[str]) -> str | None:
    lower = {name.strip().lower(): name for name in reversed(names)}
    return next((lower[name] for name in wanted if name in lower), None)


def label_of(value: object) -> str | None:
    """A cell as the name of a class; None if it holds none."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return (str(value).strip() or None) if isinstance(value, str | int) else None
