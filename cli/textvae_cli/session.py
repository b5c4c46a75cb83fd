"""A training session: a corpus read, a codec fitted or found, and a trainer made of them."""

import json
import math
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from textvae.assembly import build_objective, fit_codec, load_codec
from textvae.batching import Batches, Examples, Repeated
from textvae.codecs import Codec
from textvae.errors import RequestError
from textvae.evaluation.temperature import need_temperature
from textvae.files import new_folder, write_whole
from textvae.run_folder import RunFolder
from textvae.settings import CorpusSettings, ModelSettings, Settings
from textvae.text_vae import TextVAE
from textvae.trainer import Trainer
from textvae_corpora import Corpus, encode_examples, load_corpus
from textvae_corpora.captions import pairs

VALID_BATCH = 64
CODEC, FACTS = "codec", "facts.json"
CAPTIONS = "captions"
PICTURES = ("pixels", CAPTIONS, "codes")  # codecs that read them


@dataclass(frozen=True)
class Session:
    """All that a trainer needs, before there is a run folder."""

    settings: Settings
    corpus: Corpus
    vae: TextVAE
    train: Batches
    valid: Batches

    def trainer(self, run: RunFolder) -> Trainer:
        """The trainer of this session, which writes into ``run``."""
        objective = build_objective(self.settings.objective)
        return Trainer(self.vae, objective, self.train, self.valid, run, data=self.corpus.fingerprint)

    def facts(self, words: list[str]) -> dict[str, Any]:
        """What the model card tells of where the model comes from; ``words`` are those of the command line."""
        import shlex

        unit = "documents" if self.settings.codec.name == "bag_of_words" else "sentences"
        unit = "pictures" if self.corpus.kind == "image" else unit
        facts = {"corpus": self.corpus.name, "command": shlex.join(["textvae", *words]), unit: len(self.corpus.train)}
        return facts | ({"labels": list(self.corpus.labels)} if self.corpus.labels else {})


def read_corpus(settings: CorpusSettings) -> Corpus:
    """The corpus of those settings. The same examples are held out whatever the seed of a run."""
    if not settings.source:
        raise RequestError("Say what to train on: textvae train FILE, a text file with a sentence a line.")
    return load_corpus(
        settings.source,
        valid=settings.valid,
        text_column=settings.text_column,
        label_column=settings.label_column,
        encoding=settings.encoding,
        limit=settings.limit,
        size=(settings.size, settings.size) if settings.size else None,
    )


def prepare(settings: Settings, corpus: Corpus, saved: Path | None, say: Callable[[str], None]) -> Session:
    """Fit the codec, or read the ``saved`` one of a run; encode the corpus; build the untrained model."""
    pictures = settings.codec.name in PICTURES
    if pictures != (corpus.kind == "image"):
        reads, holds, fit = ("pictures", "text", "sentences/lstm") if pictures else ("text", "pictures", "images/vae")
        raise RequestError(f"{corpus.name} holds {holds}, and the recipe reads {reads}: --recipe {fit}.")
    raw, labels, held, held_labels = corpus.train, corpus.train_labels, corpus.valid, corpus.valid_labels
    if settings.codec.name == CAPTIONS:
        raw, labels = pairs(corpus.name, raw, corpus.train_captions, labels)
        held, held_labels = pairs(f"What {corpus.name} is validated on", held, corpus.valid_captions, held_labels)
    if saved is not None and saved.is_dir():
        codec = load_codec(settings.codec, saved)
    else:
        codec = fit_codec(settings.codec, raw, corpus.vocabulary)
        _tell_vocabulary(settings, codec, say)
    settings.model = with_classes(settings.model, corpus)
    # A run that has a checkpoint gets its weights from there, and needs no other model any more.
    resumed = saved is not None and any((saved.parent / "checkpoints").glob("step-*"))
    vae = TextVAE.new(settings, codec, begin=not resumed)
    for line in vae.facts.get("begun_with", []):
        say(line)
    if settings.train.calibrate:
        need_temperature(vae)
    build_objective(settings.objective).attach(vae.model)  # what is wrong is told before the corpus is encoded
    if labels is not None and settings.corpus.labelled is not None:
        labels = keep_labels(labels, settings.corpus.labelled, settings.train.seed)
    train: Examples = encode_examples(raw, codec, labels=labels)
    if not resumed:
        vae.begin(train)
    if labels is not None and settings.corpus.labelled_share is not None:
        train = Repeated(train, repeat_labelled(labels, settings.corpus.labelled_share))
    valid = encode_examples(held, codec, labels=held_labels)
    plan, collate, targets = settings.train, codec.collate, codec.targets
    batches = Batches(
        train,
        collate,
        plan.batch_size,
        plan.seed,
        max_tokens=plan.max_tokens,
        by_length=codec.pads,
        targets=targets,
    )
    checks = Batches(valid, collate, VALID_BATCH, shuffle=False, targets=targets)
    return Session(settings, corpus, vae, batches, checks)


def with_classes(model: ModelSettings, corpus: Corpus) -> ModelSettings:
    """The settings of a model with the names of the corpus's classes, where it uses labels."""
    if model.labels == "ignore":
        return model
    if not corpus.labels:
        raise RequestError(
            f"{corpus.name} has no labels, and model.labels is {model.labels!r}: give lines of label<TAB>text, name "
            "the column with --label-column, or take --set model.labels=ignore."
        )
    if model.classes and model.classes != list(corpus.labels):
        raise RequestError(f"{corpus.name} has other classes than the run was begun with: restore it.")
    return model.model_copy(update={"classes": list(corpus.labels)})


def keep_labels(labels: np.ndarray, n: int, seed: int) -> np.ndarray:
    """The labels [N] with all but ``n`` made −1: as many kept of each class, chosen by ``seed``."""
    kept = np.full_like(labels, -1)
    order = np.random.default_rng(seed).permutation(len(labels))
    classes = np.unique(labels[labels >= 0])
    for i, one in enumerate(classes):
        share = n // len(classes) + (i < n % len(classes))
        rows = order[labels[order] == one][:share]
        kept[rows] = one
    return kept


def repeat_labelled(labels: np.ndarray, share: float) -> np.ndarray:
    """Rows of an epoch in which the labelled ones of labels [N], −1 for none, come up for a ``share`` of it at least.

    Few labels among many examples would else be met too seldom to matter (Kingma et al. 2014 draw both separately).
    """
    labelled, others = np.flatnonzero(labels >= 0), np.flatnonzero(labels < 0)
    times = math.ceil(share / (1 - share) * len(others) / max(1, len(labelled)))
    return np.concatenate([others, np.repeat(labelled, max(1, times))])


def check_place(out: Path) -> None:
    """RequestError if no run can be begun at ``out``: told before the corpus is read."""
    if (out / "config.toml").exists():
        raise RequestError(f"There is a run in {out} already. Add --resume to go on with it, or take another --out.")
    parent = next(path for path in (out, *out.absolute().parents) if path.exists())
    if not parent.is_dir():
        raise RequestError(f"{out} cannot be a run folder: {parent} is a file. Take another --out.")
    if not os.access(parent, os.W_OK):
        raise RequestError(f"{out} cannot be a run folder: {parent} may not be written. Take another --out.")


@contextmanager
def begun(out: Path, session: Session, words: list[str]) -> Iterator[RunFolder]:
    """A new run, held: its codec and facts are on disk before its settings say that there is a run."""
    run = RunFolder(out)
    with run.locked():
        check_place(out)
        with new_folder(out / CODEC) as folder:
            session.vae.codec.save(folder)
        session.vae.facts |= session.facts(words)
        write_whole(out / FACTS, json.dumps(session.vae.facts, ensure_ascii=False, indent=2).encode())
        run.begin(session.settings)
        yield run


def restore_facts(run: RunFolder, session: Session) -> None:
    """The facts that the run was begun with."""
    try:
        session.vae.facts |= json.loads((run.path / FACTS).read_bytes())
    except (OSError, ValueError, TypeError):
        session.vae.facts |= session.facts(["train", session.settings.corpus.source])


def _tell_vocabulary(settings: Settings, codec: Codec, say: Callable[[str], None]) -> None:
    asked, got = settings.codec.options.get("vocab_size"), codec.dims.get("vocab_size")
    if settings.codec.name == "sentencepiece" and asked and got and got < 0.95 * asked:
        say(f"the corpus supports a vocabulary of {got:,} tokens; the recipe asks for {asked:,}")
