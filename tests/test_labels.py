"""Labels: told to a model, told by it, and few of them."""

import json
import math

import numpy as np
import pytest
import torch

from tests.toys import attached, batch_of, codec_of, objective_of, raw_of, settings_of
from textvae.batching import Batch, Batches, ListExamples
from textvae.errors import RequestError
from textvae.evaluation.bounds import evaluate
from textvae.labels import Condition
from textvae.objectives import kl
from textvae.run_folder import RunFolder
from textvae.text_vae import TextVAE
from textvae.trainer import Trainer


def labelled_vae(recipe, labels, classes=("a", "b", "c"), **more):
    settings = settings_of(recipe, {"model.labels": labels, "model.classes": list(classes), **more})
    return TextVAE.new(settings, codec_of(settings.codec.name))


def test_a_condition_is_a_one_hot_code_and_nothing_where_there_is_no_label():
    v, y = torch.ones(3, 2), torch.tensor([1, -1, 0])
    told = Condition(2).eval()(v, y)
    assert told.tolist() == [[1, 1, 0, 1], [1, 1, 0, 0], [1, 1, 1, 0]]
    assert Condition(2)(v, None).tolist() == [[1, 1, 0, 0]] * 3
    assert Condition(0)(v, y) is v


def test_some_labels_are_left_out_of_a_training_step():
    y = torch.zeros(1000, dtype=torch.long)
    kept = Condition(2, hidden=0.5).left_out(y)
    assert 400 < (kept == 0).sum() < 600
    assert ((kept == 0) | (kept == -1)).all()
    assert Condition(2, hidden=0.0).left_out(y) is Condition(0).left_out(y) is y
    assert Condition(2).left_out(None) is None


def test_encoder_and_decoder_are_told_the_same_labels(tmp_path):
    vae = labelled_vae("images/vae", "condition")
    vae.model.condition.hidden = 0.5
    examples = ListExamples(vae.codec.encode(raw_of("pixels")[:16]), np.arange(16) % 3)
    batches, told = Batches(examples, vae.codec.collate, 16), []
    vae.model.condition.register_forward_pre_hook(lambda _, given: told.append(given[1].tolist()))
    next(Trainer(vae, objective_of(vae), batches, batches, RunFolder(tmp_path)).fit())
    assert told[0] == told[1]
    assert -1 in told[0]


@pytest.mark.parametrize("recipe", ["sentences/lstm", "documents/vae", "images/vae"])
def test_a_label_changes_what_is_written_and_what_is_read(recipe):
    model = (vae := labelled_vae(recipe, "condition")).model.eval()
    x = batch_of(vae, 4)
    z = torch.randn(2, 4, vae.settings.model.latent_size)
    a, b = (model.log_px(x, z, torch.full((4,), y)) for y in (0, 1))
    assert not torch.equal(a, b)
    torch.testing.assert_close(model.log_px(x, z), model.log_px(x, z, torch.full((4,), -1)))
    assert not torch.equal(*(model.posterior(x, torch.full((4,), y)).mean for y in (0, 1)))


def test_a_model_that_needs_a_label_is_told_its_own_guess_or_one_drawn():
    vae = labelled_vae("images/vae", "both")
    raw, names = raw_of("pixels")[:6], vae.settings.model.classes
    guessed = vae.guess(raw)
    logits = vae.model.label_logits(vae.model.features(vae.batch(raw)))
    assert guessed == [names[i] for i in logits.argmax(-1).tolist()]
    told = vae.write(vae.encode(raw), label=guessed)[0]
    assert np.array_equal([mean for (mean,) in vae.reconstruct(raw)], told)
    ends = vae.interpolate(raw[0], raw[5], 2)
    assert np.array_equal([step.raw for step in ends], [told[0], told[5]])
    labels = []
    vae.model.condition.register_forward_pre_hook(lambda _, given: labels.extend(given[1].tolist()))
    vae.sample(60, seed=1)
    assert {*labels} == {0, 1, 2}
    labels.clear()
    vae.sample(4, label=names[1])
    assert labels == [1] * 4
    assert labelled_vae("images/vae", "condition").guess(raw) is None


def test_a_split_without_labels_is_measured_with_those_that_the_model_guesses():
    vae = labelled_vae("images/vae", "both")
    names, encoded = vae.settings.model.classes, vae.codec.encode(raw_of("pixels")[:8])
    guessed = np.array([names.index(name) for name in vae.guess(raw_of("pixels")[:8])])
    some = np.where(np.arange(8) % 2, guessed, -1)

    def measured(labels):
        return evaluate(vae.model, Batches(ListExamples(encoded, labels), vae.codec.collate, 8, shuffle=False))

    whole, half, none = measured(guessed), measured(some), measured(None)
    assert whole.nll == half.nll == none.nll
    assert whole.accuracy == half.accuracy == 1
    assert none.accuracy is None
    assert measured((guessed + 1) % 3).nll != whole.nll


def test_the_bound_of_an_unlabelled_example_sums_over_the_labels():
    """Kingma et al. (2014), eqs. 6 and 7, the slow way, with posteriors so narrow that a draw is the mean."""
    vae = labelled_vae("documents/vae", "both", **{"model.prior.name": "standard_normal"})
    model, x = vae.model.eval(), batch_of(vae, 3)
    torch.nn.init.constant_(model.posterior_head.log_variance.bias, -30.0)
    objective = attached(vae, "semi_supervised")
    terms = objective(model, Batch(x, torch.tensor([-1, 2, -1])), 1.0)
    q_y = model.label_logits(model.features(x)).softmax(-1)
    bounds = []
    for y in range(3):
        told = torch.full((3,), y)
        q = model.posterior(x, told)
        bounds.append(-model.log_px(x, q.mean[None], told)[0] + kl(q, model.prior()) + math.log(3))
    each = torch.stack(bounds, 1)  # −L(x, y) [B, C]
    wanted = (q_y * (each + q_y.log())).sum(1)
    wanted[1] = each[1, 2]
    torch.testing.assert_close(terms.distortion + terms.rate, wanted, atol=1e-3, rtol=1e-4)


@pytest.mark.parametrize("labels", ["predict", "both"])
def test_few_labels_teach_a_model_all_of_them(labels):
    """Two kinds of documents; one labelled example of each is enough."""
    torch.manual_seed(0)
    vae = labelled_vae("documents/vae", labels, "ab")
    size = vae.codec.dims["input_shape"][0]
    kinds = torch.arange(64) % 2
    rates = torch.rand(2, size) * 4
    x = torch.poisson(rates[kinds])
    y = torch.full((64,), -1)
    y[:2] = kinds[:2]
    objective = attached(vae, "semi_supervised")
    optimizer = torch.optim.Adam([*vae.model.parameters(), *objective.parameters()], 0.01)
    for _ in range(80):
        optimizer.zero_grad()
        objective(vae.model.train(), Batch(x, y), 0.5).loss.backward()
        optimizer.step()
    model = vae.model.eval()
    assert (model.label_logits(model.features(x)).argmax(1) == kinds).float().mean() > 0.9


def test_a_model_that_tells_no_labels_is_refused():
    vae = labelled_vae("documents/vae", "condition")
    from textvae.assembly import build_objective
    from textvae.settings import Part

    with pytest.raises(RequestError, match="labels=predict"):
        build_objective(Part(name="semi_supervised")).attach(vae.model)


def test_an_unknown_label_is_told_with_the_nearest():
    vae = labelled_vae("sentences/lstm", "condition", ["positive", "negative"])
    with pytest.raises(RequestError, match="positive"):
        vae.sample(1, label="positiv")
    with pytest.raises(RequestError, match="labels=condition"):
        labelled_vae("sentences/lstm", "predict").sample(1, label="a")


def test_as_many_labels_are_kept_of_each_class():
    from textvae_cli.session import keep_labels

    labels = np.array([0, 1, 2, -1] * 50)
    kept = keep_labels(labels, 10, seed=3)
    assert np.bincount(kept[kept >= 0]).tolist() == [4, 3, 3]
    assert ((kept == labels) | (kept == -1)).all()
    assert (keep_labels(labels, 10, seed=3) == kept).all()
    assert (keep_labels(labels, 10_000, seed=3) == labels).all()


def test_few_labels_are_repeated_to_fill_their_share_of_an_epoch():
    from textvae.batching import Repeated
    from textvae_cli.session import repeat_labelled

    labels = np.full(1000, -1)
    labels[[3, 500]] = 0, 1
    rows = repeat_labelled(labels, 0.1)
    assert set(rows.tolist()) == set(range(1000))
    examples = Repeated(ListExamples([np.array([i]) for i in range(1000)], labels), rows)
    known = examples.labels >= 0
    assert 0.1 <= known.mean() < 0.101
    assert len(examples) == len(examples.lengths) == 998 + 2 * 56
    assert [int(examples[i][0]) for i in np.flatnonzero(known)] == [3] * 56 + [500] * 56
    assert len(repeat_labelled(np.arange(4), 0.5)) == 4, "all are labelled: none is repeated"
    assert len(repeat_labelled(np.full(4, -1), 0.5)) == 4


@pytest.fixture
def reviews(tmp_path):
    """A file of labelled sentences."""
    rows = [
        f"{'good' if i % 2 else 'bad'}\tthe {'tea' if i % 2 else 'rain'} is {i % 7} times better" for i in range(60)
    ]
    (tmp_path / "reviews.tsv").write_text("\n".join(rows))
    return tmp_path / "reviews.tsv"


def test_labels_from_the_command_line(reviews, tmp_path, monkeypatch):
    from typer.testing import CliRunner

    from textvae_cli.app import app

    monkeypatch.chdir(tmp_path)
    sizes = ["--set=codec.name=words", "--set=model.latent_size=4", "--steps=4", "--threads=1", "--precision=fp32"]
    sizes += [
        f"--set=model.{part}.{size}=8" for part in ("encoder", "decoder") for size in ("hidden_size", "embedding_size")
    ]
    words = ["train", str(reviews), "--set=model.labels=both", "--set=objective.name=semi_supervised", *sizes]
    done = CliRunner().invoke(app, [*words, "--set=corpus.labelled=10", "--set=corpus.labelled_share=0.4", "--out=run"])
    assert done.exit_code == 0, done.output
    drawn = CliRunner().invoke(app, ["sample", "-n", "2", "--label", "good", "--model=run", "--json"])
    assert drawn.exit_code == 0, drawn.output
    assert len(json.loads(drawn.stdout)["samples"]) == 2
    measured = CliRunner().invoke(app, ["evaluate", str(reviews), "--model=run", "--json"])
    assert 0 <= json.loads(measured.stdout)["accuracy"] <= 1
    wrong = CliRunner().invoke(app, ["sample", "--label", "goood", "--model=run"])
    assert wrong.exit_code == 2
    assert "Did you mean good" in wrong.stderr
    (tmp_path / "bare.txt").write_text("a line\nanother line\n" * 20)
    bare = CliRunner().invoke(app, ["train", "bare.txt", "--set=model.labels=condition", "--out=other"])
    assert bare.exit_code == 2
    assert "has no labels" in bare.stderr
