"""The Typer application: its commands, and what becomes of errors."""

import contextlib
import errno
import importlib
import os
import sys
import traceback
from collections.abc import Iterator
from typing import Annotated, Any, NamedTuple

import typer
from typer.core import TyperGroup

from textvae.errors import TextvaeError
from textvae_cli import console

COMMANDS = (  # a command is the function of that name in the module of that name
    "train",
    "interpolate",
    "sample",
    "traverse",
    "chain",
    "reconstruct",
    "impute",
    "analogy",
    "neighbours",
    "encode",
    "index",
    "search",
    "topics",
    "evaluate",
    "plot",
    "recipes",
    "corpora",
    "models",
)


class Call(NamedTuple):
    """What was typed, as ``ctx.obj`` of every command."""

    words: list[str]
    debug: bool


class Commands(TyperGroup):
    """Maps errors to messages and exit codes, for the console and for ``CliRunner`` alike."""

    def main(self, args: Any = None, *more: Any, **extra: Any) -> Any:
        """Run; ``--debug`` may stand anywhere before ``--``."""
        words = list(sys.argv[1:] if args is None else args)
        end = words.index("--") if "--" in words else len(words)
        debug = "--debug" in words[:end]
        words = [word for i, word in enumerate(words) if word != "--debug" or i >= end]
        return super().main(words, *more, obj=Call(words, debug), **extra)

    def invoke(self, ctx: Any) -> Any:
        """Run the command that was named."""
        with _explained(ctx.obj.debug):
            result = super().invoke(ctx)
            sys.stdout.flush()
            return result


app = typer.Typer(
    cls=Commands,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Generative autoencoders of text: train one, move between two sentences, sample new ones.",
)


def _version(asked: bool) -> None:
    if asked:
        from textvae import __version__

        console.out(f"textvae {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version.")
    ] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
) -> None:
    pass


for _name in COMMANDS:
    app.command(_name)(getattr(importlib.import_module(f"textvae_cli.{_name}"), _name))


def main() -> None:
    """The entry point of ``textvae``."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")  # a terminal that cannot show a letter shows a question mark
    app()


@contextlib.contextmanager
def _explained(debug: bool) -> Iterator[None]:
    try:
        yield
    except KeyboardInterrupt:
        console.say("textvae: interrupted.")
        raise typer.Exit(130) from None
    except BrokenPipeError:
        _drop_output()
        raise typer.Exit(0) from None
    except Exception as error:
        if isinstance(error, typer.Exit | typer.Abort) or hasattr(error, "show"):  # typer's own
            raise
        if debug:
            sys.stderr.write(traceback.format_exc())
        console.say(f"textvae: {_message(error)}")
        with contextlib.suppress(OSError, ValueError):
            sys.stdout.flush()
        _drop_output()
        raise typer.Exit(getattr(error, "exit_code", 1)) from None


def _message(error: Exception) -> str:
    if isinstance(error, TextvaeError):
        return str(error)
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return f"the disk is full: {error.filename or 'the output'} could not be written. Make room and run again."
    if isinstance(error, MemoryError):
        return "out of memory. Take fewer or shorter examples at a time."
    return (
        f"unexpected {type(error).__name__}: {error}. This should not happen: run again with --debug to see "
        "where it came from."
    )


def _drop_output() -> None:
    """What is still buffered for standard output can no longer be delivered; leave without a second error."""
    with contextlib.suppress(OSError, ValueError, AttributeError):
        number = sys.stdout.fileno()
        os.dup2(os.open(os.devnull, os.O_WRONLY), number)
