"""Names of parts: a name stands for a class that is imported when it is first used."""

import difflib
import importlib
import inspect
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Generic, TypeVar

from pydantic import ConfigDict, TypeAdapter, ValidationError

from textvae.errors import RequestError

_TYPES = ConfigDict(arbitrary_types_allowed=True, allow_inf_nan=False)
T = TypeVar("T")


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """A sentence that helps after a wrong name: the nearest known names, or all of them."""
    known = sorted(known)
    near = difflib.get_close_matches(name, known, n=3, cutoff=0.5)
    if near:
        return f"Did you mean {' or '.join(near)}?"
    return f"Known: {', '.join(known)}." if known else "There are none."


class Registry(Generic[T]):
    """Maps a part's name to ``"module:Class"``; a new part is one file and one line of its mapping.

    Saved models hold these names and never dotted paths, so that loading one runs no foreign code.
    """

    def __init__(self, kind: str, entries: dict[str, str]):
        self.kind, self._entries = kind, entries

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    def register(self, name: str, place: str) -> None:
        """Add a part of one's own, ``"module:Class"``, for as long as this process lives."""
        self._entries[name] = place

    def get(self, name: str) -> type[T]:
        """The class of that name; RequestError names the nearest ones."""
        if name not in self._entries:
            raise RequestError(f"There is no {self.kind} called {name!r}. {did_you_mean(name, self)}")
        module, _, attribute = self._entries[name].partition(":")
        return getattr(importlib.import_module(module), attribute)

    def options(self, name: str, given: Iterable[str] = ()) -> dict[str, Any]:
        """The options of a part with their defaults, without those that the assembler supplies (``given``)."""
        parameters = inspect.signature(self.get(name)).parameters
        return {key: p.default for key, p in parameters.items() if key not in set(given)}

    def build(self, name: str, options: Mapping[str, Any], **given: Any) -> T:
        """Build the part from a user's ``options`` and from those of ``given`` that its signature asks for.

        Raises RequestError for an option that the part does not have, with the nearest names.
        """
        part = self.get(name)
        wanted = inspect.signature(part).parameters
        checked = self.check(name, options, {key: p for key, p in wanted.items() if key not in given})
        return part(**checked, **{key: value for key, value in given.items() if key in wanted})

    def check(self, name: str, options: Mapping[str, Any], allowed: Mapping[str, inspect.Parameter]) -> dict[str, Any]:
        """The options as their annotations have them; RequestError for one not ``allowed``, or of another type."""
        checked = {}
        for key, value in options.items():
            if key not in allowed:
                raise RequestError(f"The {self.kind} {name!r} has no option {key!r}. {did_you_mean(key, allowed)}")
            try:
                checked[key] = TypeAdapter(allowed[key].annotation, config=_TYPES).validate_python(value)
            except ValidationError as error:
                why = error.errors()[0]["msg"]
                raise RequestError(f"The {self.kind} {name!r} cannot take {key} = {value!r}: {why}.") from None
        return checked
