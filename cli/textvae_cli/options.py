"""Options that several commands share."""

import pathlib
from enum import StrEnum
from typing import Annotated

import typer


class Method(StrEnum):
    """How words are chosen."""

    beam = "beam"
    greedy = "greedy"
    sample = "sample"


class Path(StrEnum):
    """The way between two codes."""

    linear = "linear"
    slerp = "slerp"


class Precision(StrEnum):
    """Of products."""

    auto = "auto"
    fp32 = "fp32"
    bf16 = "bf16"


Model = Annotated[
    str | None,
    typer.Option(
        "--model",
        "-m",
        metavar="M",
        help="Model folder, run folder or hub id. Default: $TEXTVAE_MODEL, the newest run under ./runs, "
        "or the model that ships.",
    ),
]
Png = Annotated[
    pathlib.Path | None, typer.Option("--out", metavar="PNG", help="Pictures: where to write them, side by side.")
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]
Seed = Annotated[int | None, typer.Option("--seed", min=0, max=2**32 - 1, help="Makes random choices repeatable.")]
Device = Annotated[str, typer.Option("--device", help="auto, cpu, cuda, cuda:1 …")]
Temperature = Annotated[
    float, typer.Option("--temperature", min=0, max=100, help="Of sampled words: under 1 safer, over 1 bolder.")
]
Decode = Annotated[Method, typer.Option("--decode", help="How words are chosen.")]
TextColumn = Annotated[str | None, typer.Option("--text-column", help="Of a table: the column with the text.")]
LabelColumn = Annotated[str | None, typer.Option("--label-column", help="Of a table: the column with the labels.")]
Encoding = Annotated[str, typer.Option("--encoding", help="Of text files.")]
Limit = Annotated[int | None, typer.Option("--limit", min=1, help="Read only the first N examples.")]
