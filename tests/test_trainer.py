"""The training loop: a resumed run is the same run, and what goes wrong is said and harms nothing saved."""

import errno
import json
import math

import pytest
import torch
from safetensors import SafetensorError

from tests.toys import RECIPES, batches_of, equal, objective_of, vae_of, variants
from textvae import checkpoint, tensors, trainer
from textvae.assembly import build_objective
from textvae.batching import Batches
from textvae.errors import Diverged, RequestError, TextvaeError
from textvae.evaluation.bounds import Report
from textvae.objectives import OBJECTIVES
from textvae.recipes import load_recipe
from textvae.records import Record
from textvae.run_folder import RunFolder
from textvae.settings import Part
from textvae.text_vae import TextVAE
from textvae.trainer import Trainer, collapse, learning_rate_factor

CLOCKS = ("seconds", "tokens_per_second", "tokens_per_cpu_second")


class Board:
    """Stands in for TensorBoard, whose files are not looked at here."""

    def add_scalar(self, *args):
        pass


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    """No TensorBoard, and no waiting for the disk."""
    monkeypatch.setattr(RunFolder, "board", Board())
    monkeypatch.setattr("textvae.files.sync", lambda path: None)


def trainer_of(folder, recipe="sentences/ptb", data="corpus", objective=None, n=16, **train):
    """A trainer at its first step; the same arguments make the same trainer."""
    assignments = {f"train.{key}": value for key, value in train.items()}
    if objective:
        assignments["objective.name"] = objective[0]
        assignments |= {f"objective.{key}": value for key, value in objective[1].items()}
    vae = vae_of(recipe, assignments)
    valid = batches_of(vae, shuffle=False, n=8)
    run = RunFolder(folder)
    run.checkpoints.mkdir(parents=True, exist_ok=True)
    return Trainer(vae, objective_of(vae), batches_of(vae, n=n), valid, run, data)


def finish(run, stop_at=None):
    """Train to the end or to a step; the records."""
    records = []
    for record in run.fit():
        records.append(record)
        if stop_at is not None and run.step >= stop_at:
            run.stop("enough")
    return records


def weights(run):
    return tensors.state(run.modules) | {f"optimizer/{k}": v for k, v in run._optimizer_state().items()}


def logged(run, *kinds):
    """What was logged, without what a clock measured."""
    rows = []
    for record in run.run.records():
        if record.kind in (kinds or ("train", "valid")):
            values = {k: v for k, v in record.values.items() if k not in CLOCKS}
            rows.append((record.kind, record.step, values, record.texts))
    return rows


def same_end(folder, stops, **options):
    """Whether a run stopped and resumed at each of ``stops`` ends as one that was not."""
    whole = trainer_of(folder / "whole", **options)
    finish(whole)
    for k in stops:
        first = trainer_of(folder / f"stopped-{k}", **options)
        finish(first, stop_at=k)
        assert first.step == k
        torch.manual_seed(k)  # what a new process starts from must not matter
        second = trainer_of(folder / f"stopped-{k}", **options)
        notices = [record.texts["notice"] for record in second.resume()]
        assert len(notices) == 1
        assert f"step {k} " in notices[0]
        finish(second)
        assert second.step == whole.step
        assert second.tokens == whole.tokens
        assert second.best == whole.best
        assert second.epoch == whole.epoch
        assert equal(weights(second), weights(whole)), f"stopped at {k}"
        assert [row for row in logged(second) if row[1] > k] == [row for row in logged(whole) if row[1] > k]
        steps = [(kind, step) for kind, step, _, _ in logged(second)]
        assert len(steps) == len(set(steps)), "a step is logged twice"
    return whole


def test_a_run_stopped_at_any_step_ends_bit_for_bit_where_an_uninterrupted_one_does(tmp_path, monkeypatch):
    monkeypatch.setattr(trainer, "LOG_EVERY", 1)
    whole = same_end(tmp_path, range(1, 12), epochs=3, save_every=5)  # 4 batches an epoch
    assert whole.step == 12
    assert len(logged(whole, "train")) == 12


def test_records_over_many_steps_are_resumed_exactly_too(tmp_path, monkeypatch):
    monkeypatch.setattr(trainer, "LOG_EVERY", 3)
    whole = trainer_of(tmp_path / "whole", epochs=3)
    finish(whole)
    other = trainer_of(tmp_path / "other", epochs=3)
    finish(other, stop_at=5)
    other = trainer_of(tmp_path / "other", epochs=3)
    list(other.resume())
    finish(other)
    assert other.tokens == whole.tokens == 3 * sum(len(a) - 1 for a in whole.train.examples.arrays)
    assert equal(weights(other), weights(whole))


@pytest.mark.parametrize(
    "options", [{"precision": "bf16"}, {"optimizer": "sgd"}, {"evaluate_every": 3}, {"calibrate": True}], ids=str
)
def test_resume_is_exact_in_every_mode(options, tmp_path, monkeypatch):
    monkeypatch.setattr(trainer, "LOG_EVERY", 1)
    monkeypatch.setattr("textvae.recurrence.WIDE", 1)  # the route of wide layers under bf16
    same_end(tmp_path, [3, 6], epochs=2, **options)


@pytest.mark.parametrize(("name", "options"), variants(OBJECTIVES))
def test_resume_is_exact_under_every_objective(name, options, tmp_path, monkeypatch):
    monkeypatch.setattr(trainer, "LOG_EVERY", 1)
    same_end(tmp_path, [3], recipe=recipe_for(name, options), epochs=2, objective=(name, options))


def recipe_for(name, options):
    """A recipe whose model that objective goes with: of sentences, if it goes with any."""
    for recipe in ("sentences/ptb", "images/denoising", "documents/autoencoder", "images/m2", "images/top_down"):
        try:
            build_objective(Part(name=name, **options)).attach(vae_of(recipe).model)
        except RequestError:
            continue
        return recipe
    raise AssertionError(f"The objective {name} goes with none of them.")


@pytest.mark.parametrize("recipe", RECIPES)
def test_every_recipe_trains_improves_resumes_and_leaves_a_model(recipe, tmp_path, monkeypatch):
    monkeypatch.setattr(trainer, "LOG_EVERY", 1)
    # Three noisy bits of a handful of sentences are not worth their KL, and without labels a classifier learns
    # nothing: there the parts alone are what can improve.
    classifies = load_recipe(recipe).objective.name == "classification"
    objective = ("autoencoder", {}) if recipe == "documents/nash" or classifies else None
    whole = same_end(tmp_path, [5], recipe=recipe, epochs=8, patience=99, objective=objective)
    first, *others = [values["distortion"] for kind, _, values, _ in logged(whole, "valid")]
    assert min(others) < first  # where β rises to the end, the last need not be the lowest
    model = TextVAE.from_pretrained(tmp_path / "whole")
    assert model.facts["step"] == max(step for _, step, values, _ in logged(whole, "valid") if values["best"])
    assert model.facts["validation"]["sentences"] == 8


def test_a_run_that_is_over_stays_as_it_is_when_resumed(tmp_path):
    whole = trainer_of(tmp_path, steps=6, evaluate_every=4)
    finish(whole)
    again = trainer_of(tmp_path, steps=6, evaluate_every=4)
    list(again.resume())
    finish(again)
    assert equal(weights(again), weights(whole))
    steps = [(kind, step) for kind, step, _, _ in logged(again, "train", "valid", "end")]
    assert len(steps) == len(set(steps)), steps


def test_a_stop_before_the_first_checkpoint_and_no_checkpoint_at_all(tmp_path):
    fresh = trainer_of(tmp_path)
    notices = [record.texts["notice"] for record in fresh.resume()]
    assert "from the beginning" in notices[0]
    fresh.stop("at once")
    records = finish(fresh)
    assert records[-1].kind == "end"
    assert records[-1].texts["why"] == "at once"
    assert fresh.step == 0


def test_every_line_of_the_metrics_is_a_record_after_many_resumes(tmp_path):
    for stop in (2, 4, 6, 7):
        run = trainer_of(tmp_path, epochs=2)
        list(run.resume())
        finish(run, stop_at=stop)
    lines = (tmp_path / "metrics.jsonl").read_text().split("\n")
    assert lines.pop() == ""
    assert all(isinstance(json.loads(line), dict) for line in lines)


def test_a_line_torn_by_a_crash_is_forgotten(tmp_path):
    run = trainer_of(tmp_path, epochs=1)
    finish(run)
    n = len(run.run.records())
    with (tmp_path / "metrics.jsonl").open("a") as file:
        file.write('{"kind": "train", "st')
    assert len(run.run.records()) == n
    again = trainer_of(tmp_path, epochs=1)
    list(again.resume())
    run.run.log(Record("notice", 99, {}, {"notice": "whole"}))
    assert run.run.records()[-1].texts == {"notice": "whole"}


def test_another_corpus_is_refused(tmp_path):
    finish(trainer_of(tmp_path, epochs=1))
    with pytest.raises(RequestError, match="not the one"):
        list(trainer_of(tmp_path, data="another", epochs=1).resume())


def test_resuming_with_another_model_is_refused(tmp_path):
    finish(trainer_of(tmp_path, epochs=1))
    vae = vae_of("sentences/ptb", {"model.latent_size": 5})
    other = Trainer(vae, objective_of(vae), batches_of(vae), batches_of(vae), RunFolder(tmp_path), "corpus")
    before = {k: v.clone() for k, v in tensors.state(other.modules).items()}
    with pytest.raises(RequestError, match="settings"):
        list(other.resume())
    assert equal(before, tensors.state(other.modules))


@pytest.mark.parametrize("part", ["train", "valid"])
def test_a_split_without_examples_is_refused_before_the_first_step(part, tmp_path):
    vae = vae_of("sentences/ptb", {"train.steps": 3})
    splits = {"train": batches_of(vae), "valid": batches_of(vae), part: batches_of(vae, n=0)}
    with pytest.raises(RequestError, match="no examples"):
        Trainer(vae, objective_of(vae), splits["train"], splits["valid"], RunFolder(tmp_path))


@pytest.mark.parametrize("n", [1, 2])
def test_one_sentence_is_enough_to_train(n, tmp_path):
    run = trainer_of(tmp_path, n=n, epochs=3)
    assert finish(run)[-1].kind == "end"
    assert run.step == 3


def test_a_loss_that_is_not_finite_stops_the_run_and_harms_nothing(tmp_path, monkeypatch):
    run = trainer_of(tmp_path, epochs=3, save_every=2)
    forward = run.objective.forward

    def broken(model, batch, progress):
        terms = forward(model, batch, progress)
        return terms._replace(loss=terms.loss * math.nan) if run.step == 5 else terms

    monkeypatch.setattr(run.objective, "forward", broken)
    with pytest.raises(Diverged, match=r"step 6 .*learning_rate") as caught:
        finish(run)
    assert caught.value.exit_code == 1
    assert str(tmp_path) in str(caught.value)
    skipped = []
    assert checkpoint.newest(run.run.checkpoints, skipped.append).name == "step-00000004"
    assert not skipped


def test_an_infinite_gradient_stops_the_run_too(tmp_path):
    run = trainer_of(tmp_path, epochs=1)
    run.parameters["model.decoder.embedding.weight"].register_hook(lambda grad: grad * math.inf)
    with pytest.raises(Diverged):
        finish(run)
    assert not run.run.model.exists()
    assert checkpoint.newest(run.run.checkpoints, print) is None


def test_weights_that_nothing_can_be_drawn_from_are_told_as_a_divergence(tmp_path, monkeypatch):
    run = trainer_of(tmp_path)

    def forward(model, *_):
        with torch.no_grad():
            next(model.parameters()).fill_(math.nan)
        return torch.bernoulli(next(model.parameters()))

    monkeypatch.setattr(run.objective, "forward", forward)
    with pytest.raises(Diverged, match="learning_rate"):
        finish(run)


@pytest.mark.parametrize("error", [torch.OutOfMemoryError("CUDA out of memory"), MemoryError(),
                                   RuntimeError("DefaultCPUAllocator: can't allocate memory")], ids=repr)  # fmt: skip
def test_memory_that_runs_out_is_said_with_the_size_of_the_batch(error, tmp_path, monkeypatch):
    run = trainer_of(tmp_path)

    def forward(*args):
        raise error

    monkeypatch.setattr(run.objective, "forward", forward)
    with pytest.raises(TextvaeError, match=r"batch of \[4, \d+\].*train.batch_size") as caught:
        finish(run)
    assert caught.value.exit_code == 1


def test_another_error_of_torch_is_not_dressed_up(tmp_path, monkeypatch):
    run = trainer_of(tmp_path)
    monkeypatch.setattr(run.objective, "forward", lambda *args: torch.zeros(2) @ torch.zeros(3))
    with pytest.raises(RuntimeError, match="size"):
        finish(run)


@pytest.mark.parametrize("error", [OSError(errno.ENOSPC, "No space left on device"),
                                   SafetensorError("I/O error: No space left on device (os error 28)"),
                                   OSError(errno.EFBIG, "File too large")], ids=repr)  # fmt: skip
def test_a_full_disk_leaves_the_checkpoint_before_and_no_litter(error, tmp_path, monkeypatch):
    run = trainer_of(tmp_path, epochs=3, save_every=2)
    save_file = tensors.save_file

    def full(values, path):
        save_file(values, path)
        if run.step == 6:
            with open(path, "r+b") as file:
                file.truncate(100)
            raise error

    monkeypatch.setattr(tensors, "save_file", full)
    with pytest.raises(TextvaeError, match="disk is full") as caught:
        finish(run)
    assert caught.value.exit_code == 1
    skipped = []
    assert checkpoint.newest(run.run.checkpoints, skipped.append).name == "step-00000004"
    assert not skipped
    assert not [p for p in tmp_path.rglob("*") if ".tmp" in p.name]
    monkeypatch.setattr(tensors, "save_file", save_file)
    again = trainer_of(tmp_path, epochs=3, save_every=2)
    list(again.resume())
    finish(again)
    whole = trainer_of(tmp_path / "whole", epochs=3, save_every=2)
    finish(whole)
    assert equal(weights(again), weights(whole))


def test_a_full_disk_at_the_log_and_at_the_links_is_said_too(tmp_path, monkeypatch):
    run = trainer_of(tmp_path)

    def full(*args, **kwargs):
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("pathlib.Path.open", full)
        with pytest.raises(TextvaeError, match="disk is full"):
            run.run.log(Record("train", 1))
    with monkeypatch.context() as patch:
        patch.setattr("os.symlink", full)
        with pytest.raises(TextvaeError, match="disk is full"):
            finish(run)


def test_training_stops_once_nothing_improves(tmp_path):
    run = trainer_of(tmp_path, epochs=50, patience=2, learning_rate=1e-9)
    records = finish(run)
    valid = [r for r in records if r.kind == "valid"]
    assert "No better model" in records[-1].texts["why"]
    stale = len(valid) - max(i for i, r in enumerate(valid) if r.values["best"]) - 1
    assert stale == 2
    assert run.step < run.total_steps


def test_an_early_end_is_still_the_reason_after_a_resume(tmp_path):
    options = {"epochs": 50, "patience": 2, "learning_rate": 1e-9}
    first = finish(trainer_of(tmp_path, **options))[-1]
    again = trainer_of(tmp_path, **options)
    list(again.resume())
    last = finish(again)[-1]
    assert last.texts == first.texts
    assert last.step == first.step
    assert "No better model in 2 evaluations" in last.texts["why"]


def test_before_beta_has_settled_no_model_is_best_and_patience_does_not_run(tmp_path):
    objective = ("elbo", {"schedule": {"name": "linear", "warmup": 0.8}})
    run = trainer_of(tmp_path, epochs=10, patience=1, objective=objective, learning_rate=1e-9)
    valid = [r for r in finish(run) if r.kind == "valid"]
    assert len(valid) >= 8
    assert not any(r.values["best"] for r in valid[:7])
    assert any(r.values["best"] for r in valid[7:])


def test_collapse_is_said_with_its_remedy_and_in_the_model_card(tmp_path):
    run = trainer_of(tmp_path, epochs=1)
    with torch.no_grad():
        for p in run.model.posterior_head.parameters():
            p.zero_()
    run.modules["model"].encoder.requires_grad_(False)
    for group in run.optimizer.param_groups:
        group["lr"] = 0.0
    run.objective = objective_of(vae_of("sentences/ptb", {"objective.name": "elbo"}))
    run.settings = run.settings.model_copy(update={"learning_rate": 1e-12})
    notices = [r.texts["notice"] for r in finish(run) if r.kind == "notice"]
    assert any("collapse" in n and "--rate" in n for n in notices)
    assert "collapse" in (tmp_path / "model" / "README.md").read_text()


def report(rate, active, size):
    return Report(9, 9 - rate, rate, 0.0, active, size, 2.0, 10, 1)


def test_collapse_is_a_small_rate_or_few_active_units():
    assert collapse(report(0.1, 30, 32))
    assert collapse(report(8.0, 3, 32))
    assert collapse(report(8.0, 4, 32)) is None
    assert collapse(report(0.6, 1, 2)) is None


def test_a_model_without_a_code_is_not_called_collapsed(tmp_path):
    records = finish(trainer_of(tmp_path, "sentences/language_model", epochs=1))
    assert not [r for r in records if r.kind == "notice"]


def test_checkpoints_are_pruned_to_the_newest_and_the_best(tmp_path):
    run = trainer_of(tmp_path, epochs=6, save_every=1, keep=2)
    for _ in run.fit():
        places = sorted(p.name for p in run.run.checkpoints.glob("step-*"))
        assert len(places) <= 3
    places = sorted(p.name for p in run.run.checkpoints.glob("step-*"))
    best, last = (run.run.checkpoints / name for name in ("best", "last"))
    assert last.is_symlink()
    assert last.resolve().name == "step-00000024" == places[-1]
    assert best.resolve().name in places
    rows = [r for r in run.run.records() if r.kind == "valid" and r.values["best"]]
    assert best.resolve().name == f"step-{rows[-1].step:08d}"
    assert min(rows, key=lambda r: r.values["nll"]).step == rows[-1].step
    model = TextVAE.from_pretrained(tmp_path)
    stored = tensors.load(best.resolve() / checkpoint.MODEL)
    state = {f"model.{k}": v for k, v in tensors.state(model.model).items()}
    assert all(torch.equal(stored[k], v) for k, v in state.items()), "model/ is not the best checkpoint"


def test_records_say_what_they_should(tmp_path, monkeypatch):
    monkeypatch.setattr(trainer, "LOG_EVERY", 4)
    run = trainer_of(tmp_path, epochs=2)
    records = finish(run)
    train = [r for r in records if r.kind == "train"]
    assert [r.step for r in train] == [4, 8]
    for key in ("loss", "distortion", "rate", "nll", "beta", "gradient", "learning_rate", "tokens", "epoch"):
        assert key in train[0].values
    assert train[0].values["nll"] == pytest.approx(train[0].values["distortion"] + train[0].values["rate"])
    assert train[1].values["tokens"] == 2 * sum(len(a) - 1 for a in run.train.examples.arrays)
    valid = [r for r in records if r.kind == "valid"]
    assert set(valid[0].texts) == {"input", "reconstruction", "sample"}
    assert (tmp_path / "samples.txt").read_text().count("reconstruction:") == len(valid)
    assert [r.to_dict() for r in run.run.records()] == [r.to_dict() for r in records]


def test_the_loss_that_is_logged_is_annealed_and_the_nll_is_not(tmp_path, monkeypatch):
    monkeypatch.setattr(trainer, "LOG_EVERY", 1)
    run = trainer_of(tmp_path, objective=("elbo", {"schedule": {"name": "constant", "beta": 0.25}}), epochs=1)
    for record in finish(run):
        if record.kind == "train":
            v = record.values
            assert v["loss"] == pytest.approx(v["distortion"] + 0.25 * v["rate"], rel=1e-4)
            assert v["nll"] == pytest.approx(v["distortion"] + v["rate"], rel=1e-4)
            assert v["beta"] == 0.25


def test_the_seed_decides_the_run(tmp_path):
    ends = []
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        run = trainer_of(tmp_path / name, epochs=1, seed=seed)
        torch.manual_seed(len(ends))
        finish(run)
        ends.append(weights(run))
    assert equal(ends[0], ends[1])
    assert not equal(ends[0], ends[2])


def test_an_objective_may_hold_parameters_back_and_train_its_own(tmp_path):
    run = trainer_of(tmp_path, epochs=1)
    run.objective.held_back = lambda model, progress: model.encoder.parameters()
    before = {k: v.clone() for k, v in run.modules.state_dict().items()}
    finish(run)
    after = run.modules.state_dict()
    assert all(torch.equal(before[k], after[k]) for k in before if k.startswith("model.encoder."))
    assert not torch.equal(before["model.decoder.embedding.weight"], after["model.decoder.embedding.weight"])


def test_gradients_are_clipped(tmp_path):
    run = trainer_of(tmp_path, clip=1e-3, optimizer="sgd", learning_rate=1.0, decay="constant", warmup=0.0, epochs=1)
    for record in run.fit():
        norm = torch.stack([p.grad.norm() for p in run.parameters.values() if p.grad is not None]).norm()
        assert float(norm) <= 1.01e-3
        if record.kind == "train":
            assert record.values["gradient"] > 1e-2, "what is logged is the norm before it was clipped"


@pytest.mark.parametrize(
    ("decay", "values"),
    [
        ("constant", {0.05: 0.5, 0.1: 1.0, 1.0: 1.0}),
        ("linear", {0.0: 0.01, 0.05: 0.5, 0.1: 1.0, 0.55: 0.5, 1.0: 0.0}),
        ("cosine", {0.1: 1.0, 0.55: 0.5, 1.0: 0.0}),
    ],
)
def test_the_learning_rate_rises_and_decays(decay, values):
    settings = vae_of("sentences/ptb").settings.train.model_copy(update={"decay": decay, "warmup": 0.1})
    for progress, factor in values.items():
        assert learning_rate_factor(settings, progress) == pytest.approx(factor, abs=1e-6)
    flat = settings.model_copy(update={"warmup": 1.0})
    assert learning_rate_factor(flat, 1.0) == pytest.approx(1.0)


def test_a_limit_of_minutes_ends_the_run_and_moves_its_progress(tmp_path, monkeypatch):
    now = [0.0]
    monkeypatch.setattr(trainer.time, "monotonic", lambda: now.__setitem__(0, now[0] + 1.0) or now[0])
    run = trainer_of(tmp_path, epochs=1000, minutes=1.0, evaluate_every=10**6)
    finish(run)
    assert run.progress == 1.0
    assert run.step < 60
    assert run.seconds >= 60


def test_batches_of_a_trainer_are_those_of_the_epoch(tmp_path):
    run = trainer_of(tmp_path, epochs=2)
    seen, forward = [], run.objective.forward
    run.objective.forward = lambda model, batch, progress: seen.append(batch.x) or forward(model, batch, progress)
    finish(run)
    expected = [b.x for e in range(2) for b in Batches.epoch(run.train, e)]
    assert len(seen) == len(expected)
    assert all(torch.equal(a, b) for a, b in zip(seen, expected))
