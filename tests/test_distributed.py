"""Several processes: the run that one alone would be, whatever the counts, and an end that all come to together."""

import json
import os
import signal
import subprocess
import sys
import time
from contextlib import redirect_stderr, redirect_stdout

import pytest
import torch
from torch.distributions import Normal

from tests import ranks
from tests.ranks import Board, losses, quick, trainer_in
from tests.toys import batches_of, equal, vae_of, variants
from textvae import distributed, tensors
from textvae.errors import RequestError, TextvaeError
from textvae.evaluation.bounds import evaluate
from textvae.objectives import OBJECTIVES
from textvae.run_folder import RunFolder

OWN_SHARE = ("wae_mmd", "adversarial")  # codes are compared with the prior within a share, by draws of its own
CASES = [p for p in variants(OBJECTIVES) if p.values[0] not in OWN_SHARE]


def without_noise():
    """Draws are means: what is left to differ between one process and several is rounding."""
    Normal.rsample = Normal.sample = lambda self, shape=(): self.loc.expand(self._extended_shape(shape))


def curve(folder, resume=False, stop_at=None, **options):
    """What a run ends with: its weights and what it logged."""
    run = trainer_in(folder, **options)
    notices = list(run.resume()) if resume else []
    for _ in run.fit():
        if stop_at is not None and run.step >= stop_at:
            run.stop("enough")
    return tensors.state(run.modules), losses(run) if run.leads else [], run.step, len(notices)


def case(folder, name, options):
    assignments = {"objective.name": name} | {f"objective.{k}": v for k, v in options.items()}
    try:
        return curve(folder, **assignments)
    except RequestError:
        return None


def every_case(folder):
    quick()
    without_noise()
    with distributed.joined():
        found = {p.id: case(folder / p.id, *p.values) for p in CASES}
        # Not Adam: it makes steps of the rounding that is all of the gradient of a bias in front of batch norm.
        posterior = {"model.posterior.name": "batch_norm", "n": 15, "train.optimizer": "sgd"}
        return found | {"batch_norm": curve(folder / "bn", recipe="sentences/bn_vae", **posterior)}


@pytest.fixture(scope="module")
def curves(tmp_path_factory):
    """Every objective in one process and in three: 16 examples in batches of 5, 5, 5 and 1."""
    place = tmp_path_factory.mktemp("curves")
    return [ranks.together(size, place / f"store{size}", every_case, place / str(size)) for size in (1, 3)]


@pytest.mark.parametrize("name", [p.id for p in CASES] + ["batch_norm"])
def test_the_curve_of_three_processes_is_that_of_one(name, curves):
    (alone,), together = [[rank[name] for rank in found] for found in curves]
    if alone is None:
        pytest.skip("this objective does not go with the recipe")
    weights, logged, step, _ = alone
    assert step == len(logged) == len(together[0][1])
    torch.testing.assert_close(torch.tensor(together[0][1]), torch.tensor(logged), rtol=2e-4, atol=2e-4)
    for other in together:
        assert equal(other[0], together[0][0]), "the processes drift apart"
    torch.testing.assert_close(together[0][0], weights, rtol=1e-2, atol=2e-3)


def resumed(folder, stop_at, resume, noise):
    quick()
    if not noise:
        without_noise()
    with distributed.joined():
        return curve(folder, resume, stop_at)


@pytest.mark.parametrize(("first", "second"), [(2, 2), (2, 1), (1, 2)])
def test_a_run_is_resumed_by_another_number_of_processes(first, second, tmp_path):
    noise = first == second
    whole = ranks.together(second, tmp_path / "a", resumed, tmp_path / "whole", None, False, noise)[0]
    begun = ranks.together(first, tmp_path / "b", resumed, tmp_path / "run", 5, False, noise)
    assert {step for _, _, step, _ in begun} == {5}
    ended = ranks.together(second, tmp_path / "c", resumed, tmp_path / "run", None, True, noise)
    assert ended[0][3] == 1
    assert ended[0][2] == whole[2] == 8
    if noise:
        assert equal(ended[0][0], whole[0]), "not bit for bit"
        assert ended[0][1] == whole[1]
    else:
        torch.testing.assert_close(ended[0][0], whole[0], rtol=1e-2, atol=2e-3)


def report(n, recipe):
    vae = vae_of(recipe)
    batches = batches_of(vae, shuffle=False, n=n)
    torch.manual_seed(5)
    with torch.no_grad():
        for p in vae.model.posterior_head.parameters():
            p.add_(torch.randn_like(p))
    with distributed.joined():
        found = evaluate(vae.model, batches, iw_samples=3).to_dict()
        return {key: value for key, value in found.items() if value is not None}


@pytest.mark.parametrize("recipe", ["sentences/ptb", "sentences/iaf"])
@pytest.mark.parametrize("n", [1, 14])
def test_evaluation_is_that_of_one_process(n, recipe, tmp_path):
    alone = report(n, recipe)
    for found in ranks.together(3, tmp_path / "store", report, n, recipe):
        assert found == pytest.approx(alone, rel=1e-6, abs=1e-6)
    assert n == 1 or recipe == "sentences/iaf" or alone["mi"] > 0.01


def stopped_by_one(folder):
    quick()
    with distributed.joined():
        run = trainer_in(folder)
        kinds = []
        for record in run.fit():
            kinds.append(record.kind)
            if run.step == 2 and not run.leads:
                run.stop("one of us")
        return run.step, kinds[-1]


def test_one_that_is_told_to_stop_stops_all_at_one_step(tmp_path):
    assert ranks.together(2, tmp_path / "store", stopped_by_one, tmp_path / "run") == [(2, "end")] * 2


def one_dies(folder):
    quick()
    with distributed.joined():
        run = trainer_in(folder, **{"train.save_every": 2})
        try:
            for _ in run.fit():
                if run.step == 3 and not run.leads:
                    os._exit(9)
        except TextvaeError as error:
            os._exit(3 if "--resume" in str(error) else 4)


def test_a_process_that_dies_ends_the_others_with_a_word_and_the_run_goes_on(tmp_path):
    assert ranks.finish(ranks.start(2, tmp_path / "a", one_dies, tmp_path / "run")) == [3, 9]
    ended = ranks.together(2, tmp_path / "b", resumed, tmp_path / "run", None, True, True)
    assert [step for _, _, step, _ in ended] == [8, 8]


def command(said, *words):
    from textvae_cli.app import app

    RunFolder.board = Board()
    with open(f"{said}-{os.environ['RANK']}", "w") as file, redirect_stderr(file), redirect_stdout(file):
        app(list(map(str, words)))


def begun(folder, *more):
    (folder / "own.txt").write_text("\n".join(f"the {i} cats sat on {i % 7} mats" for i in range(90)))
    sizes = [f"model.{part}.hidden_size=8" for part in ("encoder", "decoder")]
    sets = [word for one in [*sizes, "codec.vocab_size=300"] for word in ("--set", one)]
    return ["train", folder / "own.txt", "--out", folder / "run", *sets, "--batch-size", "7", "--device", "cpu", *more]


def test_sigterm_saves_and_exits_143_and_the_command_goes_on(tmp_path, monkeypatch):
    monkeypatch.setenv("HF_DATASETS_CACHE", str(tmp_path / "cache"))
    words = begun(tmp_path, "--epochs", "500", "--precision", "bf16")
    processes = ranks.start(2, tmp_path / "a", command, tmp_path / "said", *words)
    metrics = tmp_path / "run" / "metrics.jsonl"
    for _ in range(600):
        if metrics.exists() and metrics.stat().st_size:
            break
        time.sleep(0.05)
    os.kill(processes[1][0].pid, signal.SIGTERM)  # one is told, all stop
    assert ranks.finish(processes) == [143, 143]
    last = json.loads(metrics.read_text().splitlines()[-1])
    assert last["kind"] == "end"
    again = ["train", "--resume", "--out", tmp_path / "run", "--steps", last["step"] + 2]
    assert ranks.finish(ranks.start(2, tmp_path / "b", command, tmp_path / "said", *again)) == [None, None]
    assert json.loads(metrics.read_text().splitlines()[-1])["step"] == last["step"] + 2


def test_what_is_wrong_is_said_once_and_all_leave_with_its_code(tmp_path):
    (tmp_path / "own.txt").write_text("\n")
    words = ["train", tmp_path / "own.txt", "--out", tmp_path / "run"]
    assert ranks.finish(ranks.start(2, tmp_path / "a", command, tmp_path / "said", *words)) == [2, 2]
    assert "no sentences found" in (tmp_path / "said-0").read_text()
    assert (tmp_path / "said-1").read_text() == ""


def test_torchrun_starts_the_same_command(tmp_path):
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    words = [*launcher, "-m", "textvae_cli", *map(str, begun(tmp_path, "--steps", "3", "--json"))]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path), "HF_HOME": str(tmp_path)}
    done = subprocess.run(words, capture_output=True, text=True, env=environment, timeout=120)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["steps"] == 3  # one document: the others are silent
    assert done.stderr.count("run: ") == 1
