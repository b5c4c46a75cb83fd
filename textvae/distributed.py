"""Several processes train one model: what they share, add up and agree on (started by ``torchrun``).

Without ``joined`` a process is alone, and everything here is the identity.
"""

import gc
import os
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn

from textvae.errors import TextvaeError

TIMEOUT = timedelta(seconds=120)  # without a word from another process; rank 0 saves and writes samples meanwhile
POLL = 0.1  # seconds between two looks at what another process has said
READY, FAILED, HERE = "textvae/ready", "textvae/failed", "textvae/here"  # keys of what processes say

_share = 1.0  # of the examples of this step's batch, those that this process has


def launched() -> bool:
    """Whether a launcher started this process as one of several."""
    return int(os.environ.get("WORLD_SIZE", "1")) > 1


def rank() -> int:
    """The number of this process, from 0; the first one writes, logs and talks."""
    return dist.get_rank() if dist.is_initialized() else 0


def size() -> int:
    """How many processes train together."""
    return dist.get_world_size() if dist.is_initialized() else 1


@contextmanager
def joined() -> Iterator[None]:
    """Inside it, the processes that a launcher started are one group: gloo on the CPU, NCCL between GPUs."""
    if not launched():
        yield
        return
    gpus = torch.cuda.is_available()
    if gpus:
        torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", "0")))
    with _explained():
        dist.init_process_group("cpu:gloo,cuda:nccl" if gpus else "gloo", timeout=TIMEOUT)
    try:
        yield
        # gloo's threads may still hold tensors of the last calls when Python is torn down, which aborts the
        # process: wait for each other, let go of what can be let go of, and only then leave.
        with _explained():
            dist.barrier()
    except BaseException as error:
        if rank() == 0:
            _store().set(FAILED, str(getattr(error, "exit_code", 1)))
        raise
    finally:
        gc.collect()
        dist.destroy_process_group()


def announce(text: str) -> None:
    """Tell the other processes what they wait for (``awaited``)."""
    if size() > 1:
        _store().set(READY, text)


def awaited() -> str:
    """What the first process announces, however long it takes to read a corpus: no collective waits so long.

    Where it fails instead, it says why, and this process leaves quietly: SystemExit, with the same code.
    """
    store = _store()
    while not store.check([READY]):
        if store.check([FAILED]):
            raise SystemExit(int(store.get(FAILED)))
        time.sleep(POLL)
    return store.get(READY).decode()


def assemble() -> None:
    """Wait for all processes to be here, however long they take."""
    if size() > 1:
        _store().add(HERE, 1)
        while _store().add(HERE, 0) % size():
            time.sleep(POLL)


def _store() -> Any:
    return dist.distributed_c10d._get_default_store()


def total(x: Tensor) -> Tensor:
    """The sum over the processes of x, which is of one shape on all of them; no gradient flows."""
    x = x.detach().clone()
    if size() > 1:
        with _explained():
            dist.all_reduce(x)
    return x


def gathered(value: Any) -> list[Any]:
    """The value of each process, in their order; tensors come as they are, on the CPU for preference."""
    if size() == 1:
        return [value]
    values = [None] * size()
    with _explained():
        dist.all_gather_object(values, value)
    return values


def told(value: Any) -> Any:
    """The value of the first process, on all of them."""
    if size() == 1:
        return value
    values = [value if rank() == 0 else None]
    with _explained():
        dist.broadcast_object_list(values, src=0)
    return values[0]


def copy_first(tensors: Iterable[Tensor]) -> None:
    """Give tensors, the same ones on all processes, the values of the first process."""
    if size() > 1:
        with _explained(), torch.no_grad():
            for tensor in tensors:
                dist.broadcast(tensor, src=0)


@contextmanager
def sharing(share: float) -> Iterator[None]:
    """Inside it, this process has that share (from 0 to 1) of the examples of the batch."""
    global _share
    before, _share = _share, share
    try:
        yield
    finally:
        _share = before


def mean(x: Tensor) -> Tensor:
    """The mean [...] over a batch x [B, ...] of which each process has a share; gradients flow to all shares.

    For a loss or a statistic that is not a mean of terms of single examples: a floor under the mean rate, batch
    norm, a multiplier that follows the rate. With it they are what they are in one process.
    """
    return x.mean(0) if size() == 1 else _Sum.apply(x.mean(0) * _share)


class _Sum(torch.autograd.Function):
    """The sum over processes; each of their losses depends on it, so gradients are summed on the way back."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        return total(x)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        return total(gradient)


def add_gradients(parameters: Iterable[nn.Parameter], loss: Tensor) -> Tensor:
    """Sum the gradients of all processes, each of which went back from its own ``loss`` []; the sum of the losses.

    One call for all of them after the backward pass, not DistributedDataParallel's buckets during it: its hooks
    want one forward of one module, where here a loss calls parts of a model, may own parameters, run backward
    passes of its own and hold parameters back. What is lost is the overlap with the backward pass. A parameter
    that no process has a gradient of is left without.
    """
    loss = loss.detach()
    if size() == 1:
        return loss
    parameters = list(parameters)
    has = torch.tensor([float(p.grad is not None) for p in parameters], device=loss.device)
    parts = [torch.zeros_like(p) if p.grad is None else p.grad for p in parameters]
    flat = torch.cat([loss.float()[None], has, *(part.flatten() for part in parts)])
    with _explained():
        dist.all_reduce(flat)
    loss, found, rest = flat[0], flat[1 : 1 + len(parts)].tolist(), flat[1 + len(parts) :]
    for p, some, part in zip(parameters, found, rest.split([p.numel() for p in parameters])):
        p.grad = part.view_as(p) if some else None
    return loss


@contextmanager
def _explained() -> Iterator[None]:
    try:
        yield
    except RuntimeError as error:  # gloo's and NCCL's own errors are RuntimeErrors
        raise TextvaeError(
            f"Process {rank()} lost the others: one of them ended or stood still for {TIMEOUT.seconds} s "
            f"({str(error).splitlines()[0][:120]}). What was saved is unharmed: start again with --resume."
        ) from error
