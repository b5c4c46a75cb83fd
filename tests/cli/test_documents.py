"""Documents from the command line: train, topics, evaluate with labels, and input that goes wrong."""

import csv
import json

import pytest
from typer.testing import CliRunner

SUBJECTS = {"sport": "goal match team player", "food": "oven flour sugar butter", "space": "planet orbit star moon"}
SMALL = [
    "--set=model.latent_size=3",
    "--set=model.encoder.hidden_sizes=[8]",
    "--device=cpu",
    "--set=train.batch_size=8",
]


def rows(n):
    """Documents of three labels in turns, each with words of its own."""
    labels = list(SUBJECTS)
    texts = [SUBJECTS[labels[i % 3]].split() for i in range(n)]
    return [f"{labels[i % 3]}\t{' '.join(words[(i + k) % 4] for k in range(6))}" for i, words in enumerate(texts)]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run of ProdLDA on sixty documents."""
    from textvae_cli.app import app

    folder = tmp_path_factory.mktemp("documents")
    (folder / "train.tsv").write_text("\n".join(rows(60)) + "\n")
    words = ["train", str(folder / "train.tsv"), "--recipe=documents/prodlda", "--epochs=2", f"--out={folder / 'run'}"]
    done = CliRunner().invoke(app, [*words, *SMALL])
    assert done.exit_code == 0, done.output
    assert "next: textvae topics" in done.stdout
    return folder / "run"


@pytest.fixture
def test_file(tmp_path):
    """Nine documents of known labels, one of a new label and one without a known word."""
    (tmp_path / "test.tsv").write_text("\n".join([*rows(9), "war\tgoal team", "food\tслово"]) + "\n")
    return tmp_path / "test.tsv"


def test_topics_are_ranked_words_with_weights(textvae, run):
    tree = json.loads(textvae("topics", "--model", run, "--top", 4, "--json").stdout)
    assert [one["topic"] for one in tree["topics"]] == [0, 1, 2]
    for one in tree["topics"]:
        weights = [word["relevance"] for word in one["words"]]
        assert weights == sorted(weights, reverse=True)
        assert len(weights) == 4
        assert 0 < sum(word["probability"] for word in one["words"]) < 1
    lines = textvae("topics", "--model", run, "--top", 99).stdout.splitlines()
    assert len(lines) == 3
    assert len(lines[0].split("\t")[1].split()) == 2 * 12, "a topic has no more words than there are"


def test_topics_of_documents_are_shares(textvae, run, test_file):
    done = textvae("topics", test_file, "--model", run, "--json")
    tree = json.loads(done.stdout)
    assert len(tree["documents"]) == 11
    assert all(sum(one["shares"]) == pytest.approx(1, abs=1e-4) for one in tree["documents"])
    assert "1 of 11 documents hold no word" in done.stderr
    lines = textvae("topics", "-", "--model", run, input="a goal for the team\n").stdout.splitlines()
    assert len(lines) == 1
    assert lines[0].startswith("a goal for the team\t")


def test_evaluate_measures_documents(textvae, run, test_file, tmp_path):
    done = textvae("evaluate", test_file, "--model", run, "--json", "--curve", tmp_path / "c.csv")
    found = json.loads(done.stdout)
    assert found["empty"] == 1
    assert found["sentences"] == 11
    shares = ("npmi", "topic_diversity", "precision_at_1", "precision_at_10", "precision_at_100", "map")
    assert all(-1 <= found[key] <= 1 for key in shares)
    assert found["perplexity_unigram"] == pytest.approx(12, rel=0.1)
    assert found["perplexity_document"] > 1
    assert "find nothing: war" in done.stderr
    with (tmp_path / "c.csv").open() as file:
        table = list(csv.DictReader(file))
    assert int(table[-1]["retrieved"]) == 60, "of all the training documents, those held out too"
    plain = textvae("evaluate", test_file, "--model", run).stdout
    assert "perplexity_document" in plain
    assert "npmi" in plain


def test_the_curve_is_a_picture(textvae, run, test_file, tmp_path):
    pytest.importorskip("matplotlib")
    assert textvae("evaluate", test_file, "--model", run, "--curve", tmp_path / "c.png").exit_code == 0
    assert (tmp_path / "c.png").read_bytes().startswith(b"\x89PNG")


def test_without_the_training_corpus_or_labels_the_rest_is_measured(textvae, run, tmp_path):
    (tmp_path / "plain.txt").write_text("goal match\nflour sugar\n")
    found = json.loads(textvae("evaluate", "plain.txt", "--model", run, "--json").stdout)
    assert "npmi" in found
    assert "map" not in found
    refused = textvae("evaluate", "plain.txt", "--model", run, "--curve", "c.csv")
    assert refused.exit_code == 2
    assert "labels" in refused.stderr
    corpus = run.parent / "train.tsv"
    corpus.rename(run.parent / "moved.tsv")
    try:
        done = textvae("evaluate", "plain.txt", "--model", run, "--json")
    finally:
        (run.parent / "moved.tsv").rename(corpus)
    assert "npmi" in json.loads(done.stdout)
    assert "left out" in done.stderr


@pytest.mark.parametrize("name", ["c.pdf", "nowhere/c.png"])
def test_a_curve_that_cannot_be_written_is_told_first(textvae, run, test_file, name):
    refused = textvae("evaluate", test_file, "--model", run, "--curve", name)
    assert refused.exit_code == 2
    assert "Traceback" not in refused.output


def test_a_model_of_sentences_has_no_topics(textvae, tiny):
    refused = textvae("topics", "--model", tiny)
    assert refused.exit_code == 2
    assert "--recipe documents/prodlda" in refused.stderr
    found = json.loads(textvae("evaluate", "toy:9", "--model", tiny, "--json").stdout)
    assert "empty" not in found


def test_the_same_seed_gives_the_same_topics(textvae, run):
    corpus = run.parent / "train.tsv"
    for name, seed in (("again", 0), ("other", 1)):
        done = textvae(
            "train", corpus, "--recipe=documents/prodlda", "--epochs=2", f"--seed={seed}", "--out", name, *SMALL
        )
        assert done.exit_code == 0, done.output
    first, again, other = (
        json.loads(textvae("topics", "--model", place, "--json").stdout)["topics"] for place in (run, "again", "other")
    )
    assert first == again
    assert first != other
