"""Averaged weights: what is evaluated and kept is the average, and a resumed run is the same run."""

import pytest
import torch

from tests.test_trainer import finish, quick, same_end, trainer_of  # noqa: F401
from tests.toys import equal
from textvae import checkpoint, tensors, trainer
from textvae.evaluation.bounds import evaluate
from textvae.text_vae import TextVAE


def test_resume_is_exact_with_averaged_weights(tmp_path, monkeypatch):
    monkeypatch.setattr(trainer, "LOG_EVERY", 1)
    whole = same_end(tmp_path, [1, 3, 4, 6], epochs=2, average=0.9)
    assert int(whole.averaged.n_averaged) == 8


def test_the_average_is_that_of_the_weights_after_each_step(tmp_path):
    run = trainer_of(tmp_path, epochs=3, average=0.5, evaluate_every=10**6)
    update, expected = run._update, {}

    def watched(batch):
        found = update(batch)
        n = run.step
        kept = min(0.5, (1 + n) / (10 + n)) if n else 0.0
        for key, value in run.model.named_parameters():
            expected[key] = kept * expected.get(key, 0) + (1 - kept) * value.detach().clone()
        return found

    run._update = watched
    finish(run)
    for key, value in run.averaged.module.named_parameters():
        torch.testing.assert_close(value, expected[key], atol=1e-6, rtol=1e-5)
    assert not equal(tensors.state(run.averaged.module), tensors.state(run.model))


def test_the_average_is_what_is_evaluated_kept_and_given_back(tmp_path):
    run = trainer_of(tmp_path, epochs=2, average=0.9)
    records = finish(run)
    assert run.vae.model is run.averaged.module
    report = evaluate(run.averaged.module, run.valid, seed=run.settings.seed)
    assert [r for r in records if r.kind == "valid"][-1].values["nll"] == report.nll
    kept = TextVAE.from_pretrained(tmp_path).model
    stored = tensors.load((tmp_path / "checkpoints" / "best").resolve() / checkpoint.MODEL)
    assert all(torch.equal(stored[f"average.module.{k}"], v) for k, v in tensors.state(kept).items())
    assert tensors.aliases(kept) == tensors.aliases(run.model), "tied weights came apart"


def test_the_average_is_no_part_of_what_the_optimiser_trains(tmp_path):
    run = trainer_of(tmp_path, average=0.9)
    assert not [name for name in run.parameters if name.startswith("average")]


def test_a_run_without_it_has_checkpoints_as_ever(tmp_path):
    run = trainer_of(tmp_path, epochs=1)
    assert run.vae.model is run.model
    finish(run)
    stored = tensors.load((tmp_path / "checkpoints" / "last").resolve() / checkpoint.MODEL)
    assert {key.split(".")[0] for key in stored} <= {"model", "objective"}


@pytest.mark.parametrize("decay", [-0.1, 1.0])
def test_a_decay_that_makes_no_sense_is_refused(decay, tmp_path):
    from textvae.errors import RequestError

    with pytest.raises(RequestError, match="average"):
        trainer_of(tmp_path, average=decay)
