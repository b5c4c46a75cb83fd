"""Checkpoints and runs on disk: whatever stops a writer or damages a file, what is loaded is whole."""

import json
import os
import random
import shutil
import stat
import subprocess
import sys

import pytest
import torch

from tests.toys import equal, vae_of
from textvae import checkpoint, tensors
from textvae.errors import CorruptFolder, RequestError, TextvaeError
from textvae.files import link, new_folder, sweep, write_whole
from textvae.records import Record
from textvae.run_folder import RunFolder

FILES = [checkpoint.MODEL, checkpoint.OPTIMIZER, checkpoint.TRAINER, checkpoint.MANIFEST]


class Killed(BaseException):
    """The process is gone: nothing after this runs."""


def model_at(step):
    return {"weight": torch.full((4, 3), float(step)), "bias": torch.arange(step + 1)}


def write(folder, step):
    return checkpoint.write(folder, step, model_at(step), {"m": torch.ones(2) * step}, {"epoch": step})


@pytest.fixture
def two(tmp_path):
    """A folder with the checkpoints of steps 1 and 2."""
    for step in (1, 2):
        write(tmp_path, step)
    return tmp_path


def newest(folder):
    skipped = []
    return checkpoint.newest(folder, skipped.append), skipped


def test_what_is_read_is_what_was_written(two):
    place, skipped = newest(two)
    assert place.name == "step-00000002"
    assert not skipped
    model, optimizer, numbers = checkpoint.read(place)
    assert equal(model, model_at(2))
    assert torch.equal(optimizer["m"], torch.ones(2) * 2)
    assert (numbers["step"], numbers["epoch"]) == (2, 2)
    assert (two / "last").resolve() == place.resolve()


def deaths(monkeypatch):
    """Make the n-th change of the disk the last: it and all later ones raise, whatever cleans up."""
    state = {"left": 10**9, "count": 0, "half": False}

    def mortal(module, name):
        original = getattr(module, name)

        def call(*args, **kwargs):
            if state["left"] <= 0:
                raise Killed
            state["left"] -= 1
            state["count"] += 1
            if state["left"] <= 0:
                if state["half"] and name == "save_file":
                    original(*args, **kwargs)
                    os.truncate(args[1], 50)
                raise Killed
            return original(*args, **kwargs)

        monkeypatch.setattr(module, name, call)

    for name in ("mkdir", "rename", "replace", "symlink", "unlink", "rmdir", "fsync", "chmod"):
        mortal(os, name)
    mortal(tensors, "save_file")
    mortal(checkpoint.Path, "write_text")
    return state


@pytest.mark.parametrize("half", [False, True], ids=["before", "halfway"])
@pytest.mark.parametrize("again", [False, True], ids=["new", "replaced"])
def test_a_writer_killed_at_any_point_leaves_a_whole_checkpoint(tmp_path, monkeypatch, half, again):
    def runs(n):
        with pytest.MonkeyPatch.context() as patch:
            folder = tmp_path / f"{n}"
            run = RunFolder(folder)
            run.checkpoints.mkdir(parents=True)
            write(run.checkpoints, 1)
            write(run.checkpoints, 2)
            state = deaths(patch)
            state["left"], state["half"] = n, half
            try:
                write(run.checkpoints, 2 if again else 3)
                checkpoint.prune(run.checkpoints, 1)
            except Killed:
                return run, True
            return run, False

    n, alive = 1, False
    while not alive:
        run, killed = runs(n)
        with run.locked():
            pass  # what the next start does first: it sweeps
        assert not [p.name for p in run.checkpoints.iterdir() if ".tmp" in p.name]
        place, skipped = newest(run.checkpoints)
        assert not skipped, f"killed at change {n}: {skipped}"
        step = int(place.name.removeprefix("step-"))
        assert step >= 2
        assert equal(checkpoint.read(place)[0], model_at(step))
        assert (run.checkpoints / "last").resolve().is_dir()
        alive = not killed
        n += 1
    assert n > 15, "too few points were tried for this to mean anything"


@pytest.mark.parametrize("name", FILES)
def test_a_truncated_file_is_noticed_and_the_older_checkpoint_taken(two, name):
    file = two / "step-00000002" / name
    data = file.read_bytes()
    for length in {*range(0, len(data), max(1, len(data) // 60)), len(data) - 1}:
        file.write_bytes(data[:length])
        place, skipped = newest(two)
        assert place.name == "step-00000001", f"{name} cut to {length} of {len(data)} bytes"
        assert len(skipped) == 1
        assert "step-00000002" in skipped[0]
    file.unlink()
    assert newest(two)[0].name == "step-00000001"
    file.write_bytes(data)
    assert newest(two)[0].name == "step-00000002"


@pytest.mark.parametrize("name", FILES)
def test_a_flipped_bit_is_never_silent(two, name):
    file = two / "step-00000002" / name
    data, chance = file.read_bytes(), random.Random(0)
    flips = [(i, 1 << chance.randrange(8)) for i in range(len(data))] if len(data) < 900 else []
    flips += [(chance.randrange(len(data)), 1 << chance.randrange(8)) for _ in range(150)]
    for position, bit in flips:
        damaged = bytearray(data)
        damaged[position] ^= bit
        file.write_bytes(damaged)
        with pytest.raises(CorruptFolder):
            checkpoint.verify(file.parent)


@pytest.mark.parametrize("name", FILES)
def test_a_file_swapped_with_another_steps_is_noticed(two, name):
    shutil.copy(two / "step-00000001" / name, two / "step-00000002" / name)
    place, skipped = newest(two)
    assert place.name == "step-00000001"
    assert len(skipped) == 1


def test_a_whole_folder_under_another_steps_name_is_noticed(two):
    (two / "step-00000001").rename(two / "step-00000009")
    assert newest(two)[0].name == "step-00000002"


def test_a_checkpoint_of_a_newer_format_says_so(two):
    manifest = two / "step-00000002" / checkpoint.MANIFEST
    manifest.write_text(json.dumps({**json.loads(manifest.read_text()), "format": 99}))
    with pytest.raises(CorruptFolder, match="newer format 99"):
        checkpoint.verify(manifest.parent)


@pytest.mark.parametrize("text", ["[" * 100_000, "{}", "[]", "null", '{"format": "1", "step": 2, "files": {}}'])
def test_a_manifest_that_is_anything_else_is_damage(two, text):
    (two / "step-00000002" / checkpoint.MANIFEST).write_text(text)
    assert newest(two)[0].name == "step-00000001"


def test_a_manifest_cannot_point_outside_its_folder(two):
    place = two / "step-00000002"
    manifest = json.loads((place / checkpoint.MANIFEST).read_text())
    secret = two / "model.safetensors"
    secret.write_bytes(b"elsewhere")
    manifest["files"]["../model.safetensors"] = {"bytes": 9, "sha256": checkpoint.sha256(secret)}
    (place / checkpoint.MANIFEST).write_text(json.dumps(manifest))
    with pytest.raises(CorruptFolder):
        checkpoint.verify(place)


def test_nothing_whole_is_none_and_all_are_named(two):
    for place in two.glob("step-*"):
        (place / checkpoint.MODEL).write_bytes(b"")
    place, skipped = newest(two)
    assert place is None
    assert len(skipped) == 2
    assert checkpoint.newest(two / "nowhere", skipped.append) is None


def test_pruning_keeps_the_newest_and_what_is_linked(tmp_path):
    for step in range(1, 7):
        write(tmp_path, step)
    link(tmp_path / "best", "step-00000002")
    checkpoint.prune(tmp_path, 2)
    assert sorted(p.name for p in tmp_path.glob("step-*")) == ["step-00000002", "step-00000005", "step-00000006"]


@pytest.mark.parametrize("mask", [0o022, 0o077, 0o002])
def test_files_and_folders_follow_the_umask(tmp_path, mask):
    before = os.umask(mask)
    try:
        place = write(tmp_path / "checkpoints", 1)
        write_whole(tmp_path / "file", b"x")
        vae_of("sentences/ptb").save_pretrained(tmp_path / "model")
    finally:
        os.umask(before)
    for file in [*place.iterdir(), *(tmp_path / "model").iterdir(), tmp_path / "file"]:
        assert stat.S_IMODE(file.stat().st_mode) == 0o666 & ~mask, file
    for folder in (place, tmp_path / "model"):
        assert stat.S_IMODE(folder.stat().st_mode) == 0o777 & ~mask


def test_an_error_in_the_middle_leaves_what_was_there(tmp_path):
    with new_folder(tmp_path / "a") as fresh:
        (fresh / "file").write_text("old")

    def broken():
        with new_folder(tmp_path / "a") as fresh:
            (fresh / "file").write_text("new")
            raise KeyError

    with pytest.raises(KeyError):
        broken()
    assert (tmp_path / "a" / "file").read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["a"]


def test_sweeping_takes_leftovers_alone_and_puts_back_what_was_moved_aside(tmp_path):
    (tmp_path / ".tmp-step-00000003-77").mkdir()
    (tmp_path / ".tmp-config.toml-77").write_text("half")
    (tmp_path / ".tmp-my-model-77.old").mkdir()
    (tmp_path / ".tmp-my-model-77.old" / "file").write_text("whole")
    (tmp_path / "notes.txt").write_text("mine")
    sweep(tmp_path)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["my-model", "notes.txt"]
    assert (tmp_path / "my-model" / "file").read_text() == "whole"


HOLD = """
import fcntl, sys, time
file = open(sys.argv[1], "w")
fcntl.flock(file, fcntl.LOCK_EX)
print("held", flush=True)
time.sleep(60)
"""


def test_a_run_is_written_by_one_process_at_a_time_and_a_dead_one_holds_nothing(tmp_path):
    run = RunFolder(tmp_path / "run")
    with run.locked():
        assert (run.path / "PID").read_text() == str(os.getpid())
    (run.path / "PID").write_text("4242")
    with subprocess.Popen([sys.executable, "-c", HOLD, run.path / "LOCK"], stdout=subprocess.PIPE) as holder:
        try:
            assert holder.stdout.readline()
            with pytest.raises(RequestError, match=r"in use by process 4242.*--out"), run.locked():
                pass
        finally:
            holder.kill()
    assert (run.path / "LOCK").exists()
    with run.locked():
        assert (run.path / "PID").read_text() == str(os.getpid())
    assert not (run.path / "PID").exists()


def test_the_lock_is_given_back_after_an_error(tmp_path):
    run = RunFolder(tmp_path)
    for _ in range(2):
        with pytest.raises(KeyError), run.locked():
            raise KeyError


def test_a_run_where_a_file_stands_is_refused(tmp_path):
    (tmp_path / "run").write_text("a file")
    with pytest.raises(TextvaeError) as caught, RunFolder(tmp_path / "run").locked():
        pass
    assert caught.value.exit_code == 2
    assert (tmp_path / "run").read_text() == "a file"


def test_a_run_keeps_its_settings_environment_metrics_and_events(tmp_path):
    vae, run = vae_of("sentences/lstm"), RunFolder(tmp_path / "run")
    assert not run.exists
    with run.locked():
        run.begin(vae.settings)
        run.log(Record("train", 5, {"loss": 1.5}))
        run.log(Record("valid", 5, {"nll": 2.0}, {"input": "snö ☃", "sample": "line\nbreak"}))
        run.log(Record("train", 6, {"loss": 1.25}))
    assert run.exists
    assert run.settings() == vae.settings
    environment = json.loads((run.path / "env.json").read_text())
    assert {"textvae", "torch", "python", "seed", "argv", "git"} <= environment.keys()
    assert list((run.path / "tensorboard").glob("events*"))
    assert [r.step for r in run.records()] == [5, 5, 6]
    assert run.records()[1].texts == {"input": "snö ☃", "sample": "line\nbreak"}
    run.rewind(5)
    assert [r.step for r in run.records()] == [5, 5]
    run.rewind(-1)
    assert run.records() == []
    assert (run.path / "metrics.jsonl").read_bytes() == b""


@pytest.mark.parametrize("record", [Record("end", 3, {"seconds": 1.0}, {"why": "done"}), Record("notice", 0)])
def test_records_come_back_from_their_dictionaries(record):
    assert Record.from_dict(json.loads(json.dumps(record.to_dict()))) == record
