"""A run that is killed at any moment goes on and ends where an undisturbed one does, bit for bit.

Three kills; ``TEXTVAE_KILLS=50 pytest tests/test_kills.py`` makes it fifty.
"""

import os
import random
import time
from contextlib import nullcontext

import pytest

from tests import ranks
from tests.ranks import losses, quick, trainer_in
from tests.toys import equal
from textvae import distributed, tensors

KILLS = int(os.environ.get("TEXTVAE_KILLS", "3"))
MODES = [("fp32", 1), ("bf16", 1), ("bf16", 2)]


def train(folder, precision, steps):
    """Begin or resume; a checkpoint at every step, so that most kills fall into the writing of one."""
    quick()
    noisy = {"model.decoder.dropout": 0.3, "model.decoder_noise.name": "word_dropout", "train.average": 0.9}
    often = {"train.save_every": 1, "train.evaluate_every": 7, "train.steps": steps, "train.patience": 99}
    with distributed.joined():
        run = trainer_in(folder, **noisy, **often, **{"train.precision": precision})
        with run.run.locked() if run.leads else nullcontext():
            notices = [record.texts["notice"] for record in run.resume()]
            for _ in run.fit():
                pass
        end = tensors.state(run.modules) | run._optimizer_state()
        return end, losses(run) if run.leads else [], run.tokens, notices


def newest(folder):
    return max((int(path.name[5:]) for path in (folder / "checkpoints").glob("step-*")), default=0)


def killed(started, folder, chance):
    """The step at which the processes were killed: one of the next few, at any moment of it."""
    step = newest(folder) + chance.randint(1, 3)
    while newest(folder) < step:
        assert started[0][0].is_alive(), "it ended before it was killed"
        time.sleep(0.001)
    time.sleep(chance.uniform(0, 0.1))
    for process, _ in chance.sample(started, chance.randint(1, len(started))):  # of several, one, or all at once
        process.kill()
    assert any(isinstance(result, int) for result in ranks.finish(started)), "it ended before it was killed"
    return newest(folder)


@pytest.mark.parametrize(("precision", "processes"), MODES)
def test_a_run_that_is_killed_at_random_moments_ends_as_one_that_is_not(precision, processes, tmp_path):
    seed = random.randrange(10**6)
    chance = random.Random(seed)
    kills = KILLS // len(MODES) + (MODES.index((precision, processes)) < KILLS % len(MODES))
    arguments = precision, 12 + 8 * kills
    whole, *_ = ranks.together(processes, tmp_path / "whole.store", train, tmp_path / "whole", *arguments)
    folder = tmp_path / "killed"
    steps = []
    for i in range(kills):
        started = ranks.start(processes, tmp_path / f"{i}.store", train, folder, *arguments)
        steps.append(killed(started, folder, chance))
    last, *others = ranks.together(processes, tmp_path / "last.store", train, folder, *arguments)
    where = f"seed {seed}, killed at steps {steps}: {last[3]}"
    assert equal(last[0], whole[0]), where
    assert all(equal(other[0], whole[0]) for other in others), where
    assert last[1:3] == whole[1:3], where
    assert not list(folder.rglob(".tmp*")), where
    assert len(list((folder / "checkpoints").glob("step-*"))) <= 3, where  # the last two and the best
    print(where)
