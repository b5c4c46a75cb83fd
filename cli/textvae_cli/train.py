"""``textvae train``: from a file of sentences to a model."""

import json
import os
import shlex
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from textvae.errors import RequestError
from textvae_cli import console, loading, options
from textvae_cli.signals import Stopping

DIGITS = "digits", "digits, which come with scikit-learn"
OURS = {  # what a codec of pictures is fitted to, if no corpus is named
    "pixels": DIGITS,
    "codes": DIGITS,
    "captions": ("captioned-shapes", "captioned-shapes, which are made up"),
}

if TYPE_CHECKING:
    from textvae.run_folder import RunFolder
    from textvae.trainer import Trainer
    from textvae_cli.plan import Request
    from textvae_cli.render import Show
    from textvae_cli.session import Session


def train(
    ctx: typer.Context,
    source: Annotated[
        str | None, typer.Argument(metavar="SOURCE", help="File, folder, corpus name or Hugging Face dataset.")
    ] = None,
    valid: Annotated[str | None, typer.Option("--valid", help="Validate on this one; default: held out.")] = None,
    recipe: Annotated[str | None, typer.Option("--recipe", help="A name of textvae recipes, or a TOML file.")] = None,
    config: Annotated[Path | None, typer.Option("--config", help="TOML with settings to put over the recipe.")] = None,
    out: Annotated[Path | None, typer.Option("--out", help="The run's folder. Default: runs/CORPUS-RECIPE.")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the run --out, or the newest one.")] = False,
    rate: Annotated[
        float | None, typer.Option("--rate", min=0, max=1e6, help="Nats per sentence that the code shall carry.")
    ] = None,
    assignments: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Any setting: model.latent_size=64.")
    ] = None,
    epochs: Annotated[int | None, typer.Option("--epochs", min=1, help="Passes over the corpus.")] = None,
    steps: Annotated[int | None, typer.Option("--steps", min=1, help="Batches, instead of epochs.")] = None,
    minutes: Annotated[float | None, typer.Option("--minutes", min=0, max=1e6, help="At most this long.")] = None,
    batch_size: Annotated[int | None, typer.Option("--batch-size", min=1, help="Examples in a batch.")] = None,
    device: Annotated[str | None, typer.Option("--device", help="auto, cpu, cuda, cuda:1 …")] = None,
    precision: Annotated[options.Precision | None, typer.Option("--precision", help="Of products.")] = None,
    seed: options.Seed = None,
    text_column: options.TextColumn = None,
    label_column: options.LabelColumn = None,
    encoding: Annotated[str | None, typer.Option("--encoding", help="Of text files; default UTF-8.")] = None,
    limit: options.Limit = None,
    size: Annotated[int | None, typer.Option("--size", min=1, max=4096, help="Of pictures: pixels a side.")] = None,
    threads: Annotated[int | None, typer.Option("--threads", min=1, max=1024, help="CPU threads.")] = None,
    as_json: options.Json = False,
) -> None:
    """Train a model on a text file, a sentence a line.

    The run is a folder under runs/. Ctrl-C ends it saved, and --resume goes on. Under torchrun (torchrun
    --nproc-per-node 8 -m textvae_cli train FILE) the processes divide every batch.
    """
    if epochs and steps:
        raise RequestError("--epochs and --steps are two ways to say the same thing: give one.")
    # Beside oneDNN's kernels torch keeps its own notes on 1,024 shapes: 100 MB for 3 % at most.
    os.environ.setdefault("LRU_CACHE_CAPACITY", "32")
    os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")  # large blocks in huge pages: fewer page faults
    with Stopping() as stopping:
        from textvae_cli import plan
        from textvae_cli.plan import Request

        flags = {
            "corpus.source": plan.absolute(source),
            "corpus.valid": plan.absolute(valid),
            "corpus.text_column": text_column,
            "corpus.label_column": label_column,
            "corpus.encoding": encoding,
            "corpus.limit": limit,
            "corpus.size": size,
            "train.epochs": epochs,
            "train.steps": steps,
            "train.minutes": minutes,
            "train.batch_size": batch_size,
            "train.device": device,
            "train.precision": precision and precision.value,
            "train.seed": seed,
        }
        given: dict[str, Any] = {key: value for key, value in flags.items() if value is not None}
        if epochs:
            given["train.steps"] = None  # steps of the recipe would go before epochs
        request = Request(recipe, config, _assigned(assignments or []), given, rate)
        if threads:
            import torch

            torch.set_num_threads(threads)
        from textvae import distributed

        with distributed.joined():
            if distributed.rank():
                code = _follow(stopping)
            elif resume:
                code = _resume(plan.run_to_resume(out, loading.RUNS), request, stopping, as_json)
            else:
                code = _begin(out, request, stopping, ctx.obj.words, as_json)
    if code:
        raise typer.Exit(code)


def _begin(out: Path | None, request: "Request", stopping: Stopping, words: list[str], as_json: bool) -> int:
    settings = request.settings()  # what is wrong is told before a corpus is read
    from textvae import distributed
    from textvae_cli import plan, session
    from textvae_cli.render import waiting

    if out is not None:
        session.check_place(out)
    if settings.corpus.source == "-" and distributed.size() > 1:
        raise RequestError("Every process reads the corpus, and standard input goes to one: put the lines in a file.")
    if not settings.corpus.source and settings.codec.name in OURS:
        settings.corpus.source, what = OURS[settings.codec.name]
        console.say(f"corpus: {what}; name a FOLDER to train on your own pictures")
    settings.train = loading.resolved(settings.train)
    with waiting(f"reading {settings.corpus.source}"):
        corpus = session.read_corpus(settings.corpus)
        if corpus.kind == "image" and not request.named_recipe:
            settings = request.settings("image")
            settings.train = loading.resolved(settings.train)
    for note in corpus.notes:
        console.say(f"{corpus.name}: {note}")
    with waiting("preparing"):
        ready = session.prepare(settings, corpus, None, console.say)
    if not request.says_how_long:
        asked = settings.train.epochs
        settings.train = plan.long_enough(settings.train, ready.train.planned())
        if settings.train.epochs > asked:
            console.say(
                f"{corpus.name} is small: {settings.train.epochs:,} passes over it, not {asked}; --epochs N sets it"
            )
    place = out or plan.default_out(loading.RUNS, settings.corpus.source, settings)
    with session.begun(place, ready, words) as run:
        console.say(f"run: {place}")
        return _fit(ready, run, stopping, as_json)


def _resume(place: Path, request: "Request", stopping: Stopping, as_json: bool) -> int:
    from textvae.run_folder import RunFolder
    from textvae_cli import session
    from textvae_cli.render import waiting

    run = RunFolder(place)
    with run.locked():
        settings, longer = request.resumed(run.settings(), place)
        settings.train = loading.resolved(settings.train)
        with waiting(f"reading {settings.corpus.source}"):
            corpus = session.read_corpus(settings.corpus)
            ready = session.prepare(settings, corpus, place / session.CODEC, console.say)
        session.restore_facts(run, ready)
        console.say(f"run: {place}")
        return _fit(ready, run, stopping, as_json, resumed=True, longer=longer)


def _follow(stopping: Stopping) -> int:
    """What a process that is not the first does: the run that the first one has begun, with its codec."""
    from textvae import distributed
    from textvae.run_folder import RunFolder
    from textvae.settings import Settings
    from textvae_cli import session

    place, tree, resumed, longer = json.loads(distributed.awaited())
    settings, run = Settings.from_dict(tree), RunFolder(place)
    ready = session.prepare(settings, session.read_corpus(settings.corpus), run.path / session.CODEC, lambda _: None)
    return _fit(ready, run, stopping, False, resumed, longer)


def _fit(
    ready: "Session", run: "RunFolder", stopping: Stopping, as_json: bool, resumed: bool = False, longer: bool = False
) -> int:
    """Train, show it, and say how it ended and what to type next; returns the exit code."""
    from textvae import distributed
    from textvae.files import write_whole

    distributed.announce(json.dumps([str(run.path.absolute()), ready.settings.to_dict(), resumed, longer]))
    distributed.assemble()
    trainer = ready.trainer(run)
    stopping.trainer = trainer
    with _shown(trainer, loading.writes_pictures(ready.vae)) as show:
        if resumed:
            for record in trainer.resume():
                show(record)
            if trainer.leads:
                write_whole(run.path / "config.toml", ready.settings.to_toml().encode())  # its length may be another
        if longer:
            trainer.stale = 0
        stopped = any(distributed.gathered(stopping.code))
        if not stopped and (trainer.progress < 1 and trainer.stale < trainer.settings.patience):
            for record in trainer.fit():
                show(record)
    code: int = max(distributed.gathered(stopping.code))  # a signal may have reached some processes only
    stopping.trainer = None
    if trainer.leads:
        _conclude(ready, run, trainer, code, as_json)
    return code


def _shown(trainer: "Trainer", pictures: bool) -> AbstractContextManager["Show"]:
    """What shows the records of a run: the first process's."""
    from textvae_cli.render import training

    return training(trainer, words=not pictures) if trainer.leads else nullcontext(lambda record: None)


def _conclude(ready: "Session", run: "RunFolder", trainer: "Trainer", code: int, as_json: bool) -> None:
    again = f"textvae train --resume --out {shlex.quote(str(run.path))}"
    if code:
        console.say(f"The run is saved at step {trainer.step:,}. Go on with: {again}")
        return
    best = loading.facts(run.model)
    if as_json:
        done = {"run": str(run.path), "model": str(run.model), "steps": trainer.step, "seconds": trainer.seconds}
        found = {"best_step": best.get("step"), "validation": best.get("validation", {})}
        console.document({**done, **found, "warning": best.get("warning")})
        return
    for line in _summary(run.path, best, _next(run.path, ready), loading.writes_pictures(ready.vae)):
        console.out(line)


def _summary(place: Path, best: dict[str, Any], command: str, pictures: bool) -> list[str]:
    from textvae_cli.numbers import bounds

    values = best.get("validation", {})
    lines = [f"run: {place}"]
    if "nll" in values:
        lines.append(f"best: {bounds(values, not pictures, counted=True)}")
    return [*lines, f"next: {command}", *filter(None, [best.get("warning")])]  # a collapse has the last word


def _next(place: Path, ready: "Session") -> str:
    """A command to type, with two sentences of the validation split where they are short."""
    model = "" if place.parent == loading.RUNS else f" --model {shlex.quote(str(place))}"
    if loading.writes_pictures(ready.vae):
        return f"textvae sample -n 64 --grid samples.png{model}"
    if ready.corpus.kind == "image":
        return f"textvae reconstruct PICTURE.png{model}"
    if not ready.settings.model.latent_size:  # a plain language model has nothing to move between
        return f"textvae sample{model}"
    if ready.settings.codec.name == "bag_of_words":
        return f"textvae topics{model}" if ready.vae.model.decoder.topical else f"textvae index FILE --out IDX{model}"
    ends = [text for text in map(console.clean, ready.corpus.valid[:200]) if 8 <= len(text) <= 32 and _plain(text)]
    a, b = (ends[0], ends[-1]) if len(ends) > 1 else ("A", "B")
    return f'textvae interpolate "{a}" "{b}"{model}'


def _plain(text: str) -> bool:
    """Whether a text can stand between double quotes in a shell."""
    return not set(text) & set('"$`\\!')


def _assigned(texts: list[str]) -> dict[str, Any]:
    from textvae.settings import parse_assignment

    return dict(map(parse_assignment, texts))
