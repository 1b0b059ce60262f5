"""Calls of kernels noted once and made again as one.

A kernel's call costs 0.03 ms in Python, where arguments are gathered and threads called together;
a small network has a hundred steps of 0.1 ms. Where images stay at their addresses the same calls
come again and again: they are noted as they are made, and then a team of threads does them one
after the other, meeting between two without leaving.
"""

from __future__ import annotations

import ctypes
import threading
from collections.abc import Callable, Hashable, Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from itertools import chain, pairwise
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from striate.ops import native
from striate.ops.assembly import Function
from striate.ops.images import scratch
from striate.ops.native import Call
from striate.ops.threads import team

_VIEWS = {
    f"aten::{name}"
    for name in "alias as_strided detach permute select slice unsqueeze view".split()
}
"""Operators that move nothing and keep no memory of their own."""


class Recording(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """What happens while it is entered, in this thread.

    Attributes:
        calls: of kernels, which are made as well.
        whole: whether they are all that happened: no operator of torch did anything.
    """

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.calls: list[Call] = []
        self.whole = True

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        """Say no: what would make the compiler step aside loads it, 37 MB that nobody asked for."""
        return False

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        """Let an operator of torch do what it does, and note that it did."""
        if func._schema.name not in _VIEWS:
            self.whole = False
        return func(*args, **(kwargs or {}))


@contextmanager
def recording() -> Iterator[Recording]:
    """Note the kernels' calls of this thread."""
    before, made = native.notes.calls, Recording()
    native.notes.calls = made.calls
    try:
        with made:
            yield made
    finally:
        native.notes.calls = before


class Tape:
    """Calls that can be made again, by the thread that made them and with as many threads.

    Images and filters have to stay where they were, but for those that move; memory to work in is
    held.

    Args:
        calls: in order.
        owner: what holds the images and filters, where nobody else may.
        moving: addresses, as the calls were made, of what lies elsewhere each time; disjoint.
    """

    def __init__(
        self, calls: Sequence[Call], owner: object = None, moving: Sequence[range] = ()
    ) -> None:
        self._held = list(scratch.kept.values()), [each.table for each in calls], owner
        self.pieces = max((each.pieces for each in calls), default=0)
        starts, words = [], [word for each in calls for word in each.words]
        begun = 1 + 2 * len(calls)
        for each in calls:
            starts.append(begun)
            begun += len(each.words)
        self._memory = (ctypes.c_int64 * begun)()
        self._address = ctypes.addressof(self._memory)
        places = ((c.address, self._address + 8 * at) for c, at in zip(calls, starts, strict=True))
        self._memory[:] = [len(calls), *chain(*places), *words]
        self._fresh = bytes(self._memory)
        self._moving = [
            (begun + place, which, word - memory.start)
            for begun, each in zip(starts, calls, strict=True)
            for place, word in enumerate(each.words)
            for which, memory in enumerate(moving)
            if word in memory
        ]

    def __call__(self, *addresses: int) -> None:
        """Make the calls, on what lies at these addresses now."""
        if self.pieces:
            ctypes.memmove(self._address, self._fresh, len(self._fresh))
            for place, which, offset in self._moving:
                self._memory[place] = addresses[which] + offset
            team(_player(), self._address, self.pieces)


class Tapes(threading.local):
    """A thread's tapes, by what they are for: a training asks for the same in every step."""

    def __init__(self) -> None:
        self._known: dict[Hashable, Tape | None] = {}

    def play(self, key: Hashable, run: Callable[[], object], *tensors: Tensor) -> None:
        """Do what `run` does, from the third time on as one call.

        Args:
            key: all that decides which calls `run` makes, but for threads and places in memory.
            run: makes kernels' calls alone; what it returns is held, if they read that.
            tensors: what else they read and write, but for memory to work in.
        """
        if native.notes.calls is not None:  # somebody else takes notes
            run()
            return
        addresses = [each.data_ptr() for each in tensors]
        key = key, torch.get_num_threads(), *map(addresses.index, addresses)
        tape = self._known.get(key)
        if tape is not None:
            tape(*addresses)
        elif key not in self._known:
            if len(self._known) >= _KNOWN:
                self._known.clear()
            self._known[key] = None
            run()  # memory to work in may have to grow
        elif not _apart(places := [memory(each) for each in tensors]):
            run()
        else:
            native.notes.calls = calls = list[Call]()
            try:
                owner = run()
            finally:
                native.notes.calls = None
            self._known[key] = Tape(calls, owner, places)


_KNOWN = 4096


def memory(x: Tensor) -> range:
    """Return the addresses of a tensor's numbers."""
    if not x.numel():
        return range(0)
    steps = zip(x.shape, x.stride(), strict=True)
    last = sum((length - 1) * step for length, step in steps)
    return range(begun := x.data_ptr(), begun + (last + 1) * x.element_size())


def _apart(places: Sequence[range]) -> bool:
    """Say whether no two overlap, but for the same."""
    ordered = sorted({(each.start, each.stop) for each in places})
    return all(one[1] <= two[0] for one, two in pairwise(ordered))


def follows(calls: Sequence[Call], x: Tensor) -> bool:
    """Say whether calls can be made again where x lies elsewhere: all they know is its start."""
    begun = x.data_ptr()
    inside = range(begun, begun + x.untyped_storage().nbytes())
    known = {word for each in calls for word in each.words if word in inside}
    return begun > 0 and known == {begun}


def taped(run: Callable[[], Any]) -> Callable[[], Any]:
    """Return what does the same without Python, where it is kernels' calls alone; else itself."""
    run()  # what happens at the first call only
    with recording() as made:
        y = run()
    if not made.whole:
        return run
    tape = Tape(made.calls, run)

    def again() -> Any:
        tape()
        return y

    return again


def player() -> Function:
    """Write what every thread of a team does: a call's pieces, then wait for those of others."""
    code = Function("player", "data", lanes=4, public=True)
    with code.loop(code.load_word(code.data)) as index:
        at = code.data + index * 16
        task = code.load_word(at + 16)
        code.call_at(code.load_word(at + 8), task)
        code.await_word(task + native.DONE, code.load_word(task + native.COUNT))
    return code


@lru_cache(maxsize=1)
def _player() -> Any:
    address = native.load("what makes kernels' calls again", [player()])("player")
    return ctypes.CFUNCTYPE(None, ctypes.c_int64)(address)
