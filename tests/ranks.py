"""Several processes on this machine that train together, each forked from one that has imported torch already."""

import functools
import multiprocessing
import os
import pickle
import sys
import traceback

import torch
import torch.distributed as dist

from textvae import distributed

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
