"""Captions of made pictures: trains, measures captions and search in both directions, writes docs/captions.md.

python experiments/captions.py
python experiments/captions.py --page-only          # write the page again, from docs/results/captions
"""

import argparse
import json
import shlex
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from common import cost, flags, textvae
from torch import Tensor

from textvae import TextVAE
from textvae.batching import Batches, ListExamples
from textvae.captioned import Captioned
from textvae.evaluation.bounds import evaluate
from textvae.evaluation.text import captions_come_back
from textvae.latent.said import said_of
from textvae_corpora.shapes import captioned

RESULT, PAGE = Path("docs/results/captions/shapes.json"), Path("docs/captions.md")
SETTINGS = {"train.steps": 6000}
PICTURES, QUERIES = 1_000, 200
PARTIAL = ("red square", "blue circle", "yellow triangle", "white square")  # asked for with "a" before them


def measure(place: Path) -> dict[str, Any]:
    """What the model of a run writes of pictures that it has not seen, and finds among them."""
    vae = TextVAE.from_pretrained(place)
    pictures, said, _ = captioned(PICTURES, seed=1)
    raw = [Captioned(*pair) for pair in zip(pictures, said)]
    codec = vae.codec
    test = Batches(ListExamples(codec.encode(raw)), codec.collate, 100, shuffle=False, targets=codec.targets)
    report = evaluate(vae.model, test, mutual_information=False)
    z = torch.cat([vae.encode(list(pictures[i : i + 100])) for i in range(0, PICTURES, 100)])
    started = time.process_time()
    by_text = torch.stack([said_of(vae, one.captions[0], z, gaps=0) for one in raw[:QUERIES]])
    seconds = time.process_time() - started
    same = np.array([[set(a) == set(b) for b in said] for a in said[:QUERIES]])
    words, known = codec.written, {caption for captions in captioned(10_000)[1] for caption in captions}
    x = words.collate(words.encode([captions[0] for captions in said]))
    with torch.no_grad():
        by_picture = torch.stack([vae.model.log_px(x, one.expand(1, PICTURES, -1))[0] for one in z[:QUERIES]])
    return {
        "command": shlex.join(["textvae", *words_of()]),
        **cost(place),
        "distortion": report.distortion,
        **captions_come_back(vae, raw),
        "known": float(np.mean([captions[0] in known for captions in said])),
        "search_by_text": recall(by_text, np.eye(QUERIES, PICTURES, dtype=bool)),
        "search_by_text_same_caption": recall(by_text, same),
        "search_by_picture": recall(by_picture, np.eye(QUERIES, PICTURES, dtype=bool)),
        "search_by_picture_same_caption": recall(by_picture, same),
        "pictures_scored_per_cpu_second": round(PICTURES * QUERIES / seconds),
        "partial": {f"a {text}": right(said_of(vae, f"a {text}", z), text, said) for text in PARTIAL},
    }


def recall(scores: Tensor, wanted: np.ndarray) -> dict[int, float]:
    """The share of the rows of scores [Q, N] with something that is wanted [Q, N] among the first 1, 10."""
    order = scores.argsort(1, descending=True).numpy()
    return {k: float(np.take_along_axis(wanted, order[:, :k], 1).any(1).mean()) for k in (1, 10)}


def right(scores: Tensor, text: str, said: Sequence[Sequence[str]]) -> tuple[float, float]:
    """The share of the ten first pictures, and of all, that show what a part of a caption names."""
    shows = np.array([any(text in caption for caption in captions) for captions in said])
    return float(shows[scores.topk(10).indices.numpy()].mean()), float(shows.mean())


def words_of() -> list[str]:
    """The words of the command that trains the model."""
    words = ["train", "captioned-shapes", "--recipe", "images/captions", "--seed", "0", "--threads", "1"]
    return [*words, *flags(SETTINGS)]


def page(r: dict[str, Any]) -> str:
    """The page, from what was measured."""
    rows = [
        ("a text finds its picture", r["search_by_text"], r["search_by_text_same_caption"]),
        ("a picture finds its caption", r["search_by_picture"], r["search_by_picture_same_caption"]),
    ]
    text = f"""\
# Pictures to words

A convolutional encoder and a sentence decoder (after Pu et al. 2016), on the pictures of `captioned-shapes`: two
shapes each, and the two captions that say which, of what size and colour, stands where. 9,500 pictures train, one of
the two captions drawn in each step; measured on {PICTURES:,} others. Of their captions {100 * r["known"]:.1f} % are
also those of a picture that was trained on. One seed; trained in {r["cpu_seconds"]:,} CPU-seconds of one thread.
Written by `python experiments/captions.py`.

    {r["command"]}
    textvae reconstruct picture.png
    textvae index pictures/ --out pictures.idx
    textvae search pictures.idx "a small red square left of a large blue circle"

| | |
|---|---|
| −log p(caption \\| code of the picture), nats | {r["distortion"]:.2f} |
| of which which of the two captions it is | 0.69 |
| BLEU of greedy captions, against both | {r["caption_bleu"]:.1f} |
| greedy captions that are one of the two, word for word | {100 * r["exact"]:.1f} % |

Search orders pictures by log p(text | code), captions by the same number: {QUERIES} queries among {PICTURES:,}. Some
pictures have the same two captions, and no text tells them apart: *it* asks for the very picture (or the caption of the
very picture), *alike* for one of which the same is said. {r["pictures_scored_per_cpu_second"]:,} pictures are scored in
a CPU-second.

| | recall@1, it | recall@10, it | recall@1, alike | recall@10, alike |
|---|---|---|---|---|
"""
    for name, it, alike in rows:
        text += f"| {name} | {it['1']:.3f} | {it['10']:.3f} | {alike['1']:.3f} | {alike['10']:.3f} |\n"
    text += "\nOf a text that leaves words out, of which search looks for two, the share of the first ten pictures\n"
    text += "that show it, and of all pictures:\n\n"
    text += "| | | |\n|---|---|---|\n"
    return text + "".join(f"| {part} | {ten:.1f} | {every:.2f} |\n" for part, (ten, every) in r["partial"].items())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("runs/captions"))
    parser.add_argument("--page-only", action="store_true")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    if not arguments.page_only:
        if not (arguments.out / "model" / "config.json").exists():
            textvae(*words_of(), "--out", str(arguments.out), "--device", "cpu")
        RESULT.parent.mkdir(parents=True, exist_ok=True)
        RESULT.write_text(json.dumps(measure(arguments.out), indent=1) + "\n")
    PAGE.write_text(page(json.loads(RESULT.read_text())), encoding="utf-8")


if __name__ == "__main__":
    main()
