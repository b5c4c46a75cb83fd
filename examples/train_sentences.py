"""Train a sentence VAE in Python: python examples/train_sentences.py [FILE [FOLDER [STEPS]]], one sentence a line."""

import sys
from pathlib import Path

from textvae import TextVAE
from textvae.assembly import build_objective, fit_codec
from textvae.batching import Batches
from textvae.devices import resolve
from textvae.recipes import load_recipe
from textvae.run_folder import RunFolder
from textvae.trainer import Trainer
from textvae_corpora import encode_examples

file, folder, steps = (*sys.argv[1:], None, None, None)[:3]
animals, verbs, places = ["cat", "dog", "bird", "horse"], ["sleeps", "waits", "eats"], ["here", "at home", "outside"]
own = [f"the {a} {v} {p}" for a in animals for v in verbs for p in places]
sentences = Path(file).read_text(encoding="utf-8").splitlines() if file else own

settings = load_recipe("sentences/lstm").override(
    {"model.latent_size": 8, "model.encoder.hidden_size": 64, "model.decoder.hidden_size": 64, "codec.vocab_size": 400}
    | {"train.steps": int(steps or 200), "train.batch_size": 8, "objective.rate": 4.0}
)
settings = settings.model_copy(update={"train": resolve(settings.train)})
codec = fit_codec(settings.codec, sentences)
vae = TextVAE.new(settings, codec)
train, valid = (encode_examples(part, codec) for part in (sentences[:-5], sentences[-5:]))
vae.begin(train)
run = RunFolder(folder or "runs/example")

with run.locked():
    run.begin(settings)
    batches = Batches(train, codec.collate, settings.train.batch_size, settings.train.seed)
    checks = Batches(valid, codec.collate, settings.train.batch_size, shuffle=False)
    for record in Trainer(vae, build_objective(settings.objective), batches, checks, run).fit():
        print(record.kind, record.step, record.texts or f"nll {record.values['nll']:.1f}")
