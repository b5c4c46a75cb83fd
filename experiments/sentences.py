"""Every method for sentences, beside the published numbers: trains, evaluates, writes docs/sentences.md.

    python experiments/sentences.py ptb                     # every row that has no result yet
    python experiments/sentences.py ptb --rows bn_vae vmf --epochs 12 --device cuda --jobs 4
    python experiments/sentences.py --page-only             # write the page again, from docs/results/sentences

What a row measured is kept as one file in docs/results/sentences/CORPUS; a row without one is printed as not run. A run
that was interrupted is resumed.
"""

import argparse
import json
import shlex
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from common import cost, flags, machine, textvae, train_to_the_end

from textvae.codecs.words import WordCodec
from textvae.evaluation.judge import surprise
from textvae.run_folder import RunFolder
from textvae_corpora import load_corpus, load_examples

RESULTS = Path("docs/results/sentences")
PROCESSORS = {
    "family 25, model 17)": "†",
    "family 25, model 1)": "‖",
    "family 6, model 167)": "§",
}  # of some rows, and their marks
PAGE, FIGURE = Path("docs/sentences.md"), Path("docs/convolutions.png")
CORPORA = {
    "ptb": "Penn Treebank (Mikolov's 10,000 words; `<unk>` is scored as a word)",
    "yelp": "Yelp reviews (our own split, not a published one; 3 epochs: a fifth more steps than 6 of Penn Treebank)",
    "captions": "Flickr30k captions (Multi30k task 2; 2 epochs: about as many steps as 3 of Yelp)",
}
WORDS = {"codec.name": "words", "codec.vocab_size": 10_000, "codec.max_length": 200, "train.patience": 100}
RATE_8 = {"objective.rate": 8.0}
HALF = {"model.decoder.dropout": 0.5}  # as the papers have it, on corpora of this size
LIGHTER, LIGHTEST = {"model.decoder.dropout": 0.3}, {"model.decoder.dropout": 0.2}
STRONG = {"model.decoder.dropout": 0.5, "model.decoder.locked": True, "model.decoder.weight_drop": 0.4}
STRONG |= {"model.decoder.embedding_dropout": 0.1}
ON_BATCH = {"objective.nats": 8.0, "objective.per": "batch"}
WIDE = {"model.decoder.embedding_size": 320, "model.decoder.hidden_size": 1152, "model.decoder.weight_drop": 0.5}
WIDE |= {"train.learning_rate": 1.5e-3}
ON = {"model.likelihood.alone": 0.0, "model.decoder.dropout": 0.2, "model.decoder.weight_drop": 0.0}
ON |= {"train.epochs": 2, "train.learning_rate": 3e-4, "objective.rate": 5.3, "objective.start": 0.7}
BEGUN = {"train.epochs": 4, "train.learning_rate": 1e-3, "objective.start": 0.4}
ALL_UNITS = {"model.posterior.name": "batch_norm", "model.posterior.gamma": 1.0, "model.encoder.dropout": 0.2}
PLAIN = {"model.posterior.name": "diagonal_normal"}
SCALED = {"model.decoder.z_scale": 0.1}
FLOW = {"model.prior.name": "flow", "objective.rate": 7.0}
MIXED = {"codec.ngrams": 5, "model.likelihood.name": "ngram_mixture", "model.likelihood.tied": True}
MIDDLE = {"model.decoder.embedding_size": 320, "model.decoder.hidden_size": 768, "model.decoder.locked": True}
MIDDLE |= {"model.decoder.dropout": 0.4, "model.decoder.weight_drop": 0.25, "model.decoder.embedding_dropout": 0.1}
MIDDLE |= {"train.epochs": 12, "train.learning_rate": 2e-3, "train.weight_decay": 0.03}
MOGRIFIER = {"model.decoder.cell": "mogrifier"}
STRONGER = {"model.decoder.hidden_size": 1024, "model.decoder.dropout": 0.5, "model.decoder.weight_drop": 0.4}
STRONGER |= {"train.epochs": 24, "train.calibrate": True}
SMALL = SCALED | PLAIN | {"model.latent_size": 8, "model.decoder.z_to": "all"}


class Row(NamedTuple):
    """A line of the table: what it is, and the settings that make it; without a recipe, the n-grams of the codec."""

    name: str
    recipe: str
    settings: dict[str, Any]
    begins_with: tuple[str, str] | None = None  # a setting that takes the run of another row


ROWS = {
    "ngrams": Row("Kneser-Ney 5-grams, no network (Chen & Goodman 1999)", "", WORDS),
    "language_model": Row("LSTM language model", "language_model", HALF),
    "language_model_strong": Row("LSTM language model, locked dropout, weight drop", "language_model", STRONG),
    "language_model_ngrams": Row("LSTM language model, words mixed with 5-grams", "language_model", {**HALF, **MIXED}),
    "elbo": Row("VAE, linear annealing", "bn_vae", {**HALF, **PLAIN}),
    "elbo_scaled": Row("VAE, linear annealing, z times 0.1", "bn_vae", {**HALF, **PLAIN, **SCALED}),
    "bowman": Row("logistic annealing, word dropout 0.4 (Bowman 2015)", "bowman", HALF),
    "inputless": Row("inputless decoder (Bowman 2015)", "inputless", HALF),
    "cyclical": Row("cyclical annealing (Fu 2019)", "cyclical", HALF),
    "beta_vae": Row("β = 0.4 (Higgins 2017)", "beta_vae", HALF),
    "free_bits": Row("free bits, 0.25 per dimension (Kingma 2016)", "free_bits", HALF),
    "free_bits_batch": Row("free bits, 8 on the batch mean", "free_bits", {**HALF, **ON_BATCH}),
    "minimum": Row("minimum rate, 8 over 32 units (after Pelsmaeker 2020)", "ptb", {}),
    "target_rate": Row("target rate 8 by a multiplier (after Rezende 2018)", "iaf", {**HALF, **RATE_8, **PLAIN}),
    "bn_vae": Row("batch-normalised mean, γ = 0.6 (Zhu 2020)", "bn_vae", HALF),
    "vmf": Row("von Mises-Fisher, κ = 35 (Xu & Durrett 2018)", "vmf", HALF),
    "iaf": Row("inverse autoregressive flow (Kingma 2016), rate 8", "iaf", {**HALF, **RATE_8}),
    "mixture_prior": Row("mixture prior, rate 8", "mixture_prior", {**HALF, **RATE_8}),
    "vamp": Row("VampPrior (Tomczak & Welling 2018), rate 8", "vamp", {**HALF, **RATE_8}),
    "flow_prior_strong": Row("flow prior, γ 1, rate 7, locked dropout, weight drop", "lstm", STRONG | FLOW | ALL_UNITS),
    "flow_prior": Row("flow prior, rate 7", "lstm", {**HALF, **FLOW}),
    "skip": Row("the same, generative skips (Dieng 2019)", "skip", {**HALF, "objective.rate": 7.0}),
    "ngram_mixture": Row("flow prior, rate 7, words mixed with 5-grams", "lstm", {**HALF, **FLOW, **MIXED}),
    "lagging": Row("lagging encoder (He 2019)", "lagging", HALF),
    "pretrained_autoencoder": Row("AE pre-training + free bits (Li 2019)", "pretrained_autoencoder", HALF),
    "semi_amortised": Row("semi-amortised, first order (after Kim 2018)", "semi_amortised", HALF),
    "iwae": Row("IWAE-5, doubly reparameterised (Burda 2016, Tucker 2019)", "iwae", HALF),
    "wae": Row("WAE-MMD (Tolstikhin 2018)", "wae", HALF),
    "aae": Row("adversarial autoencoder (Makhzani 2015)", "aae", HALF),
    "daae": Row("denoising adversarial autoencoder (Shen 2020)", "daae", HALF),
    "cnn3": Row("dilated convolutions, context 3 (after Yang 2017)", "scnn", {"model.decoder.dilations": [1]}),
    "cnn7": Row("dilated convolutions, context 7", "scnn", {"model.decoder.dilations": [1, 2]}),
    "scnn": Row("dilated convolutions, context 15 (Yang 2017)", "scnn", {}),
    "mcnn": Row("dilated convolutions, context 63", "mcnn", {}),
    "lcnn": Row("dilated convolutions, context 125", "lcnn", {}),
    "vlcnn": Row("dilated convolutions, context 187", "vlcnn", {}),
    "scnn_init": Row("context 15, language model's encoder", "scnn", {}, ("model.encoder_from", "language_model")),
    "lcnn_init": Row("context 125, language model's encoder", "lcnn", {}, ("model.encoder_from", "language_model")),
}  # fmt: skip
LARGE = {
    "small": Row(
        "flow prior, rate 5.6 in z of 8 units times 0.1, with skips",
        "skip",
        HALF | SMALL | {"objective.rate": 5.6},
    ),
    "lighter_language_model": Row("LSTM language model, dropout 0.3", "language_model", LIGHTER),
    "lighter": Row(
        "flow prior, rate 5.6 in z of 8 units times 0.1, with skips, dropout 0.3",
        "skip",
        LIGHTER | SMALL | {"objective.rate": 5.6, "objective.start": 0.3},
    ),
    "lightest_language_model": Row("LSTM language model, dropout 0.2", "language_model", LIGHTEST),
    "lightest": Row(
        "flow prior, rate 5.6 in z of 8 units times 0.1, with skips, dropout 0.2",
        "skip",
        LIGHTEST | SMALL | {"objective.rate": 5.6, "objective.start": 0.3},
    ),
    "awd_language_model": Row(
        "language model, LSTM 1152, locked dropout, weight drop", "language_model", STRONG | WIDE
    ),
    "middle_language_model": Row(
        "language model, LSTM 768, the same, words mixed with 5-grams", "language_model", MIDDLE | MIXED
    ),
    "middle": Row("VAE of that, flow prior, rate 6", "awd", MIDDLE | MIXED),
    "middle_begun": Row(
        "the same, its decoder begun with that language model",
        "awd",
        MIDDLE | MIXED | BEGUN,
        ("model.decoder_from", "middle_language_model"),
    ),
    "middle_on": Row(
        "the VAE, going on with little dropout, by the mixture's own gradient",
        "awd",
        MIDDLE | MIXED | ON,
        ("model.all_from", "middle"),
    ),
    "mogrifier_language_model": Row(
        "language model, Mogrifier 768 (Melis 2020), words mixed with 5-grams",
        "language_model",
        MIDDLE | MIXED | MOGRIFIER,
    ),
    "mogrifier": Row("VAE of that, flow prior, rate 6", "awd", MIDDLE | MIXED | MOGRIFIER),
    "stronger_language_model": Row(
        "language model, Mogrifier 1024, dropped out more, the same, calibrated",
        "language_model",
        MIDDLE | MIXED | MOGRIFIER | STRONGER,
    ),
    "stronger": Row("VAE of that, flow prior, rate 5.5", "mogrifier", {}),
    "small_code": Row(
        "the same, rate 6.5 in z of 8 units times 0.1, with skips",
        "mogrifier",
        SMALL | {"objective.rate": 6.5, "objective.start": 0.3},
    ),
}
CONTEXTS = {"cnn3": 3, "cnn7": 7, "scnn": 15, "mcnn": 63, "lcnn": 125, "vlcnn": 187}
RANDOM = {
    f"{key}_random": ROWS[key]._replace(settings=ROWS[key].settings | {"model.word_vectors": False})
    for key in ["language_model", *CONTEXTS]
}
ALL = {**ROWS, **RANDOM, **LARGE}
TABLES = {"At other architectures": LARGE, "Embeddings begun at random": RANDOM}
PUBLISHED = {
    "ptb": """\
| Bowman 2015, RNNLM / VAE | | 100 / 101 | – / 2 | | | | | | B / A |
| Xu & Durrett 2018, RNNLM / normal | | 100 / 99 | – / 4.4 | | | | | | B |
| annealing, as quoted by Optimus | | 101.28 | 0.00 | 0 | 0 | | | | B |
| cyclical annealing (Fu 2019), as quoted by Optimus | | 102.81 | 1.37 | 1.27 | 5 | | | | B |
| aggressive encoder (He 2019), as quoted by Optimus | | 101.19 | 0.93 | 0.83 | 4 | | | | C |
| AE pre-training + free bits (Li 2019), as quoted by Optimus | | 102.41 | 6.54 | 5.31 | 32 | | | | C |"""
}
ABOUT = """\
# Sentence models, every method at one architecture

Embedding 256, LSTM 512, z 32, the vocabulary of the corpus, batches of 64. Test split; nats per sentence at β = 1. IW
NLL is from K importance samples, ± its Monte Carlo error, by float32 products or where it says so by bf16; *1.3 wide*
is of codes drawn from posteriors so much wider (`evaluate --widen`), which a target rate leaves too narrow: the bound
is tighter for the same K, and the other figures are of the posteriors themselves. MI is over the whole split and
cannot exceed the ln of its size. Cost is training only, in CPU-seconds of one core (an AMD EPYC; † another, which takes
about twice as long for the same; ‖ one without AVX-512, in float32, about four times; § an Intel Xeon with AMX), or
seconds of a GPU where it says so.
Every row is one seed, 0 unless its command says otherwise. Methods that do not pay for the KL of each sentence (WAE,
adversarial) are no models of density: their −ELBO says nothing. Embeddings begin with word vectors that are counted
from the training split in seconds (`textvae/word_vectors.py`), or at random where a row has ‡. Sureness of published
numbers: A seen in a README or page, B recalled and arithmetically consistent, C recalled. Written from
`docs/results/sentences` by `python experiments/sentences.py --page-only`.

The first row is counted in seconds: Kneser-Ney 5-grams, the baseline that tables of text VAEs leave out. *Words mixed
with 5-grams* are g · p(w | words before, z) + (1 − g) · p(w | four words before), the gate g learned on words that
are left out of the counts (recipe `sentences/ngram_mixture`, after Neubig & Dyer 2016): a density like any other,
whose network learns as if alone. *Calibrated*: the softmax has the temperature at which the validation split is most
probable (`train.calibrate`, Guo et al. 2017).

Where these tables have a language model of a VAE's size, regularisation and epochs, the VAE never has fewer nats: in
sentences that stand alone the code costs a little more than it saves, as Bowman et al. found. Part of that is no cost
of a code: a VAE that has collapsed is a language model, and yet has 0.3 to 0.4 nats more. Its decoder hears z as
noise, louder than the words, whose weights Adam does not let shrink to nothing. *z times 0.1*
(`model.decoder.z_scale`) makes the noise quiet, and brings the collapsed VAE to within 0.1 of the language model
that it is. What the code itself costs does not go away with less dropout either: after six epochs of the one
LSTM, a code of 5.3 nats costs 0.27 at dropout 0.5, 0.12 at dropout 0.3, where VAE and language model both have the
fewest nats, and 0.15 at dropout 0.2, where both overfit and are best after the fourth epoch (the rows *dropout 0.3* and
*0.2* below, where λ also begins higher). λ, which ends at 0.7 to 0.8 in all three, says the same: the last nat of such
a code saves less than a nat."""
ABOUT_CONTEXTS = """\
Yang et al.'s finding in shape where embeddings begin at random: the more words the decoder sees, the less it takes
from the code, and perplexity first falls, then rises. Begun with word vectors it takes less, too, down to a context
of 125, and perplexity falls to the last. Their texts have 100 words and more, these sentences 22: from a context of
63 on, what grows is the depth alone, and contexts of 3 and 7 words were added. In the tables of Yelp and captions
below, begun with word vectors, KL falls with every context, and perplexity down to the last but one (0.04 and 0.02
nats: flat, rather than a rise). An encoder begun with a language model's makes the code say more in all three, here
at 0.4 nats fewer, there at as many to within 0.1."""
HEADING = "| model | −ELBO | IW NLL | KL | MI | active | epochs | K | cost | sureness |"


def run(corpus: str, key: str, arguments: argparse.Namespace) -> None:
    """Train what is not trained, evaluate it, and keep what was measured."""
    row, place = ALL[key], arguments.out / corpus / key
    if not row.recipe:
        keep(corpus, key, {"command": f"python experiments/sentences.py {corpus} --rows {key}", **count(corpus)})
        return
    settings = ({} if row.recipe in ("ptb", "awd", "mogrifier") else WORDS) | row.settings
    if row.begins_with:
        option, other = row.begins_with
        if not ((RESULTS / corpus / f"{other}.json").exists() and (arguments.out / corpus / other).exists()):
            run(corpus, other, arguments)
        settings |= {option: str(arguments.out / corpus / other)}
    words = ["train", corpus, "--recipe", f"sentences/{row.recipe}", "--seed", str(arguments.seed)]
    words += ["--epochs", str(arguments.epochs)] if arguments.epochs else []
    words += flags(settings)
    train_to_the_end(place, words, arguments.device)
    measure = ["evaluate", f"{corpus}/test", "--model", str(place), "--iw-samples", str(arguments.iw_samples), "--json"]
    measure += ["--widen", str(arguments.widen)]
    report = json.loads(textvae(*measure, "--device", arguments.device, "--precision", "auto"))
    report.pop("model")
    begins = {"word_vectors": RunFolder(place).settings().model.word_vectors}
    keep(corpus, key, {"command": shlex.join(["textvae", *words]), **cost(place), **begins, **report})


def count(corpus: str) -> dict[str, Any]:
    """What 5-grams alone give to the test split, in the fields of ``textvae evaluate --json``."""
    began, loaded = time.process_time(), load_corpus(corpus)
    codec = WordCodec.fit(loaded.train, WORDS["codec.vocab_size"], WORDS["codec.max_length"], ngrams=5)
    seconds = time.process_time() - began
    assert codec.ngrams is not None
    test = load_examples(f"{corpus}/test")[0]
    nats, tokens = surprise(codec.ngrams, codec, test)
    nll, same = nats / len(test), {"seed": 0, "epochs": 1, "device": "cpu", "machine": machine(), "latent_size": 0}
    bounds = {"nll": nll, "nll_iw": nll, "nll_iw_stderr": 0.0, "iw_samples": 1}
    return same | bounds | {"cpu_seconds": round(seconds), "tokens": tokens, "sentences": len(test)}


def keep(corpus: str, key: str, result: dict[str, Any]) -> None:
    """Write down what a row measured."""
    file = RESULTS / corpus / f"{key}.json"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(result, indent=1) + "\n")
    print(f"{corpus} {key}: {result['nll_iw']:.2f}", flush=True)


def line(corpus: str, key: str, row: Row) -> str:
    """A row of the table."""
    file = RESULTS / corpus / f"{key}.json"
    if not file.exists():
        return f"| {row.name} | not run | | | | | | | | |"
    r = json.loads(file.read_text())
    core = next((mark for name, mark in PROCESSORS.items() if name in r["machine"]), "")
    spent = f"{r['cpu_seconds']:,} CPU-s{core}" if r["device"] == "cpu" else f"{r['seconds']:,} s, GPU"
    how = ", bf16" if r.get("evaluation_precision") == "bf16" else ""
    how += f", {r['widen']:g} wide" if r["latent_size"] and r.get("widen", 1.0) != 1.0 else ""
    drawn = "" if r.get("word_vectors") or not row.recipe else "‡"
    code = f"{r['rate']:.2f} | {r['mi']:.2f} | {r['active_units']}" if r["latent_size"] else "– | – | –"
    return (
        f"| **{row.name}**{drawn} | {r['nll']:.2f} | **{r['nll_iw']:.2f}** ± {r['nll_iw_stderr']:.2f} | {code} | "
        f"{r['epochs']} | {r['iw_samples']}{how} | {spent} | measured |"
    )


def command(result: dict[str, Any]) -> str:
    """What makes the row today: those that were run before there were word vectors are to be told to do without."""
    words: str = result["command"]
    asked = "word_vectors" in result or not words.startswith("textvae train")
    return words if asked else f"{words} --set=model.word_vectors=false"


def page() -> str:
    """The page, from what was measured."""
    text = [ABOUT, ""]
    for corpus, about in CORPORA.items():
        files = sorted((RESULTS / corpus).glob("*.json"))
        text += [f"## {corpus}", "", f"{about}.", ""]
        if not files:
            text += ["Not run: none of the rows.", ""]
            continue
        results = [json.loads(file.read_text()) for file in files]
        counted = f"{results[0]['sentences']:,} sentences, {results[0]['tokens']:,} tokens"
        text += [f"{counted} with the end symbols.", ""]
        text += [HEADING, "|---" * 10 + "|"]
        text += [line(corpus, key, row) for key, row in ROWS.items()]
        text += [PUBLISHED[corpus]] if corpus in PUBLISHED else []
        for title, rows in TABLES.items():
            if any(file.stem in rows for file in files):
                text += ["", f"{title}:", "", HEADING, "|---" * 10 + "|"]
                text += [line(corpus, key, row) for key, row in rows.items()]
        text += [""]
        if corpus == "ptb" and draw_contexts(corpus):
            text += [f"![KL and perplexity by the context of the convolutions]({FIGURE.name})", "", ABOUT_CONTEXTS, ""]
        text += ["Commands:", ""] + [f"    {command(r)}  # {f.stem}" for f, r in zip(files, results)] + [""]
        text += [f"{file.stem}: {r['note']}\n" for file, r in zip(files, results) if "note" in r]
    return "\n".join(text)


def draw_contexts(corpus: str) -> bool:
    """KL and perplexity over the decoder's context (Yang et al. 2017, fig. 3), once all sizes were run."""
    begun = {"word vectors": "", "random numbers": "_random"}
    files = {how: [RESULTS / corpus / f"{key}{ending}.json" for key in CONTEXTS] for how, ending in begun.items()}
    if not all(file.exists() for group in files.values() for file in group):
        return False
    import matplotlib.pyplot as plt

    figure, panels = plt.subplots(1, 2, figsize=(8, 3.2), layout="constrained")
    for panel, field, label in zip(panels, ("rate", "perplexity_iw"), ("KL in nats", "perplexity (IW)")):
        for how, style in zip(files, ("o-", "s--")):
            found = [json.loads(file.read_text())[field] for file in files[how]]
            panel.plot(list(CONTEXTS.values()), found, style, label=how)
        panel.set_xscale("log", base=2)
        panel.set_xticks(list(CONTEXTS.values()), list(map(str, CONTEXTS.values())), fontsize=8)
        panel.set(xlabel="words that the decoder sees", ylabel=label)
    panels[0].legend(title="embeddings begin with", frameon=False)
    figure.savefig(FIGURE, dpi=120)
    return True


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("corpora", nargs="*", metavar="CORPUS", help=", ".join(CORPORA))
    parser.add_argument("--rows", nargs="+", choices=ALL, metavar="ROW")
    parser.add_argument("--epochs", type=int, help="default: those of the recipe")
    parser.add_argument("--iw-samples", type=int, default=100)
    parser.add_argument("--widen", type=float, default=1.0, help="codes of the IW bound, drawn so much wider")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--jobs", type=int, default=1, help="rows at a time")
    parser.add_argument("--out", type=Path, default=Path("runs/sentences"))
    parser.add_argument("--page-only", action="store_true")
    arguments = parser.parse_args()
    if unknown := set(arguments.corpora) - set(CORPORA):  # argparse's choices refuse an empty list
        parser.error(f"no such corpus: {', '.join(unknown)}; known: {', '.join(CORPORA)}")
    for corpus in [] if arguments.page_only else arguments.corpora:
        asked = arguments.rows or [key for key in ROWS if not (RESULTS / corpus / f"{key}.json").exists()]
        with ThreadPoolExecutor(arguments.jobs) as pool:
            list(pool.map(partial(run, corpus, arguments=arguments), asked))
    PAGE.write_text(page(), encoding="utf-8")


if __name__ == "__main__":
    main()
