"""Every method for documents, beside the published numbers: trains, evaluates, writes docs/documents.md.

    python experiments/documents.py newsgroups20-nvdm                  # what has no result yet, 5 seeds of each row
    python experiments/documents.py reuters-r8 --rows prodlda lsa --seeds 0
    python experiments/documents.py --page-only                        # write the page again, from docs/results

What a run measured is kept as docs/results/documents/CORPUS/ROW-SEED.json; a row without one is printed as not run.
To add a row, add it to ROWS (a recipe and settings over it) or to BASELINES (a function of the counts).
"""

import argparse
import hashlib
import json
import resource
import shlex
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from common import flags, machine, quantising_rotation, textvae
from scipy.sparse import csr_matrix

from textvae.assembly import fit_codec
from textvae.batching import Batches, ListExamples
from textvae.evaluation.documents import COHERENT, DIVERSE, codes, diversity, first_words, npmi, unigram_perplexity
from textvae.evaluation.retrieval import retrieval
from textvae.settings import Part
from textvae.text_vae import TextVAE
from textvae_cli.session import keep_labels
from textvae_corpora import load_corpus, load_split, load_training
from textvae_corpora.labels import renumber

RESULTS, PAGE = Path("docs/results/documents"), Path("docs/documents.md")
SEEDS = range(5)
LABELLED = 200  # documents, where few have labels
STEPS, SAMPLES = 100, 100  # of refined posteriors, and of the bound from them


class Corpus(NamedTuple):
    """A name that textvae knows, and what the page says of it."""

    about: str
    vocab_size: int = 2000


CORPORA = {
    "newsgroups20-nvdm": Corpus("20 Newsgroups as Miao et al. (2016) publish their counts, `nvdm_bow`"),
    "newsgroups20": Corpus("20 Newsgroups by date, all terms; the 2,000 words of the most documents, stop words apart"),
    "reuters-r8": Corpus("Reuters-21578, R8; 2,000 words likewise"),
    "reuters-r52": Corpus("Reuters-21578, R52; 2,000 words likewise"),
}


class Row(NamedTuple):
    """A line of the table: what it is, and the recipe and settings that make it."""

    name: str
    recipe: str
    settings: dict[str, Any] = {}  # noqa: RUF012
    refined: bool = False  # whether its posterior can be, and its perplexity is what it is for
    cut: bool = False  # real-valued codes, cut at the medians of the training documents' to make bits


DEEP = "2000-500-250-125"
ROWS = {
    "nvdm": Row("NVDM, 50 units (Miao 2016)", "nvdm", refined=True),
    "vae": Row("multinomial VAE, 50 units, flow prior", "vae", refined=True),
    "prodlda": Row("ProdLDA, 50 topics (Srivastava & Sutton 2017)", "prodlda"),
    "semi-supervised": Row(
        f"VAE with a label head, {LABELLED} labels (Kingma 2014)", "semi_supervised", {"corpus.labelled": LABELLED}
    ),
    "nvlda": Row("NVLDA, 50 topics (Srivastava & Sutton 2017)", "nvlda"),
    "autoencoder-10": Row(f"autoencoder {DEEP}-10, RBMs first (Hinton & Salakhutdinov 2006)", "autoencoder"),
    "autoencoder-10-probabilities": Row(
        "the same, word probabilities in", "autoencoder", {"model.encoder.transform": "probabilities"}
    ),
    "autoencoder-10-denoising": Row(
        "the same, denoising layers first", "autoencoder", {"objective.method": "denoising"}
    ),
    "autoencoder-2": Row("the same, 2 dimensions", "autoencoder", {"model.latent_size": 2}),
    "autoencoder-128": Row("the same, 128 dimensions", "autoencoder", {"model.latent_size": 128}),
    "autoencoder-10-random": Row(
        "the same, 10 dimensions, from random weights", "autoencoder", {"objective.share": 0.0}
    ),
    "spherical-10": Row("denoising autoencoder on the sphere, 10 dimensions", "spherical"),
    "spherical-128": Row("the same on the sphere, 128 dimensions", "spherical", {"model.latent_size": 128}),
    "hashing-32": Row("semantic hashing, 32 bits", "semantic_hashing", {"model.latent_size": 32}),
    "hashing-64": Row("semantic hashing, 64 bits", "semantic_hashing", {"model.latent_size": 64}),
    "hashing-128": Row("semantic hashing, 128 bits", "semantic_hashing"),
    "nash-32": Row("NASH, 32 bits (Shen 2018)", "nash", {"model.latent_size": 32}),
    "nash-128": Row("NASH, 128 bits (Shen 2018)", "nash"),
    "vdsh-32": Row("VDSH, 32 bits (Chaidaroon & Fang 2017)", "vdsh", {"model.latent_size": 32}, cut=True),
    "vdsh-128": Row("VDSH, 128 bits (Chaidaroon & Fang 2017)", "vdsh", cut=True),
}


class Counts(NamedTuple):
    """A split as counts [N, V], with labels [N]."""

    counts: csr_matrix
    labels: np.ndarray
    bags: list[np.ndarray]


class Fitted(NamedTuple):
    """What a baseline made: codes of the training and the test documents, and topics or a perplexity if it has them."""

    train: np.ndarray | None = None
    test: np.ndarray | None = None
    topics: np.ndarray | None = None  # [K, V]
    perplexity: float | None = None
    distance: str = "cosine"
    accuracy: float | None = None  # of the labels of the test documents


class Baseline(NamedTuple):
    """A line of the table that is no textvae model."""

    name: str
    fit: Callable[[Counts, Counts, int], Fitted]
    random: bool = False  # whether its seed matters


def unigram(train: Counts, test: Counts, seed: int) -> Fitted:
    size = train.counts.shape[1]
    return Fitted(perplexity=unigram_perplexity(ListExamples(train.bags), ListExamples(test.bags), size))


def lda(train: Counts, test: Counts, seed: int) -> Fitted:
    from sklearn.decomposition import LatentDirichletAllocation

    model = LatentDirichletAllocation(50, learning_method="online", max_iter=10, random_state=seed)
    shares = model.fit_transform(train.counts)
    # Its own perplexity charges the test documents for what the topics cost against their prior, which are trained.
    bound = model.score(test.counts) - _topics_bound(model.components_, model.topic_word_prior_)
    perplexity = float(np.exp(-bound / test.counts.sum()))
    return Fitted(shares, model.transform(test.counts), model.components_, perplexity)


def _topics_bound(shape: np.ndarray, prior: float) -> float:
    """E[log p(β) − log q(β)] of topics β with q(β) Dirichlet of ``shape`` [K, V] (Hoffman et al. 2010, eq. 4)."""
    from scipy.special import gammaln, psi

    total = shape.sum(1, keepdims=True)
    cross = ((prior - shape) * (psi(shape) - psi(total)) + gammaln(shape) - gammaln(prior)).sum()
    return float(cross + (gammaln(shape.shape[1] * prior) - gammaln(total)).sum())


def nmf(train: Counts, test: Counts, seed: int) -> Fitted:
    from sklearn.decomposition import NMF
    from sklearn.feature_extraction.text import TfidfTransformer

    weights = TfidfTransformer(sublinear_tf=True).fit(train.counts)
    model = NMF(50, init="nndsvd", max_iter=500)
    codes = model.fit_transform(weights.transform(train.counts))
    return Fitted(codes, model.transform(weights.transform(test.counts)), model.components_)


def lsa(size: int, weighting: str = "tf-idf") -> Callable[[Counts, Counts, int], Fitted]:
    """Latent semantic analysis in ``size`` dimensions, of counts, of log(1 + n) or of tf-idf."""

    def fit(train: Counts, test: Counts, seed: int) -> Fitted:
        from sklearn.decomposition import TruncatedSVD
        from sklearn.feature_extraction.text import TfidfTransformer

        weights = TfidfTransformer(sublinear_tf=True).fit(train.counts)
        weigh = {"counts": lambda x: x, "log": lambda x: x.log1p(), "tf-idf": weights.transform}[weighting]
        model = TruncatedSVD(size, random_state=seed)
        codes = model.fit_transform(weigh(train.counts))
        return Fitted(codes, model.transform(weigh(test.counts)))

    return fit


def itq(size: int) -> Callable[[Counts, Counts, int], Fitted]:
    """Iterative quantisation of LSA (Gong & Lazebnik 2011)."""

    def fit(train: Counts, test: Counts, seed: int) -> Fitted:
        reduced = lsa(size)(train, test, seed)
        assert reduced.train is not None
        assert reduced.test is not None
        centre = reduced.train.mean(0)
        codes = reduced.train - centre
        rotation = quantising_rotation(codes, seed)
        stored, asked = ((x @ rotation > 0).astype(np.float32) for x in (codes, reduced.test - centre))
        return Fitted(stored, asked, distance="hamming")

    return fit


def few_labels(train: Counts, test: Counts, seed: int) -> Fitted:
    """Logistic regression on the tf-idf of the documents that keep their label."""
    from sklearn.feature_extraction.text import TfidfTransformer
    from sklearn.linear_model import LogisticRegression

    weights = TfidfTransformer(sublinear_tf=True).fit(train.counts)
    known = keep_labels(train.labels, LABELLED, seed) >= 0
    model = LogisticRegression(C=10.0, max_iter=1000)
    model.fit(weights.transform(train.counts[known]), train.labels[known])
    return Fitted(accuracy=float(model.score(weights.transform(test.counts), test.labels)))


BASELINES = {
    "labels-200": Baseline(f"logistic regression of tf-idf, {LABELLED} labels", few_labels, random=True),
    "unigram": Baseline("unigram, smoothed", unigram),
    "lda": Baseline("LDA, 50 topics, 10 online passes (scikit-learn)", lda, random=True),
    "nmf": Baseline("NMF of tf-idf, 50 topics (scikit-learn)", nmf),
    "lsa-10": Baseline("LSA of tf-idf, 10 dimensions", lsa(10)),
    "lsa-50": Baseline("LSA of tf-idf, 50 dimensions", lsa(50)),
    "lsa-128": Baseline("LSA of tf-idf, 128 dimensions", lsa(128)),
    "lsa-log-10": Baseline("LSA of log(1 + n), 10 dimensions", lsa(10, "log")),
    "lsa-log-128": Baseline("LSA of log(1 + n), 128 dimensions", lsa(128, "log")),
    "lsa-counts-10": Baseline("LSA of counts, 10 dimensions", lsa(10, "counts")),
    "lsa-counts-128": Baseline("LSA of counts, 128 dimensions", lsa(128, "counts")),
    "itq-32": Baseline("LSA of tf-idf + ITQ, 32 bits (Gong & Lazebnik 2011)", itq(32), random=True),
    "itq-64": Baseline("LSA of tf-idf + ITQ, 64 bits", itq(64), random=True),
    "itq-128": Baseline("LSA of tf-idf + ITQ, 128 bits", itq(128), random=True),
}
PUBLISHED = {
    "newsgroups20-nvdm": """\
| NVDM, 50 units, published (Miao 2016), sureness B | 836 | | | | | | | | | | | | | | |
| NVDM, an independent log, on another version of 20NG, sureness A | 714 | | | 770 | | | | | | | | | | | |
| ProdLDA, 50 topics (TopMost, 200 epochs), these files | 1132 | | | | | | | | .472 | .442 | .397 | .288 | | 129 | |"""
}
COLUMNS = {
    "perplexity": ("perplexity", "{:.0f}"),
    "refined": ("perplexity_refined", "{:.0f}"),
    "and IW": ("perplexity_refined_iw", "{:.0f}"),
    "per document": ("perplexity_document", "{:.0f}"),
    "KL": ("rate", "{:.1f}"),
    "active": ("active_units", "{:.0f}"),
    "NPMI": ("npmi", "{:.3f}"),
    "diversity": ("topic_diversity", "{:.2f}"),
    "P@1": ("precision_at_1", "{:.3f}"),
    "P@10": ("precision_at_10", "{:.3f}"),
    "P@100": ("precision_at_100", "{:.3f}"),
    "mAP": ("map", "{:.3f}"),
    "accuracy": ("accuracy", "{:.3f}"),
    "CPU-s": ("cpu_seconds", "{:.0f}"),
}
ABOUT = """\
# Documents: topics, perplexity and retrieval

Trained on the training documents, of which textvae holds out a twentieth to stop at the best, and measured on the
test documents. Perplexity is exp(Σ −ELBO / Σ words) from one code per document, *per document* exp of the mean of
each document's nats per word. *Refined* is that of −ELBO after 100 gradient steps on the posterior of each test
document (`evaluate --refine 100`), *and IW* of the importance-weighted bound from 100 codes of those posteriors. NPMI
is of the topics' ten first words, counted in the test documents (pairs that never meet have −1); diversity is the
share of different words among their first 25. Words are ranked by relevance (λ = 0.6, Sievert & Shirley 2014), those
of LDA and NMF by weight. Precision and mean average precision: the test documents are queries against all training
documents, a hit has the same label, by the cosine of posterior means (of the topics' shares, for LDA and NMF) or by
the Hamming distance of bits. CPU-seconds are those of the whole training command, or of fitting and measuring the
codes of a baseline, on one thread of a shared machine. Means over seeds, ± their standard deviation. Sureness of
published numbers: A seen in a README or page, B recalled and arithmetically consistent. Recipes were chosen on
held-out training documents, never on the test documents. Written by `python experiments/documents.py --page-only`
from `docs/results/documents`."""


def run_row(corpus: str, key: str, seed: int, out: Path) -> dict[str, Any]:
    """Train and evaluate a model; its figures, with the CPU-seconds of the whole training command."""
    row, place = ROWS[key], out / corpus / f"{key}-{seed}"
    words = ["train", corpus, "--recipe", f"documents/{row.recipe}", "--seed", str(seed), "--threads", "1"]
    words += flags(row.settings)
    cost = place / "cpu_seconds"
    if not cost.exists():  # else it was trained before, and is only measured
        before = _spent()
        textvae(*words, "--device", "cpu", "--out", str(place), "--json")
        cost.write_text(str(_spent() - before))
    spent = float(cost.read_text())
    found = json.loads(textvae("evaluate", f"{corpus}/test", "--model", str(place), "--json"))
    del found["model"]
    if row.refined:
        tight = ("--refine", str(STEPS), "--iw-samples", str(SAMPLES))
        closer = json.loads(textvae("evaluate", f"{corpus}/test", "--model", str(place), *tight, "--json"))
        found |= {"perplexity_refined": closer["perplexity"], "perplexity_refined_iw": closer["perplexity_iw"]}
    if row.cut:
        found |= _cut(corpus, place)
    return {"command": shlex.join(["textvae", *words]), "cpu_seconds": spent, **found, **_topics(place)}


def _cut(corpus: str, place: Path) -> dict[str, float]:
    """Retrieval by bits: what is over the median of the training documents' codes, in each dimension."""
    train, test, _ = counts_of(corpus)
    vae = TextVAE.from_pretrained(place)
    stored, asked = (
        codes(vae.model, Batches(ListExamples(split.bags), vae.codec.collate, 512, shuffle=False))
        for split in (train, test)
    )
    at = stored.median(0).values
    return _found((asked > at).float(), test, (stored > at).float(), train, "hamming")


def _found(asked: torch.Tensor, test: Counts, stored: torch.Tensor, train: Counts, distance: str) -> dict[str, float]:
    """The figures of retrieval."""
    sought, known = (torch.from_numpy(np.ascontiguousarray(split.labels)) for split in (test, train))
    result = retrieval(asked, sought, stored, known, distance)
    return {f"precision_at_{k}": share for k, share in result.precision.items()} | {"map": result.map}


def _topics(place: Path) -> dict[str, Any]:
    """Ten words of each topic, and a hash of all weights to compare runs by; nothing of a model that has none."""
    done = subprocess.run(
        [sys.executable, "-m", "textvae_cli", "topics", "--model", str(place), "--json"],
        capture_output=True,
        check=False,
    )
    if done.returncode:
        return {}
    topics = json.loads(done.stdout)["topics"]
    digest = hashlib.sha256(json.dumps(topics).encode()).hexdigest()
    return {"topics": [" ".join(one["word"] for one in topic["words"]) for topic in topics], "topics_sha256": digest}


def run_baseline(corpus: str, key: str, seed: int) -> dict[str, Any]:
    """Fit a baseline on the training documents and measure it on the test documents, as textvae evaluate does."""
    train, test, words = counts_of(corpus)
    begin = time.process_time()
    fitted = BASELINES[key].fit(train, test, seed)
    found: dict[str, Any] = {"command": _again(corpus, key, [seed]), "cpu_seconds": time.process_time() - begin}
    found |= {"sentences": test.counts.shape[0], "tokens": int(test.counts.sum())}
    if fitted.accuracy is not None:
        found["accuracy"] = fitted.accuracy
    if fitted.perplexity is not None:
        found["perplexity"] = fitted.perplexity
    if fitted.train is not None and fitted.test is not None:
        asked, stored = (torch.from_numpy(np.ascontiguousarray(x)) for x in (fitted.test, fitted.train))
        found |= _found(asked, test, stored, train, fitted.distance)
    if fitted.topics is not None:
        topics = torch.from_numpy(fitted.topics)
        first = first_words(topics, COHERENT)
        found["npmi"] = npmi(first, test.bags)
        found["topic_diversity"] = diversity(first_words(topics, DIVERSE))
        found["topics"] = [" ".join(words[i] for i in row) for row in first.tolist()]
    return found


@cache
def counts_of(corpus: str) -> tuple[Counts, Counts, list[str]]:
    """Training and test documents as counts, in the vocabulary that textvae train has, and its words."""
    about = CORPORA[corpus]
    kept = load_corpus(corpus)
    part = Part(name="bag_of_words", vocab_size=about.vocab_size)
    codec = fit_codec(part, kept.train, kept.vocabulary)
    train, test = load_training(corpus), load_split(f"{corpus}/test")
    found = []
    for split in (train, test):
        bags = codec.encode(list(split.examples))
        starts = np.cumsum([0, *(bag.shape[1] for bag in bags)])
        ids, times = np.concatenate(bags, 1)
        counts = csr_matrix((times.astype(np.float64), ids, starts), shape=(len(bags), len(codec.words)))
        labels = renumber(split.labels, split.classes, train.classes)
        assert labels is not None, f"{corpus} has no labels"
        found.append(Counts(counts, labels, bags))
    return found[0], found[1], codec.words


def _spent() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _again(corpus: str, key: str, seeds: list[int]) -> str:
    return f"python experiments/documents.py {corpus} --rows {key} --seeds {' '.join(map(str, seeds))}"


def seeds_of(key: str, asked: list[int]) -> list[int]:
    """The seeds that a row is run with: one, where nothing is drawn."""
    return asked if key in ROWS or BASELINES[key].random else asked[:1]


def line(corpus: str, key: str) -> str:
    """A row of the table: means over the seeds, ± their standard deviation."""
    name = ROWS[key].name if key in ROWS else BASELINES[key].name
    files = sorted((RESULTS / corpus).glob(f"{key}-[0-9]*.json"))
    results = [json.loads(file.read_text()) for file in files if file.stem.rpartition("-")[0] == key]
    if not results:
        return f"| {name} | not run |" + " |" * (len(COLUMNS))
    cells = []
    for field, form in COLUMNS.values():
        values = [r[field] for r in results if r.get(field) is not None]
        spread = f" ± {form.format(statistics.stdev(values))}" if len(values) > 1 else ""
        cells.append(form.format(statistics.mean(values)) + spread if values else "")
    return f"| **{name}** | {' | '.join(cells)} | {len(results)} |"


def page() -> str:
    """The page, from what was measured."""
    text = [ABOUT, ""]
    heading = f"| model | {' | '.join(COLUMNS)} | seeds |"
    for corpus, about in CORPORA.items():
        files = sorted((RESULTS / corpus).glob("*.json"))
        results = {file.stem: json.loads(file.read_text()) for file in files}
        size = next((f" {r['sentences']:,} test documents, {r['tokens']:,} words." for r in results.values()), "")
        text += [f"## {corpus}", "", f"{about.about}.{size}", "", heading, "|---" * (len(COLUMNS) + 2) + "|"]
        text += [line(corpus, key) for key in [*BASELINES, *ROWS]]
        text += [PUBLISHED[corpus]] if corpus in PUBLISHED else []
        text += [""]
        for key, row in ROWS.items():
            if topics := results.get(f"{key}-0", {}).get("topics"):
                text += [f"Every fifth topic of {row.name}, seed 0:", "", *(f"- {words}" for words in topics[::5]), ""]
        if results:
            text += ["Commands:", "", *(f"    {r['command']}" for r in results.values()), ""]
    return "\n".join(text)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("corpora", nargs="*", metavar="CORPUS", help=", ".join(CORPORA))
    parser.add_argument("--rows", nargs="+", choices=[*BASELINES, *ROWS], metavar="ROW", default=[*BASELINES, *ROWS])
    parser.add_argument("--seeds", nargs="+", type=int, default=list(SEEDS))
    parser.add_argument("--out", type=Path, default=Path("runs/documents"))
    parser.add_argument("--page-only", action="store_true")
    arguments = parser.parse_args()
    if unknown := set(arguments.corpora) - set(CORPORA):  # argparse's choices refuse an empty list
        parser.error(f"no such corpus: {', '.join(unknown)}; known: {', '.join(CORPORA)}")
    torch.set_num_threads(1)
    for corpus in [] if arguments.page_only else arguments.corpora:
        for key in arguments.rows:
            for seed in seeds_of(key, arguments.seeds):
                file = RESULTS / corpus / f"{key}-{seed}.json"
                if file.exists():
                    continue
                fit = run_row(corpus, key, seed, arguments.out) if key in ROWS else run_baseline(corpus, key, seed)
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_text(json.dumps({"machine": f"{machine()}, 1 thread", "seed": seed, **fit}, indent=1) + "\n")
                shown = {k: round(fit[k], 3) for k, _ in COLUMNS.values() if fit.get(k) is not None}
                print(corpus, key, seed, shown, flush=True)
    PAGE.write_text(page(), encoding="utf-8")


if __name__ == "__main__":
    main()
