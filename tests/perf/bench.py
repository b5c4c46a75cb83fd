"""`make bench`: training, generation and start-up, ours beside the baseline in one run, in CPU-seconds.

Run with OMP_WAIT_POLICY=PASSIVE, or threads that wait for work count as working.
"""

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from itertools import cycle, islice
from pathlib import Path

import numpy as np
import torch

from tests.perf.textbook import TextbookVAE
from textvae import Decoding, TextVAE
from textvae.assembly import build_objective
from textvae.batching import Batch, Batches
from textvae.codecs.words import WordCodec
from textvae.devices import autocast, resolve
from textvae.model_folder import SHIPPED
from textvae.recipes import load_recipe

VOCABULARY = 10_000


class Sentences:
    """Random sentences with the lengths of Penn Treebank's (mean 21, deviation 10) and Zipf's word frequencies."""

    labels = None

    def __init__(self, n: int):
        rng = np.random.default_rng(0)
        self.lengths = rng.gamma(4.4, 4.8, n).clip(2, 80).astype(np.int32) + 2
        p = 1 / np.arange(1, VOCABULARY + 1)
        self.rows = [np.r_[2, 4 + rng.choice(VOCABULARY, k - 2, p=p / p.sum()), 3] for k in self.lengths]

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> np.ndarray:
        return self.rows[index]


def cpu_seconds(work: Callable[[], object]) -> float:
    start = time.process_time()
    work()
    return time.process_time() - start


def training(steps: int) -> dict[str, float]:
    """Tokens per CPU-second of the textbook loop and of ours, at one architecture and batch 32, in turns."""
    codec = WordCodec([f"w{i}" for i in range(VOCABULARY)])
    settings = load_recipe("sentences/ptb").override(
        {"model.likelihood.tied": False, "model.encoder.dropout": 0.0, "model.decoder.dropout": 0.0}
    )
    train = resolve(settings.train)
    settings = settings.model_copy(update={"train": train})
    vae, objective = TextVAE.new(settings, codec), build_objective(settings.objective)
    ours = torch.optim.AdamW(vae.model.parameters(), fused=True)
    textbook = TextbookVAE(VOCABULARY + 4)
    theirs = torch.optim.Adam(textbook.parameters())
    sentences = Sentences(200 * 32)
    bucketed = cycle(list(Batches(sentences, codec.collate, 32).epoch()))
    rows = np.random.default_rng(1).permutation(len(sentences))
    shuffled = cycle([Batch(codec.collate([sentences[i] for i in rows[k : k + 32]])) for k in range(0, len(rows), 32)])

    def our_step(batch: Batch) -> None:
        ours.zero_grad()
        with autocast(torch.device("cpu"), train.precision):
            terms = objective(vae.model, batch, 0.5)
        terms.loss.backward()
        torch.nn.utils.clip_grad_norm_(vae.model.parameters(), 5.0)
        ours.step()

    def their_step(batch: Batch) -> None:
        theirs.zero_grad()
        textbook.loss(batch.x).backward()
        torch.nn.utils.clip_grad_norm_(textbook.parameters(), 5.0)
        theirs.step()

    rates: dict[str, list[float]] = {"textbook": [], "ours": []}
    for turn in range(5):  # turns, so that a busy machine slows both alike
        for name, step, source in (("textbook", their_step, shuffled), ("ours", our_step, bucketed)):
            batches = list(islice(source, steps))
            tokens = sum(int((b.x[:, 1:] != 0).sum()) for b in batches)
            seconds = cpu_seconds(lambda step=step, batches=batches: [step(b) for b in batches])
            if turn:  # the first turn warms up
                rates[name].append(tokens / seconds)
    result = {f"training, {name}, tokens/CPU-s": statistics.median(values) for name, values in rates.items()}
    result["training, ratio"] = statistics.median(a / b for a, b in zip(rates["ours"], rates["textbook"]))
    return result


def generation() -> dict[str, float]:
    """Words per CPU-second of greedy, sampled and beam decoding, at the same size with random weights."""
    codec = WordCodec([f"w{i}" for i in range(VOCABULARY)])
    vae = TextVAE.new(load_recipe("sentences/ptb").override({"model.likelihood.tied": False}), codec)
    cases = [("greedy", 1), ("greedy", 256), ("sample", 1), ("sample", 256), ("beam", 1), ("beam", 64)]
    rates: dict[tuple[str, int], list[float]] = {case: [] for case in cases}
    for turn in range(5):
        for method, n in cases:
            z, decoding = torch.randn(n, 32), Decoding(method, max_length=22)  # type: ignore[arg-type]
            times = 1 if n > 1 else 5
            seconds = cpu_seconds(lambda z=z, d=decoding, k=times: [vae.write(z, d) for _ in range(k)])
            if turn:  # the first turn warms up
                rates[method, n].append(times * n * 22 / seconds)
    best = {case: max(values) for case, values in rates.items()}
    result = {f"{method}, batch {n}, tokens/CPU-s": rate for (method, n), rate in best.items()}
    result["sample, 256 together / one at a time"] = best["sample", 256] / best["sample", 1]
    result["greedy 256 / beam 64, rate"] = best["greedy", 256] / best["beam", 64]
    return result


def starting() -> dict[str, float]:
    """Seconds of a cold command, beside those of ``import torch``; the best of five, in turns."""
    commands = {
        "python -c 'import torch'": [sys.executable, "-c", "import torch"],
        "textvae --help": [sys.executable, "-m", "textvae_cli", "--help"],
        "textvae interpolate": [sys.executable, "-m", "textvae_cli", "interpolate", "I am tired.", "Where is he?"],
        "textvae sample -n 1000": [sys.executable, "-m", "textvae_cli", "sample", "-n", "1000"],
    }
    best = dict.fromkeys(commands, float("inf"))
    environment = {**os.environ, "TEXTVAE_MODEL": str(SHIPPED)}
    for _ in range(5):
        for name, command in commands.items():
            start = time.perf_counter()
            subprocess.run(command, check=True, capture_output=True, env=environment)
            best[name] = min(best[name], time.perf_counter() - start)
    result = {f"{name}, s": seconds for name, seconds in best.items()}
    torch_alone = best["python -c 'import torch'"]
    return result | {
        "textvae interpolate, after torch's import, s": best["textvae interpolate"] - torch_alone,
        "textvae sample, sentences/s after torch's import": 1000 / (best["textvae sample -n 1000"] - torch_alone),
    }


def machine() -> str:
    """The machine, in words."""
    with open("/proc/cpuinfo", encoding="utf-8") as file:
        model = next((line.split(":")[1].strip() for line in file if line.startswith("model name")), platform.machine())
    return f"{model}, {torch.get_num_threads()} thread(s), torch {torch.__version__}"


TARGETS = {  # of the project, at the same sizes
    "training, ratio": "3",
    "greedy, batch 1, tokens/CPU-s": "1,000",
    "greedy, batch 256, tokens/CPU-s": "18,000",
    "sample, batch 256, tokens/CPU-s": "15,000",
    "beam, batch 64, tokens/CPU-s": "3,000",
    "textvae --help, s": "0.3",
    "textvae interpolate, after torch's import, s": "1",
}
OTHERS = {  # measured in public implementations, on another machine
    "training, ours, tokens/CPU-s": "2,113",
    "greedy, batch 1, tokens/CPU-s": "636",
    "greedy, batch 256, tokens/CPU-s": "5,827",
    "sample, batch 256, tokens/CPU-s": "1,003",
    "beam, batch 64, tokens/CPU-s": "148",
}


def page(results: dict[str, float]) -> str:
    """The results as a Markdown page."""
    lines = [
        f"| {name} | {value:,.2f} | {TARGETS.get(name, '')} | {OTHERS.get(name, '')} |"
        if value < 100
        else f"| {name} | {value:,.0f} | {TARGETS.get(name, '')} | {OTHERS.get(name, '')} |"
        for name, value in results.items()
    ]
    return "\n".join(["# Speed", "", ABOUT.format(machine=machine()), "", HEADING, "|---|---|---|---|", *lines, ""])


HEADING = "| | measured | target | best public implementation |"
ABOUT = """\
Written by `make bench` on {machine}.

Sentence VAE at embedding 256, LSTM 512, z 32 and 10,000 words, on made-up sentences with the lengths of Penn
Treebank's. The textbook loop (float32, packed sequences, one softmax over all words, batch 32, shuffled and padded to
the longest sentence) runs in turns with ours (bf16 where it is faster, length buckets, chunked softmax; the same sizes
and batch): a good part of the ratio is padding that is not computed. CPU-seconds of one thread. Public implementations
were measured on another machine, beam search one sentence at a time: they say how far, not how much."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=20, help="training steps in each of the five turns")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--page", type=Path, help="write a Markdown page, too")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    if os.environ.get("OMP_WAIT_POLICY") != "PASSIVE":
        print("OMP_WAIT_POLICY is not PASSIVE: CPU-seconds will count waiting threads.", file=sys.stderr)
    results = {**training(arguments.steps), **generation(), **starting()}
    if arguments.page:
        arguments.page.write_text(page(results), encoding="utf-8")
    if arguments.json:
        print(json.dumps({"machine": machine(), **results}))
        return
    print(machine())
    for name, value in results.items():
        print(f"{name:50s} {value:>10,.2f}" if value < 100 else f"{name:50s} {value:>10,.0f}")


if __name__ == "__main__":
    main()
