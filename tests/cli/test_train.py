"""textvae train: its run folder, --resume, signals."""

import hashlib
import json
import signal
import time
import tomllib

import pytest

from .conftest import TINY, start


def weights(run):
    return hashlib.sha256((run / "checkpoints/last/model.safetensors").read_bytes()).hexdigest()


def test_the_run_folder(tiny, textvae):
    config = tomllib.loads((tiny / "config.toml").read_text())
    assert config["recipe"] == "sentences/lstm"
    assert config["corpus"]["source"] == "toy:200"
    assert config["train"]["device"] == "cpu"
    facts = json.loads((tiny / "model/config.json").read_text())["facts"]
    assert facts["command"].startswith("textvae train toy:200 --steps=60")
    assert facts["sentences"] == 190
    assert (tiny / "codec/tokenizer.model").exists()
    done = textvae("train", "--resume", "--out", tiny)
    assert done.exit_code == 0
    assert "next: textvae interpolate" in done.stdout
    assert "Traceback" not in done.stderr


def test_an_existing_run_is_not_overwritten(textvae, tiny):
    done = textvae("train", "toy:50", "--out", tiny)
    assert done.exit_code == 2
    assert "--resume" in done.stderr


def test_default_place_json_and_absolute_source(textvae, tmp_path):
    (tmp_path / "my.txt").write_text("One sentence.\nAnother one.\nA third.\n")
    done = textvae("train", "my.txt", "--steps", 2, "--json", *TINY)
    tree = json.loads(done.stdout)
    assert tree["run"] == "runs/my-lstm"
    assert tree["steps"] == 2
    assert tree["validation"]["nll"] > 0
    config = tomllib.loads((tmp_path / "runs/my-lstm/config.toml").read_text())
    assert config["corpus"]["source"] == str(tmp_path / "my.txt")
    assert json.loads(textvae("train", "my.txt", "--steps", 2, "--json", *TINY).stdout)["run"] == "runs/my-lstm-2"
    longer = textvae("train", "--resume", "--steps", 4, "--json", *TINY[-2:])
    assert json.loads(longer.stdout)["steps"] == 4, longer.stderr
    assert json.loads(longer.stdout)["run"] == "runs/my-lstm-2"
    other = textvae("train", "--resume", "--seed", 5)
    assert other.exit_code == 2
    assert "train.seed" in other.stderr
    (tmp_path / "my.txt").write_text("The corpus\nis another one.\n")
    changed = textvae("train", "--resume", "--steps", 6)
    assert changed.exit_code == 2
    assert "not the one" in changed.stderr


def test_rate_and_config(textvae, tmp_path):
    (tmp_path / "c.toml").write_text('[objective]\nname = "elbo"\n')
    done = textvae("train", "toy:40", "--config", "c.toml", "--rate", 3, "--steps", 1, "--out", "r", *TINY)
    assert done.exit_code == 0, done.stderr
    config = tomllib.loads((tmp_path / "r/config.toml").read_text())
    assert config["objective"] == {"name": "target_rate", "rate": 3.0}


def test_a_run_that_collapsed_says_so_in_its_last_line(textvae):
    words = ["toy:40", "--recipe", "sentences/bowman", "--set=objective.schedule.name=constant", "--steps", 9, *TINY]
    done = textvae("train", *words, "--set=train.learning_rate=1e-9", "--out", "r")
    assert done.exit_code == 0, done.stderr
    assert done.stdout.splitlines()[-1].startswith("Posterior collapse: the code carries 0.")
    assert "collapse" in json.loads(textvae("train", "--resume", "--out", "r", "--json").stdout)["warning"]


@pytest.mark.parametrize(
    ("words", "part"),
    [
        ([], "Say what to train on"),
        (["toy:40", "--recipe", "sentences/lst"], "sentences/lstm"),
        (["toy:40", "--recipe", "nope.toml"], "nope.toml"),
        (["toy:40", "--set", "model.latent_sice=3"], "model.latent_size"),
        (["toy:40", "--set", "model.encoder.hiden_size=3"], "hidden_size"),
        (["toy:40", "--set", "model.encoder.name=lstn"], "lstm"),
        (["toy:40", "--set", "objective.raet=3"], "rate"),
        (["toy:40", "--set", "latent"], "key=value"),
        (["toy:40", "--recipe", "images/vae"], "sentences/lstm"),
        (["toy:40", "--epochs", "2", "--steps", "3"], "give one"),
        (["toy:40", "--minutes", "0"], "train.minutes"),
        (["toy:40", "--device", "cuda:77"], "--device cpu"),
        (["toy:40", "--device", "quantum"], "--device cpu"),
        (["--resume"], "no run"),
        (["--resume", "--out", "nowhere"], "no run"),
        (["toy:40", "--out", "file/run"], "is a file"),
    ],
)
def test_wrong_requests_leave_nothing_behind(textvae, tmp_path, words, part):
    (tmp_path / "file").write_text("")
    done = textvae("train", *words)
    assert done.exit_code == 2, done.stderr
    assert part in done.stderr
    assert "Traceback" not in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def wait_for(path, process):
    until = time.monotonic() + 60
    while not path.exists():
        assert process.poll() is None, process.stderr.read()
        assert time.monotonic() < until
        time.sleep(0.02)


def test_kill_and_resume_end_with_the_same_weights(textvae, tmp_path, tiny):
    out = tmp_path / "killed"
    words = ["train", "toy:200", "--steps=60", f"--out={out}", *TINY, "--set=train.save_every=5"]
    process = start(*words)
    wait_for(out / "checkpoints/step-00000010", process)
    process.kill()
    process.wait()
    process.stderr.close()
    process.stdout.close()
    assert not (out / "checkpoints/step-00000060").exists(), "killed too late to tell"
    done = textvae("train", "--resume", "--out", out, "--threads=1")
    assert done.exit_code == 0, done.stderr
    assert "Resumed at step" in done.stderr
    assert weights(out) == weights(tiny)
    facts = json.loads((out / "model/config.json").read_text())["facts"]
    assert facts["command"].startswith("textvae train toy:200")


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_signal_ends_the_run_saved(tmp_path, textvae, number, code):
    out = tmp_path / "run"
    process = start("train", "toy:200", "--steps=100000", f"--out={out}", *TINY)
    wait_for(out / "model", process)
    process.send_signal(number)
    _, err = process.communicate(timeout=60)
    assert process.returncode == code, err
    assert f"textvae train --resume --out {out}" in err.decode()
    assert b"Traceback" not in err
    last = (out / "checkpoints/last").resolve()
    assert f"step {int(last.name.removeprefix('step-')):,}." in err.decode()
    assert textvae("sample", "--model", out).exit_code == 0


def test_a_signal_while_reading_leaves_at_once(tmp_path, textvae, monkeypatch):
    import os

    import textvae_cli.session as session

    def read(*_):
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(1)

    before = signal.getsignal(signal.SIGTERM)
    monkeypatch.setattr(session, "read_corpus", read)
    assert textvae("train", "toy:40").exit_code == 143
    assert signal.getsignal(signal.SIGTERM) == before
    assert not list(tmp_path.iterdir())


ENDLESS = """
import hashlib
from textvae.trainer import Trainer
from textvae_cli.app import main

def update(trainer, batch):
    (trainer.run.path / "in a step").touch()
    hashlib.pbkdf2_hmac("sha256", b"", b"", 2**31 - 1)

Trainer._update = update
main()
"""  # in C, as torch's operations are, where Python handles no signal; it would take half an hour


def test_a_second_signal_does_not_wait_for_a_long_step(tmp_path):
    process = start("train", "toy:40", f"--out={tmp_path / 'run'}", *TINY, program=("-c", ENDLESS))
    try:
        wait_for(tmp_path / "run/in a step", process)
        process.send_signal(signal.SIGINT)
        time.sleep(0.2)
        assert process.poll() is None
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == 130, err
    assert b"Traceback" not in err


def test_two_processes_do_not_share_a_run(textvae, tiny):
    from textvae.run_folder import RunFolder

    with RunFolder(tiny).locked():
        done = textvae("train", "--resume", "--out", tiny)
    assert done.exit_code == 2
    assert "in use" in done.stderr


def test_standard_input_is_refused_where_several_processes_would_read_it(textvae, monkeypatch):
    from textvae import distributed

    monkeypatch.setattr(distributed, "size", lambda: 2)
    done = textvae("train", "-", input="a line\n")
    assert done.exit_code == 2
    assert "put the lines in a file" in done.stderr
