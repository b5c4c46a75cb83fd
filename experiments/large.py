"""Does a large corpus stay out of memory? Trains on millions of generated lines, and writes docs/large.md.

    python experiments/large.py --lines 20000000 --folder runs/large --steps 200 --page docs/large.md

The lines are sentences of the toy grammar, made once. The first start reads, fits SentencePiece, tokenises and trains;
the second finds what the first one stored. Linux only: memory is read from /proc.
"""

import argparse
import json
import os
import random
import shutil
import subprocess
import sys
import time
from pathlib import Path

from textvae_corpora.toy import _sentence

EVERY = 1.0  # seconds between two looks
STAGES = {"reading": "reading and storing the lines", "preparing": "SentencePiece and tokenising", "run:": "to step 20"}

PAGE = """\
# {lines:,} lines

Written by `python experiments/large.py --lines {lines} --steps {steps}` on {cores} cores of {cpu}, shared with other
work (load {load:.0f} at the end). {lines:,} sentences of the toy grammar, {size:,.0f} MB of text; recipe
`sentences/lstm`, {steps} steps.

| | first start, s | second start, s |
|---|---|---|
{stages}

Memory of the training process in MB: *private* pages are its own, *mapped* ones those of files (the corpus's ids, and
libraries: 125 MB), which the system takes back when it needs them. The limit aimed at is 1,500 for both together.

| | most while preparing | most while training | at the end |
|---|---|---|---|
{memory}

Each of the processes that tokenise beside it had at most {worker:,.0f} MB private. First start, private + mapped, over
time:

```
{curve}
```
"""


def make(path: Path, lines: int) -> None:
    """Write the corpus, unless it is there."""
    if path.exists():
        return
    chance = random.Random(0)
    with path.with_suffix(".part").open("w") as file:
        for start in range(0, lines, 10_000):
            file.writelines(_sentence(chance)[0] + "\n" for _ in range(min(10_000, lines - start)))
    path.with_suffix(".part").rename(path)


def memory(process: int) -> tuple[float, float]:
    """Private and mapped resident megabytes."""
    found = dict(line.split(":", 1) for line in Path(f"/proc/{process}/status").read_text().splitlines())
    return tuple(int(found[key].split()[0]) / 1e3 for key in ("RssAnon", "RssFile"))


def children(process: int) -> list[int]:
    found = [int(p) for t in Path(f"/proc/{process}/task").iterdir() for p in (t / "children").read_text().split()]
    return found + [grandchild for child in found for grandchild in children(child)]


def watch(command: list[str], out: Path) -> tuple[dict[str, float], list[tuple[float, str, float, float]], float]:
    """Seconds at which each stage was over; (seconds, stage, private, mapped) over time; the largest worker."""
    log = out.with_suffix(".log")
    marks: dict[str, float] = {}
    curve, worker, start = [], 0.0, time.monotonic()
    with log.open("w") as file:
        process = subprocess.Popen(command, stderr=file, stdout=subprocess.DEVNULL)
        while process.poll() is None:
            now, said = time.monotonic() - start, log.read_text()
            for word in STAGES:
                if word in said:
                    marks.setdefault(word, now)
            metrics = out / "metrics.jsonl"
            if metrics.exists() and metrics.stat().st_size:
                marks.setdefault("stepped", now)
            try:
                curve.append((now, list(marks)[-1] if marks else "starting", *memory(process.pid)))
                worker = max([worker, *(memory(child)[0] for child in children(process.pid))])
            except (OSError, KeyError):
                pass  # it ended between two looks
            time.sleep(EVERY)
    if process.returncode:
        raise SystemExit(log.read_text())
    marks["ended"] = time.monotonic() - start
    return marks, curve, worker


def row(name: str, curve: list[tuple[float, str, float, float]]) -> str:
    before = [c for c in curve if c[1] != "stepped"]
    after = [c for c in curve if c[1] == "stepped"] or before
    cells = []
    for private, mapped in (
        max(((c[2], c[3]) for c in before), key=sum),
        max(((c[2], c[3]) for c in after), key=sum),
        after[-1][2:],
    ):
        cells.append(f"{private:,.0f} + {mapped:,.0f}")
    return f"| {name} | {' | '.join(cells)} |"


def drawn(curve: list[tuple[float, str, float, float]]) -> str:
    """A line every twentieth of the time: seconds, stage, megabytes, a bar."""
    lines = []
    for seconds, stage, private, mapped in curve[:: max(1, len(curve) // 30)]:
        bar = "#" * round(private / 25) + "." * round(mapped / 25)
        lines.append(f"{seconds:6.0f} s  {stage:<9}  {private:5.0f} + {mapped:5.0f}  {bar}")
    return "\n".join(lines)


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--lines", type=int, default=20_000_000)
    arguments.add_argument("--folder", type=Path, default=Path("runs/large"))
    arguments.add_argument("--steps", type=int, default=200)
    arguments.add_argument("--page", type=Path, default=None)
    given = arguments.parse_args()
    given.folder.mkdir(parents=True, exist_ok=True)
    corpus = given.folder / f"toy-{given.lines}.txt"
    make(corpus, given.lines)
    os.environ["HF_DATASETS_CACHE"] = str((given.folder / "cache").absolute())
    shutil.rmtree(given.folder / "cache", ignore_errors=True)
    starts = []
    for number, steps in ((1, given.steps), (2, 20)):
        out = given.folder / f"start-{number}"
        shutil.rmtree(out, ignore_errors=True)
        command = [sys.executable, "-m", "textvae_cli", "train", str(corpus), "--recipe", "sentences/lstm"]
        starts.append(watch([*command, "--steps", str(steps), "--out", str(out)], out))
    stages = []
    for stage, after in zip(STAGES, [*list(STAGES)[1:], "stepped"]):
        seconds = [f"{marks[after] - marks[stage]:,.0f}" for marks, _, _ in starts]
        stages.append(f"| {STAGES[stage]} | {' | '.join(seconds)} |")
    cpu = next(
        (x.split(":")[1].strip() for x in Path("/proc/cpuinfo").read_text().splitlines() if "model name" in x), ""
    )
    page = PAGE.format(
        lines=given.lines,
        cores=os.cpu_count(),
        cpu=cpu,
        load=os.getloadavg()[0],
        size=corpus.stat().st_size / 1e6,
        steps=given.steps,
        stages="\n".join(stages),
        memory="\n".join(row(f"{name} start", curve) for name, (_, curve, _) in zip(("first", "second"), starts)),
        worker=max(worker for _, _, worker in starts),
        curve=drawn(starts[0][1]),
    )
    print(page)
    print(json.dumps([marks for marks, _, _ in starts]))
    if given.page:
        given.page.write_text(page)


if __name__ == "__main__":
    main()
