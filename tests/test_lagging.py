"""The lagging encoder: turns of encoder and decoder, and when they are over."""

import math

import pytest
import torch
from torch.distributions import Independent, Normal

from tests.test_trainer import finish, quick, same_end, trainer_of  # noqa: F401
from tests.toys import batch_of, vae_of
from textvae import trainer
from textvae.batching import Batch
from textvae.errors import RequestError
from textvae.objectives.lagging import Lagging, mutual_information


def play(objective, losses, information=1.0, progress=0.0):
    """Whose turn each step is, if the steps have these losses over one unit each."""
    turns = []
    for loss in losses:
        objective.begin_step(None, progress, None)
        turns.append("e" if bool(objective.encoder_turn) else "d")
        objective.sums += torch.tensor([1, loss, 1, information, 1], dtype=torch.float64)
    return "".join(turns)


def test_the_encoders_turn_ends_when_a_window_is_no_better_than_the_one_before():
    assert play(Lagging(window=2, share=1.0), [5, 5, 4, 4, 4, 4, 9, 9, 9, 9, 9]) == "eeeeeedeeee"


def test_the_encoders_turn_ends_at_its_limit():
    assert play(Lagging(window=2, limit=6, share=1.0), range(20, 0, -1)) == "eeeeeed" * 2 + "eeeeee"


def test_the_turns_are_over_once_the_information_stops_rising():
    objective = Lagging(window=1, share=0.1, patience=2)
    seen = ((0.0, 1.0), (0.11, 0.5), (0.22, 2.0), (0.27, 1.5), (0.33, 3.0), (0.44, 0.5), (0.55, 2.9))
    for progress, information in seen:
        play(objective, [1.0] * 3, information, progress)
        assert bool(objective.aggressive)
    play(objective, [1.0], progress=0.66)  # the second time under 3.0
    assert not bool(objective.aggressive)
    assert list(objective.held_back(None, 0.66)) == []


def test_a_step_trains_the_side_whose_turn_it_is(tmp_path):
    options = {"window": 1, "limit": 3, "share": 1.0}
    run = trainer_of(tmp_path, objective=("lagging", options), epochs=4, weight_decay=0.1, evaluate_every=10**6)
    sides = {"e": ("encoder", "posterior_head"), "d": ("decoder", "likelihood")}
    update, turns = run._update, []

    def watched(batch):
        before = {k: v.clone() for k, v in run.model.named_parameters()}
        found = update(batch)
        moved = {k.split(".")[0] for k, v in run.model.named_parameters() if not torch.equal(v, before[k])}
        turns.append("e" if bool(run.objective.encoder_turn) else "d")
        assert moved == set(sides[turns[-1]])
        return found

    run._update = watched
    finish(run)
    assert set(turns) == {"e", "d"}


def test_resume_is_exact_within_every_turn_and_across_the_end_of_them(tmp_path, monkeypatch):
    monkeypatch.setattr(trainer, "LOG_EVERY", 1)
    options = {"window": 1, "limit": 2, "share": 0.05, "patience": 1}
    whole = same_end(tmp_path, range(1, 12), objective=("lagging", options), epochs=3)
    assert not bool(whole.objective.aggressive), "the turns never ended: nothing was shown"


def test_outside_training_nothing_is_gathered():
    vae = vae_of("sentences/free_bits")
    objective = Lagging().eval()
    objective(vae.model.eval(), Batch(batch_of(vae)), 0.5)
    assert not objective.sums.any()


def test_mutual_information_is_0_under_one_posterior_and_ln_b_under_posteriors_far_apart():
    same = Independent(Normal(torch.zeros(8, 2), 1.0), 1)
    far = Independent(Normal(100.0 * torch.arange(8.0)[:, None].expand(8, 2), 1.0), 1)
    assert float(mutual_information(same, same.sample())) == pytest.approx(0.0, abs=1e-6)
    assert float(mutual_information(far, far.sample())) == pytest.approx(math.log(8), abs=1e-5)


@pytest.mark.parametrize("options", [{"window": 0}, {"window": 20, "limit": 10}, {"share": 0.0}, {"patience": 0}])
def test_turns_that_make_no_sense_are_refused(options):
    with pytest.raises(RequestError):
        Lagging(**options)


def test_a_model_without_a_code_is_refused():
    with pytest.raises(RequestError, match="latent_size is 0"):
        Lagging().attach(vae_of("sentences/language_model").model)
