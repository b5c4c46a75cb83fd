"""Several processes on this machine that train together, each forked from one that has imported torch already."""

import functools
import multiprocessing
import os
import pickle
import sys
import traceback

import torch
import torch.distributed as dist

from tests.toys import batches_of, objective_of, vae_of
from textvae import distributed, files, trainer
from textvae.run_folder import RunFolder
from textvae.trainer import Trainer

STILL = {"model.encoder.dropout": 0.0, "model.decoder.dropout": 0.0, "train.evaluate_every": 8}

context = multiprocessing.get_context("forkserver")
context.set_forkserver_preload(["tests.toys", "textvae.trainer", "textvae_cli.app", "textvae_cli.session", "datasets"])


def start(size, store, work, *arguments):
    """``size`` processes that each call ``work(*arguments)`` in a group that meets in the file ``store``."""
    started = []
    for rank in range(size):
        mine, theirs = context.Pipe()
        process = context.Process(target=_one, args=(theirs, rank, size, str(store), work, arguments))
        process.start()
        theirs.close()
        started.append((process, mine))
    return started


def finish(started):
    """What the processes returned, in their order; for one that failed its exit code."""
    results = []
    for process, pipe in started:
        try:
            results.append(pickle.loads(pipe.recv_bytes()))
        except EOFError:
            results.append(None)
        process.join()
        results[-1] = process.exitcode if process.exitcode else results[-1]
    return results


def together(size, store, work, *arguments):
    """The results of all processes, none of which may fail."""
    results = finish(start(size, store, work, *arguments))
    assert not any(isinstance(result, int) for result in results), results
    return results


def _one(pipe, rank, size, store, work, arguments):
    torch.set_num_threads(1)
    os.environ |= {"RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": str(size)}
    init = functools.partial(dist.init_process_group, store=dist.FileStore(store, size), rank=rank, world_size=size)
    distributed.dist.init_process_group = init
    try:
        pipe.send_bytes(pickle.dumps(work(*arguments)))  # torch's own way needs the sender to stay alive
    except SystemExit:
        raise
    except BaseException:
        traceback.print_exc()
        sys.exit(1)


class Board:
    def add_scalar(self, *args):
        pass


def quick():
    RunFolder.board = Board()
    files.sync = lambda path: None
    trainer.LOG_EVERY = 1
    torch.set_num_threads(1)


def trainer_in(folder, recipe="sentences/ptb", n=16, **assignments):
    vae = vae_of(recipe, STILL | {"train.batch_size": 5, "train.epochs": 2} | assignments)
    run = RunFolder(folder)
    run.checkpoints.mkdir(parents=True, exist_ok=True)
    return Trainer(vae, objective_of(vae), batches_of(vae, n=n), batches_of(vae, shuffle=False, n=7), run, "corpus")


def losses(run):
    keys = "loss", "distortion", "rate", "beta", "gradient", "perplexity", "tokens"
    return [[record.values[key] for key in keys] for record in run.run.records() if record.kind == "train"]
