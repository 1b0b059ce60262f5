"""The processes that train one network together; usually there is one.

Everything the loop asks of torch.distributed is here, and with one process each of it is free. It
takes the place of DistributedDataParallel, for three reasons: DDP rebuilds its buckets after the
first step, so that with three or more processes a resumed run would add gradients in another order
than the undisturbed one; it needs to be told about unused parameters; and it renames the modules.
What is given up is overlapping the sum of gradients with the backward pass.
"""

from __future__ import annotations

import contextlib
import importlib
import os
from collections.abc import Callable, Iterator, Sequence
from datetime import timedelta
from typing import NamedTuple, TypeVar, cast

import torch
import torch.distributed as dist
from torch import Tensor

from striate.errors import StriateError, TrainingError
from striate.ops import choose_device

T = TypeVar("T")

_BUCKET_ELEMENTS = 1 << 22  # 16 MiB of float32
_TIMEOUT = timedelta(minutes=30)
_LEFT = ("by peer", "remote process exited")  # what gloo and NCCL say where a process has left


class Processes(NamedTuple):
    """This process among those that train together.

    Args:
        rank: of this process, from 0; the first one writes and decides.
        world: how many there are.
        device: where this one computes.
    """

    rank: int
    world: int
    device: torch.device

    @property
    def first(self) -> bool:
        """Whether this process writes and decides."""
        return self.rank == 0

    def decide(self, decision: Callable[[], T]) -> T:
        """Take a decision, or do what only one may do, in the first process; all get the result.

        Raises:
            StriateError: raised in the first process, and then in all.
        """
        if self.world == 1:
            return decision()
        answer: list[object] = [None]
        if self.first:
            try:
                answer = [decision()]
            except StriateError as error:
                answer = [error]
        dist.broadcast_object_list(answer, src=0, device=self.device)
        if isinstance(answer[0], StriateError):
            raise answer[0]
        return cast(T, answer[0])

    def first_then_all(self, make: Callable[[], T]) -> T:
        """Make something in every process, in the first one before the others.

        What the first one downloads or refuses is then there, or refused, for all.
        """
        made: list[T] = []
        self.decide(lambda: made.append(make()))
        return made[0] if made else make()

    def most(self, number: int) -> int:
        """Return the greatest number of all processes."""
        if self.world == 1:
            return number
        greatest = torch.tensor([number], device=self.device)
        dist.all_reduce(greatest, dist.ReduceOp.MAX)
        return int(greatest)

    def sum(self, values: Tensor) -> Tensor:
        """Return the sum of a tensor over all processes; the argument may be overwritten."""
        if self.world > 1:
            dist.all_reduce(values)
        return values

    def sum_gradients(self, parameters: Sequence[Tensor]) -> None:
        """Replace every gradient by its sum over all processes, in a fixed order.

        A parameter without a gradient has none in any process, since all run the same graph.
        """
        if self.world == 1:
            return
        for bucket in _buckets([p.grad for p in parameters if p.grad is not None]):
            flat = torch.cat([gradient.reshape(-1) for gradient in bucket])
            dist.all_reduce(flat)
            sizes = [gradient.numel() for gradient in bucket]
            for gradient, part in zip(bucket, torch.split(flat, sizes), strict=True):
                gradient.copy_(part.view(gradient.shape))

    def gather_rows(self, rows: Tensor) -> Tensor:
        """Return the rows of all processes, in rank order: (rows, ...) -> (all rows, ...)."""
        if self.world == 1:
            return rows
        own = torch.tensor([len(rows)], device=rows.device)
        counts = [torch.empty_like(own) for _ in range(self.world)]
        dist.all_gather(counts, own)
        most = max(int(count) for count in counts)
        padded = rows.new_zeros((most, *rows.shape[1:]))
        padded[: len(rows)] = rows
        parts = [torch.empty_like(padded) for _ in counts]
        dist.all_gather(parts, padded)
        return torch.cat([part[: int(n)] for part, n in zip(parts, counts, strict=True)])


@contextlib.contextmanager
def processes(device: str) -> Iterator[Processes]:
    """Join the processes that torchrun started, or be the only one.

    Args:
        device: "auto", "cpu", "cuda" or "cuda:1".

    Raises:
        UsageError: the device is not there.
        TrainingError: another process has ended early; its own error says why.
    """
    world = int(os.environ.get("WORLD_SIZE", "1")) if "RANK" in os.environ else 1
    if dist.is_initialized():
        world = dist.get_world_size()
    if world == 1:
        yield Processes(0, 1, choose_device(device))
        return
    own = _own_device(device)
    if own.type == "cuda":
        torch.cuda.set_device(own)
    joined_here = not dist.is_initialized()
    if joined_here:
        importlib.import_module("torch.distributed.nn.functional")  # see _take_leave
        dist.init_process_group("nccl" if own.type == "cuda" else "gloo", timeout=_TIMEOUT)
    try:
        yield Processes(dist.get_rank(), world, own)
        if joined_here:
            _take_leave()
    except RuntimeError as error:
        if not any(words in str(error) for words in _LEFT):
            raise
        raise TrainingError("Another process has ended early; its own error says why.") from error
    finally:
        if joined_here:
            dist.destroy_process_group()


def _take_leave() -> None:
    """Return when nobody speaks to this process any more; gloo aborts where one has left early.

    By way of the store, which knows who is there: a barrier may end here while another process is
    still in it. The process that may hold the store leaves last.

    The group itself goes with its last reference. torch.distributed.nn.functional, which the first
    optimiser imports by way of torch._dynamo, binds the group it finds as a default argument: where
    that is ours, gloo's threads outlive Python and now and then abort its end. Hence its import
    before there is a group.
    """
    store = dist.distributed_c10d._get_default_store()

    def arrive(place: str) -> str:
        before = store.add(f"{place}, count", 1) - 1
        round, present = divmod(before, dist.get_world_size())
        if present == dist.get_world_size() - 1:
            store.set(f"{place}, round {round}", "all")
        return f"{place}, round {round}"

    store.wait([arrive("work done")], _TIMEOUT)
    seen = arrive("seen that all is done")
    if dist.get_rank() == 0:
        store.wait([seen], _TIMEOUT)


def _own_device(name: str) -> torch.device:
    """Return this process's device: the named one, or its own of several CUDA devices."""
    rank = os.environ.get("LOCAL_RANK", os.environ.get("RANK", "0"))
    plain = name == "cuda" or (name == "auto" and torch.cuda.is_available())
    return choose_device(f"cuda:{rank}" if plain else name)


def _buckets(gradients: Sequence[Tensor]) -> Iterator[list[Tensor]]:
    bucket: list[Tensor] = []
    for gradient in gradients:
        full = sum(g.numel() for g in bucket) + gradient.numel() > _BUCKET_ELEMENTS
        if bucket and (full or gradient.dtype != bucket[0].dtype):
            yield bucket
            bucket = []
        bucket.append(gradient)
    if bucket:
        yield bucket
