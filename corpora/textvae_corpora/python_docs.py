"""The documentation of the Python that runs: a document for each module, class and function of its standard library."""

from __future__ import annotations

import ast
import importlib
import importlib.machinery
import importlib.util
import inspect
import platform
import re
import sys
import sysconfig
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, overload

from textvae.errors import RequestError
from textvae_corpora.base import Options, Split, Splits, digest
from textvae_corpora.store import Rows, store

_FORMAT = 1
_LEFT_OUT = {"antigravity", "distutils", "idlelib", "lib2to3", "pydoc_data", "readline", "test", "tests", "this"}
_LEFT_OUT |= {"turtledemo", "xxsubtype"}
"""Not for users, or gone soon, or (readline) not to be imported: it speaks to the terminal."""
_HUMP = re.compile(r"(?<=[a-z\d])(?=[A-Z])|_")

_Definition = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True)
class Entry:
    """A module, class or function: its dotted name, its docstring, what it takes, and what stands in it."""

    name: str
    doc: str
    takes: Sequence[str] = ()
    inside: Sequence[Entry] = field(default=())

    @property
    def text(self) -> str:
        """``csv.DictReader: docstring``, then the arguments, then what is inside, each with its first sentence.

        Names are spelt as words too (Dict Reader): who searches does not type them.
        """
        told = [f"{one.name.rpartition('.')[2]}: {_first(one.doc)}" for one in self.inside]
        words = " ".join(_spelt(name) for name in (self.name.rpartition(".")[2], *self.takes))
        words += "".join(f", {_spelt(one.name.rpartition('.')[2])}" for one in self.inside)
        return "\n".join([f"{self.name}: {self.doc}", *told, words])


def splits(name: str, argument: str, options: Options) -> Splits:
    """One split; a document's label is its top-level module."""
    if argument:
        raise RequestError(f"The corpus {name} takes no argument: say {name}, not {name}:{argument}.")

    def read() -> Split:
        def rows(notes: list[str]) -> Iterator[Rows]:
            found = list(entries())
            yield [one.text for one in found], [one.name.partition(".")[0] for one in found]

        version = digest("python-docs", _FORMAT, sys.version, platform.machine(), sysconfig.get_path("stdlib"))
        split = store(version, options, rows, "document", "this Python has no documentation: it was stripped")
        return replace(split, names=_Names(split.examples))

    return {"all": read}


class _Names(Sequence[str]):
    """The dotted names that texts begin with."""

    def __init__(self, texts: Sequence[str]):
        self.texts = texts

    def __len__(self) -> int:
        return len(self.texts)

    @overload
    def __getitem__(self, index: int) -> str: ...
    @overload
    def __getitem__(self, index: slice) -> list[str]: ...
    def __getitem__(self, index: int | slice) -> str | list[str]:
        found = self.texts[index]
        return found.partition(":")[0] if isinstance(found, str) else [text.partition(":")[0] for text in found]


def entries() -> Iterator[Entry]:
    """The modules of the standard library, their classes and their functions, where they have a docstring.

    Methods are told of with their class. Sources are parsed and not run; only modules that are written in C are
    imported, for want of a source.
    """
    root = Path(sysconfig.get_path("stdlib"))
    for name in sorted(sys.stdlib_module_names - _LEFT_OUT):
        if not name.startswith("_"):
            for module in _modules(name, root):
                yield from _documents(module)


def _documents(one: Entry) -> Iterator[Entry]:
    if one.doc:
        yield one
    for part in one.inside:
        yield from (part,) if part.doc else ()


def _modules(name: str, folder: Path) -> Iterator[Entry]:
    """A module, or a package and what is in it."""
    last = name.rpartition(".")[2]
    if (folder / f"{last}.py").is_file():
        yield from _source(name, folder / f"{last}.py")
    elif (folder / last / "__init__.py").is_file():
        yield from _source(name, folder / last / "__init__.py")
        below = {path.stem for path in (folder / last).iterdir() if path.suffix == ".py" or path.is_dir()}
        for part in sorted(below - _LEFT_OUT):
            if not part.startswith("_"):
                yield from _modules(f"{name}.{part}", folder / last)
    elif "." not in name and (module := _compiled(name)) is not None:
        yield _of_object(name, module)


def _source(name: str, path: Path) -> Iterator[Entry]:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of old escapes in strings
            tree = ast.parse(path.read_bytes())
    except (OSError, SyntaxError, ValueError, RecursionError):
        return
    module = _of_node(name, tree)
    borrowed = [one for node in _imports(tree.body) for one in _borrowed(name, node)]
    doc = "\n".join([module.doc, *(one.doc for one in borrowed if one.name == name)]).strip()
    inside = {one.name: one for one in (*borrowed, *module.inside) if one.name != name}
    yield Entry(name, doc, inside=list(inside.values()))


def _of_node(name: str, node: _Definition) -> Entry:
    doc = ast.get_docstring(node) or ""
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
        given = (*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs)
        return Entry(name, doc, [one.arg for one in given if one.arg not in ("self", "cls")])
    kinds = ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef
    parts = [one for one in node.body if isinstance(one, kinds) and not one.name.startswith("_")]
    return Entry(name, doc, inside=[_of_node(f"{name}.{one.name}", one) for one in parts])


def _imports(body: Sequence[ast.stmt]) -> Iterator[ast.ImportFrom]:
    """Those that are run with the module, also where it first tries whether they are there."""
    for node in body:
        if isinstance(node, ast.ImportFrom):
            yield node
        elif isinstance(node, ast.Try | ast.If):
            yield from _imports(node.body)


def _borrowed(name: str, node: ast.ImportFrom) -> Iterator[Entry]:
    """What a module passes on that is written in C: ``from _csv import reader``."""
    private = node.module or ""
    if node.level or not private.startswith("_") or private not in sys.stdlib_module_names:
        return
    if (module := _compiled(private)) is None:
        return
    if module.__doc__:
        yield Entry(name, inspect.cleandoc(module.__doc__))
    names = [one.name for one in node.names if one.asname in (None, one.name)]
    for key in sorted(vars(module)) if names == ["*"] else names:
        what = getattr(module, key, None)
        if not key.startswith("_") and callable(what):
            yield _of_object(f"{name}.{key}", what)


def _compiled(name: str) -> Any:
    """A module that is written in C; None where it is not, or not of this system."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of modules that will be gone in the next Python
        try:
            spec = importlib.util.find_spec(name)
            suffixes = tuple(importlib.machinery.EXTENSION_SUFFIXES)
            if spec is None or not (spec.origin == "built-in" or (spec.origin or "").endswith(suffixes)):
                return None
            return importlib.import_module(name)
        except (ImportError, ValueError):
            return None


def _of_object(name: str, what: Any) -> Entry:
    holds = inspect.ismodule(what) or isinstance(what, type)
    names = [key for key in sorted(vars(what)) if not key.startswith("_")] if holds else []
    parts = {key: getattr(what, key, None) for key in names}
    own = {key: one for key, one in parts.items() if callable(one) and not _is_error(one) and one is not what}
    inside = [
        _of_object(f"{name}.{key}", one)
        if inspect.ismodule(what)
        else Entry(f"{name}.{key}", inspect.getdoc(one) or "")
        for key, one in own.items()
    ]
    return Entry(name, inspect.getdoc(what) or "", inside=inside)


def _is_error(what: Any) -> bool:
    return isinstance(what, type) and issubclass(what, BaseException)


def _first(doc: str) -> str:
    """The first paragraph, without what stands for a signature."""
    return " ".join(doc.partition("\n\n")[0].split())


def _spelt(name: str) -> str:
    return _HUMP.sub(" ", name)
