"""What every text goes through: one line, stripped, no control characters, bounded length; all counted."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence

from textvae_corpora.base import counted

LINE_LIMIT = 10_000
DOCUMENT_LIMIT = 1_000_000
"""Characters kept of one line, and of one document (a table's cell, a file of a folder)."""

_dirty = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff\ufeff]").search
_BREAKS = dict.fromkeys(map(ord, "\t\n\r\v\f\x85"), " ")
_MARKS = {0xFEFF: None}
_SURROGATE = re.compile("[\ud800-\udfff]")
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f]")


class Cleaner:
    """Cleans texts and counts what it did; ``unit`` is what the notes call one text."""

    def __init__(self, unit: str = "line", longest: int = LINE_LIMIT):
        self.unit, self.longest, self.counts = unit, longest, Counter[str]()

    def clean(self, values: Sequence[object]) -> list[str]:
        """One text for each value; an empty one for a value that is to be left out."""
        texts = [value if isinstance(value, str) else self._not_text() for value in values]
        texts = [(self._scrub(text) if _dirty(text) else text).strip() for text in texts]
        empty = texts.count("")
        self.counts["blank"] += empty
        if max(map(len, texts), default=0) > self.longest:
            texts = [self._cut(text) for text in texts]
        return texts

    @property
    def notes(self) -> tuple[str, ...]:
        """What was done, one sentence each."""
        c, unit = self.counts, self.unit
        blank = c["blank"] - c["not text"]
        said = [
            (blank, f"{counted(blank, f'blank {unit}')} skipped"),
            (c["not text"], f"{counted(c['not text'], unit)} skipped: what stood there is not text"),
            (c["cut"], f"{counted(c['cut'], unit)} cut to {self.longest:,} characters"),
            (c["control"], f"{counted(c['control'], 'control character')} removed"),
            (c["surrogate"], f"{counted(c['surrogate'], 'unpaired surrogate')} replaced"),
        ]
        return tuple(sentence for count, sentence in said if count)

    def _not_text(self) -> str:
        self.counts["not text"] += 1
        return ""

    def _scrub(self, text: str) -> str:
        text = text.translate(_BREAKS).translate(_MARKS)
        text, surrogates = _SURROGATE.subn("\ufffd", text)
        text, controls = _CONTROL.subn("", text)
        self.counts["surrogate"] += surrogates
        self.counts["control"] += controls
        return text

    def _cut(self, text: str) -> str:
        if len(text) <= self.longest:
            return text
        self.counts["cut"] += 1
        return text[: self.longest].rstrip()
