"""`make bench`: training, generation, encoding and start-up beside a textbook loop and the machine's own ceiling.

Run with OMP_WAIT_POLICY=PASSIVE, or threads that wait for work count as working.
"""

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from functools import partial
from itertools import cycle, islice, product
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F

from tests.perf.textbook import TextbookVAE
from textvae import Decoding, TextVAE
from textvae.assembly import build_objective
from textvae.batching import Batch, Batches
from textvae.codecs.words import WordCodec
from textvae.devices import autocast, resolve
from textvae.latent.means import BATCH, Means
from textvae.layers import packed_linear
from textvae.model_folder import SHIPPED
from textvae.recipes import load_recipe

VOCABULARY, EMBEDDING, HIDDEN, LATENT = 10_000, 256, 512, 32
WORDS = 22  # of each sentence that is written
ENCODER, DECODER, OUTPUT = (  # multiply-adds a word
    4 * HIDDEN * (EMBEDDING + HIDDEN),
    4 * HIDDEN * (EMBEDDING + LATENT + HIDDEN),
    HIDDEN * (VOCABULARY + 4),
)
TRAINING = 2 * 3 * (ENCODER + DECODER + OUTPUT)  # FLOP a word, of one forward and two backward products
INTERNAL, DILATIONS = 256, (1, 2, 4, 8, 16) * 2  # Yang et al.'s large one
CONVOLUTIONS = (EMBEDDING + LATENT) * HIDDEN + len(DILATIONS) * (2 * HIDDEN * INTERNAL + 3 * INTERNAL**2)


@dataclass(frozen=True)
class Row:
    """A line of the table: in CPU-seconds (on a GPU, and in ``clock``, in seconds by the clock).

    ``ceiling`` is what the matrix products alone would allow on this machine.
    """

    name: str
    measured: float
    ceiling: float | None = None
    clock: float | None = None


class Spent(NamedTuple):
    """Seconds: of the CPU, or by the clock where a GPU does the work; and by the clock."""

    counted: float
    clock: float


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


def seconds(device: torch.device, work: Callable[[], object]) -> Spent:
    """What some work takes."""
    wait = torch.cuda.synchronize if device.type == "cuda" else lambda: None
    wait()
    cpu, clock = time.process_time(), time.perf_counter()
    work()
    wait()
    cpu, clock = time.process_time() - cpu, time.perf_counter() - clock
    return Spent(cpu if device.type == "cpu" else clock, clock)


def matrix_rate(device: torch.device, dtype: torch.dtype, rows: int, inputs: int, outputs: int) -> float:
    """FLOP a second of x wᵀ at these sizes, by the quicker of torch's product and oneDNN's; the best of eight."""
    x, w = (torch.randn(n, inputs, device=device).to(dtype) for n in (rows, outputs))
    products = [partial(F.linear, x, w), partial(packed_linear(w, torch.zeros(outputs, device=device), rows), x)]
    if dtype != torch.float32:
        products.pop()
    best = min(seconds(device, product).counted for product in products for _ in range(8))
    return 2 * rows * inputs * outputs / best


def model(recipe: str = "ptb") -> tuple[TextVAE, WordCodec]:
    """The sentence VAE of 256/512/32, its output weights of its own, without dropout."""
    codec = WordCodec([f"w{i}" for i in range(VOCABULARY)])
    settings = load_recipe(f"sentences/{recipe}").override(
        {"model.likelihood.tied": False, "model.encoder.dropout": 0.0, "model.decoder.dropout": 0.0}
    )
    return TextVAE.new(settings, codec), codec


Step = Callable[[Batch], None]


def our_step(vae: TextVAE, device: torch.device, precision: str) -> Step:
    """A step as the trainer takes it."""
    vae.model.to(device)
    objective = build_objective(vae.settings.objective).to(device)
    optimizer = torch.optim.AdamW(vae.model.parameters(), fused=True)

    def step(batch: Batch) -> None:
        optimizer.zero_grad()
        with autocast(device, precision):
            terms = objective(vae.model, batch, 0.5)
        terms.loss.backward()
        torch.nn.utils.clip_grad_norm_(vae.model.parameters(), 5.0)
        optimizer.step()

    return step


def textbook_step(device: torch.device) -> Step:
    """A step of the loop that a textbook has."""
    textbook = TextbookVAE(VOCABULARY + 4).to(device)
    optimizer = torch.optim.Adam(textbook.parameters())

    def step(batch: Batch) -> None:
        optimizer.zero_grad()
        textbook.loss(batch.x).backward()
        torch.nn.utils.clip_grad_norm_(textbook.parameters(), 5.0)
        optimizer.step()

    return step


def training(device: torch.device, steps: int, batch: int = 32) -> list[Row]:
    """Words a second of the textbook loop, the same on sorted sentences, and ours, in turns with the machine's own.

    Ours has two decoders, an LSTM as the textbook's and dilated convolutions.
    """
    (lstm, codec), (convolutions, _) = model(), model("lcnn")
    precision = resolve(lstm.settings.train.model_copy(update={"device": device.type})).precision
    ours = torch.bfloat16 if precision == "bf16" else torch.float32
    sentences = Sentences(200 * batch)
    order = np.random.default_rng(1).permutation(len(sentences))
    shuffled = [Batch(codec.collate([sentences[i] for i in rows])) for rows in order.reshape(-1, batch)]
    bucketed = list(Batches(sentences, codec.collate, batch).epoch())
    textbook, with_convolutions = textbook_step(device), 2 * 3 * (ENCODER + CONVOLUTIONS + OUTPUT)
    runs = {  # a step, its batches, its precision, the FLOP of a word
        "textbook loop": (textbook, cycle(shuffled), torch.float32, TRAINING),
        "textbook loop, sorted by length": (textbook, cycle(bucketed), torch.float32, TRAINING),
        "ours": (our_step(lstm, device, precision), cycle(bucketed), ours, TRAINING),
        "ours, dilated convolutions": (
            our_step(convolutions, device, precision),
            cycle(bucketed),
            ours,
            with_convolutions,
        ),
    }
    rates: dict[str, list[Spent]] = {name: [] for name in runs}  # words a second
    ceilings: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(5):  # turns, so that a busy machine slows all alike
        for name, (step, source, dtype, cost) in runs.items():
            batches = [b.to(device) for b in islice(source, steps)]
            words = sum(int((b.x[:, 1:] != 0).sum()) for b in batches)
            taken = seconds(device, partial(lambda step, batches: [step(b) for b in batches], step, batches))
            rates[name].append(Spent(words / taken.counted, words / taken.clock))
            ceilings[name].append(matrix_rate(device, dtype, 20 * batch, HIDDEN, VOCABULARY + 4) / cost)
    at, rows = f"training, {device.type}, batch {batch}", []
    for name in runs:  # the first turn warms up
        counted, clock = (statistics.median(values) for values in zip(*rates[name][1:]))
        ceiling = statistics.median(ceilings[name][1:])
        rows.append(Row(f"{at}, {name}, {unit(device)}", counted, ceiling, clock))
    for name in list(runs)[:2]:
        pairs = zip(rates["ours"][1:], rates[name][1:])
        rows.append(Row(f"{at}, ours / {name}", statistics.median(a.counted / b.counted for a, b in pairs)))
    return rows


def unit(device: torch.device) -> str:
    """What words are counted by."""
    return "tokens/CPU-s" if device.type == "cpu" else "tokens/s"


def generation(device: torch.device) -> list[Row]:
    """Words a second of greedy, sampled and beam decoding, with random weights, and of their products alone."""
    vae, _ = model()
    vae.model.to(device)
    cases: list[tuple[Literal["greedy", "sample", "beam"], int]]
    cases = [("greedy", 1), ("greedy", 256), ("sample", 1), ("sample", 256), ("beam", 1), ("beam", 64)]
    rates: dict[tuple[str, int], list[Spent]] = {case: [] for case in cases}
    bounds: dict[tuple[str, int], list[float]] = {case: [] for case in cases}
    for turn in range(5):
        for method, n in cases:
            z, decoding = torch.randn(n, LATENT, device=device), Decoding(method, max_length=WORDS)
            times = 1 if n > 1 else 5
            taken = seconds(device, partial(lambda k, *what: [vae.write(*what) for _ in range(k)], times, z, decoding))
            rows = n * decoding.beam_size if method == "beam" else n
            shapes = [(EMBEDDING + LATENT + HIDDEN, 4 * HIDDEN), (HIDDEN, VOCABULARY + 4)]
            least = sum(2 * rows * i * o / matrix_rate(device, torch.float32, rows, i, o) for i, o in shapes)
            if turn:  # the first turn warms up
                words = times * n * WORDS
                rates[method, n].append(Spent(words / taken.counted, words / taken.clock))
                bounds[method, n].append(n / least)
    best = {case: Spent(*map(max, zip(*values))) for case, values in rates.items()}
    rows_ = [
        Row(f"{method}, {device.type}, batch {n}, {unit(device)}", rate.counted, max(bounds[method, n]), rate.clock)
        for (method, n), rate in best.items()
    ]
    together, beams = best["sample", 256].counted / best["sample", 1].counted, best["beam", 64].counted
    return [
        *rows_,
        Row(f"sample, {device.type}, 256 together / one at a time", together),
        Row(f"greedy 256 / beam 64, {device.type}, rate", best["greedy", 256].counted / beams),
    ]


def encoding(device: torch.device) -> list[Row]:
    """Texts a second, from str to posterior means, as ``textvae encode`` makes them; and the products alone."""
    vae, codec = model()
    vae.model.to(device)
    texts = [" ".join(f"w{i - 4}" for i in row[1:-1]) for row in Sentences(4096).rows]
    words = statistics.mean([len(row) for row in codec.encode(texts)])
    rows = []
    for precision, dtype in (("fp32", torch.float32), ("bf16", torch.bfloat16)):
        means, taken, rate = Means(vae, precision), [], []
        for _ in range(4):
            taken.append(seconds(device, partial(means, texts)))
            rate.append(matrix_rate(device, dtype, BATCH, EMBEDDING + HIDDEN, 4 * HIDDEN))
        ceiling = max(rate) / (2 * ENCODER * words)
        name = f"encode, {device.type}, {precision}, {unit(device).replace('tokens', 'sentences')}"
        counted, clock = (len(texts) / min(values) for values in zip(*taken[1:]))
        rows.append(Row(name, counted, ceiling, clock))
    return rows


def encoding_a_file(n: int) -> list[Row]:
    """Sentences a second of ``textvae encode`` of a file of so many, start and writing and all, in bf16."""
    vae, codec = model()
    with tempfile.TemporaryDirectory() as folder:
        corpus, place = Path(folder) / "corpus.txt", Path(folder) / "model"
        vae.save_pretrained(place)
        some = [" ".join(f"w{i - 4}" for i in row[1:-1]) for row in Sentences(min(n, 100_000)).rows]
        with corpus.open("w", encoding="utf-8") as file:
            file.writelines(f"{text}\n" for text in islice(cycle(some), n))
        words = statistics.mean([len(row) for row in codec.encode(some)])
        command = [sys.executable, "-m", "textvae_cli", "encode", str(corpus), "--out", str(Path(folder) / "z.npy")]
        command += ["--model", str(place), "--precision", "bf16", "--device", "cpu"]
        taken = of_command(command, os.environ | {"HF_HOME": folder})
    rate = max(matrix_rate(torch.device("cpu"), torch.bfloat16, BATCH, EMBEDDING + HIDDEN, 4 * HIDDEN) for _ in "abc")
    name = f"textvae encode, {n:,} sentences, bf16, sentences/CPU-s"
    return [Row(name, n / taken.counted, rate / (2 * ENCODER * words), n / taken.clock)]


def of_command(command: list[str], environment: Mapping[str, str]) -> Spent:
    """What a command takes."""
    cpu, clock = sum(os.times()[2:4]), time.perf_counter()  # of children that have ended
    subprocess.run(command, check=True, capture_output=True, env=environment)
    return Spent(sum(os.times()[2:4]) - cpu, time.perf_counter() - clock)


def starting() -> list[Row]:
    """CPU-seconds of a cold command, beside those of ``import torch``; the best of five, in turns."""
    commands = {
        "python -c 'import torch'": [sys.executable, "-c", "import torch"],
        "textvae --help": [sys.executable, "-m", "textvae_cli", "--help"],
        "textvae interpolate": [sys.executable, "-m", "textvae_cli", "interpolate", "I am tired.", "Where is he?"],
        "textvae sample -n 1000": [sys.executable, "-m", "textvae_cli", "sample", "-n", "1000"],
    }
    taken: dict[str, list[Spent]] = {name: [] for name in commands}
    for _ in range(5):
        for name, command in commands.items():
            taken[name].append(of_command(command, os.environ | {"TEXTVAE_MODEL": str(SHIPPED)}))
    best = {name: Spent(*map(min, zip(*values))) for name, values in taken.items()}
    alone, interpolate, sample = (
        best[name] for name in ("python -c 'import torch'", "textvae interpolate", "textvae sample -n 1000")
    )
    return [
        *(Row(f"{name}, CPU-s", spent.counted, None, spent.clock) for name, spent in best.items()),
        Row(
            "textvae interpolate, after torch's import, CPU-s",
            interpolate.counted - alone.counted,
            None,
            interpolate.clock - alone.clock,
        ),
        Row("textvae sample, sentences/CPU-s after torch's import", 1000 / (sample.counted - alone.counted)),
    ]


def quality(corpus: str, epochs: int) -> list[Row]:
    """−ELBO of held-out sentences after the same words of a real corpus, in float32 and in bf16."""
    rows, nll = [], {}
    for precision in ("fp32", "bf16"):
        with tempfile.TemporaryDirectory() as folder:
            run = Path(folder) / "run"
            train = [sys.executable, "-m", "textvae_cli", "train", corpus, "--recipe", "sentences/ptb", "--epochs"]
            train += [str(epochs), "--precision", precision, "--device", "cpu", "--threads", "1", "--out", str(run)]
            taken = of_command(train, os.environ)
            records = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
        nll[precision] = next(record["nll"] for record in reversed(records) if record["kind"] == "valid")
        name = f"textvae train {corpus}, {epochs} epoch(s) in {precision}, CPU-s"
        rows.append(Row(name, taken.counted, None, taken.clock))
    name = f"validation nats a sentence after that, {nll['bf16']:.2f} in bf16 and {nll['fp32']:.2f} in fp32, apart"
    return [*rows, Row(name, abs(nll["bf16"] - nll["fp32"]))]


def processes(steps: int = 40) -> list[Row]:
    """Words of the toy grammar a second, by the clock and by the CPUs, of one and of two gloo processes."""
    rows = []
    for batch, n in product(("128", "256"), (1, 2)):
        with tempfile.TemporaryDirectory() as folder:
            run = Path(folder) / "run"
            launch = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(n), "-m", "textvae_cli"]
            train = ["train", "toy:20000", "--recipe", "sentences/ptb", "--set", "codec.vocab_size=2000"]
            plan = ["--batch-size", batch, "--steps", str(steps), "--device", "cpu", "--threads", "1"]
            subprocess.run([sys.executable, *launch, *train, *plan, "--out", str(run)], check=True, capture_output=True)
            records = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
        for key in ("tokens_per_second", "tokens_per_cpu_second"):
            values = [record[key] for record in records if key in record][1:]  # the first record warms up
            rows.append(Row(f"{n} process(es), batch {batch}, {key.replace('_', ' ')}", statistics.median(values)))
    return rows


def profile(steps: int) -> str:
    """Where the time of a training step on a CPU goes, by operation."""
    vae, codec = model()
    device = torch.device("cpu")
    step = our_step(vae, device, resolve(vae.settings.train.model_copy(update={"device": "cpu"})).precision)
    batches = list(islice(Batches(Sentences(steps * 32), codec.collate, 32).epoch(), steps))
    step(batches[0])
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as seen:
        for batch in batches:
            step(batch)
    return seen.key_averages().table(sort_by="self_cpu_time_total", row_limit=30, max_name_column_width=45)


def machine() -> str:
    """The machine, in words."""
    with open("/proc/cpuinfo", encoding="utf-8") as file:
        name = next((line.split(":")[1].strip() for line in file if line.startswith("model name")), platform.machine())
    gpu = f", {torch.cuda.get_device_name()}" if torch.cuda.is_available() else ", no GPU"
    return f"{name}, {torch.get_num_threads()} thread(s), torch {torch.__version__}{gpu}"


TARGETS = {  # of the project, at the same sizes
    "training, cpu, batch 32, ours, tokens/CPU-s": "6,500",
    "training, cpu, batch 32, ours / textbook loop": "3",
    "training, cuda, batch 32, ours / textbook loop": "10",
    "greedy, cpu, batch 1, tokens/CPU-s": "1,000",
    "greedy, cpu, batch 256, tokens/CPU-s": "18,000",
    "sample, cpu, batch 256, tokens/CPU-s": "15,000",
    "sample, cpu, 256 together / one at a time": "10",
    "beam, cpu, batch 64, tokens/CPU-s": "3,000",
    "greedy 256 / beam 64, cpu, rate": "at most 6",
    "textvae --help, CPU-s": "0.3",
    "textvae interpolate, after torch's import, CPU-s": "1",
}
OTHERS = {  # measured in public implementations, on another machine
    "training, cpu, batch 32, ours, tokens/CPU-s": "2,113",
    "greedy, cpu, batch 1, tokens/CPU-s": "636",
    "greedy, cpu, batch 256, tokens/CPU-s": "5,827",
    "sample, cpu, batch 256, tokens/CPU-s": "1,003",
    "beam, cpu, batch 64, tokens/CPU-s": "148",
}


def cells(row: Row) -> list[str]:
    """What stands in a line of the table."""
    ceiling = "" if row.ceiling is None else number(row.ceiling)
    share = "" if row.ceiling is None else f"{row.measured / row.ceiling:.0%}"
    clock = "" if row.clock is None else number(row.clock)
    return [row.name, number(row.measured), clock, ceiling, share, TARGETS.get(row.name, ""), OTHERS.get(row.name, "")]


def number(value: float) -> str:
    """With two decimals where it is small."""
    return f"{value:,.2f}" if value < 100 else f"{value:,.0f}"


def page(rows: list[Row]) -> str:
    """The results as a Markdown page."""
    lines = ["| " + " | ".join(cells(row)) + " |" for row in rows]
    return "\n".join(
        [
            "# Speed",
            "",
            ABOUT.format(machine=machine(), load=os.getloadavg()[0]),
            "",
            HEADING,
            "|---" * 7 + "|",
            *lines,
            "",
        ]
    )


HEADING = "| | measured | by the clock | ceiling | share | target | best public implementation |"
ABOUT = """\
Written by `make bench` on {machine}, shared with other
work (load {load:.0f} at the end): of the absolute numbers, those at batch 1, where the weights no longer find room in
the cache, suffer most; the shares, and the ratios between loops of one batch, less.

Sentence VAE at embedding 256, LSTM 512, z 32 and 10,000 words, on made-up sentences with the lengths of Penn
Treebank's. CPU-seconds of one thread; on a GPU, where there is one, seconds by the clock. Loops run in turns at the
same sizes and batch: the *textbook loop* (float32, packed sequences, one softmax over all words, shuffled and padded to
the longest sentence), the same on sentences of like length, which leaves out most of the padding, and ours (bf16 where
it is faster, length buckets, a softmax made once for both passes), with the same LSTM and with the ten dilated
convolutions of Yang et al. (2017), whose words cost more.

The *ceiling* is what the machine's matrix products would allow if nothing else took time. In training and encoding:
the rate of a product, measured in the same run and in the precision of the loop, over the FLOP that a word needs
({flop:.0f} MFLOP in training, padding not counted). In generation: the time of a step's two products at that many rows,
in float32, since a text and its log-probability are to be exact; at batch 1 that is the time to read the weights.
`python -m tests.perf.bench --profile` prints where a training step's time goes.

Rows of a whole file and of Penn Treebank are those of `python -m tests.perf.bench --long ptb` (20 minutes): what
`textvae encode` takes from its start to its end, and what a model has learned, after the same words in the same order,
by products in float32 and in bf16.

Public implementations were measured on another machine, beam search one sentence at a time: they say how far, not how
much.""".replace("{flop:.0f}", f"{TRAINING / 1e6:.0f}")


def results(steps: int) -> Iterator[Row]:
    """All there is to measure here."""
    cpu = torch.device("cpu")
    yield from training(cpu, steps)
    yield from training(cpu, max(1, steps // 2), batch=64)
    yield from generation(cpu)
    yield from encoding(cpu)
    if torch.cuda.is_available():
        gpu = torch.device("cuda")
        yield from training(gpu, steps)
        yield from training(gpu, steps, batch=512)
        yield from generation(gpu)
        yield from encoding(gpu)
    yield from starting()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=20, help="training steps in each of the five turns")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--page", type=Path, help="write a Markdown page, too")
    parser.add_argument("--profile", action="store_true", help="print the operations of a training step instead")
    parser.add_argument("--processes", action="store_true", help="measure one and two training processes instead")
    parser.add_argument("--long", metavar="CORPUS", help="encode a million sentences, learn a corpus in two precisions")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    if os.environ.get("OMP_WAIT_POLICY") != "PASSIVE":
        print("OMP_WAIT_POLICY is not PASSIVE: CPU-seconds will count waiting threads.", file=sys.stderr)
    if arguments.profile:
        print(profile(arguments.steps))
        return
    if not torch.cuda.is_available():
        print("There is no GPU here: its rows are left out.", file=sys.stderr)
    rows = processes() if arguments.processes else list(results(arguments.steps))
    if arguments.long:
        rows += encoding_a_file(1_000_000) + quality(arguments.long, epochs=1)
    if arguments.page:
        arguments.page.write_text(page(rows), encoding="utf-8")
    if arguments.json:
        print(json.dumps({"machine": machine(), "rows": [asdict(row) for row in rows]}))
        return
    print(machine())
    for row in rows:
        name, measured, clock, ceiling, share, *_ = cells(row)
        print(f"{name:66s} {measured:>10s} {clock:>10s} {ceiling:>10s} {share:>5s}")


if __name__ == "__main__":
    main()
