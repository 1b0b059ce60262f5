"""Work in pieces, done by as many threads as torch has.

Compiled kernels are run by torch's own team of threads where that can be reached (OpenMP of GNU, on
Linux): it waits awake for its next work, and a second pool would contend with it for the cores. On
a machine with more work than cores long waiting is a disaster (measured: a layer of 1 ms took 24),
so there (unless it waits shortly, as our commands have it), elsewhere, and for Python's own
functions, one pool of plain threads that sleep between calls serves the whole process; kernels
release the interpreter's lock. The caller works along.
"""

from __future__ import annotations

import ctypes
import os
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch

_SHORT = 30_000  # rounds of waiting awake, up to half a millisecond


def share(work: Callable[..., None], pieces: Sequence[tuple[int, ...]]) -> None:
    """Call `work(*piece)` for every piece; returns when all are done.

    Raises:
        Exception: the first that a piece raised.
    """
    remaining = iter(pieces)
    lock = threading.Lock()

    def take() -> None:
        while True:
            with lock:
                piece = next(remaining, None)
            if piece is None:
                return
            work(*piece)

    _together(take, min(torch.get_num_threads(), len(pieces)))


def team(entry: Any, data: int, pieces: int) -> None:
    """Call a compiled function on every thread of a team; returns when all have.

    Args:
        entry: takes an address.
        data: the address that all are given.
        pieces: how many threads have work, at most.
    """
    count = min(torch.get_num_threads(), pieces)
    parallel = _openmp() if count > 1 and (_polite() or not crowded()) else None
    if parallel is None:
        _together(lambda: entry(data), count)
    else:
        parallel(ctypes.cast(entry, ctypes.c_void_p), data, count, 0)


@lru_cache(maxsize=1)
def _polite() -> bool:
    """Say whether OpenMP's threads were told to wait awake for a fraction of a millisecond only."""
    spin = os.environ.get("GOMP_SPINCOUNT", "")
    short = spin.isdigit() and int(spin) <= _SHORT
    return short or os.environ.get("OMP_WAIT_POLICY", "").lower() == "passive"


def crowded() -> bool:
    """Say whether the machine has had clearly more work than cores for the last minute."""
    try:
        return os.getloadavg()[0] > 1.5 * (os.cpu_count() or 1)
    except (OSError, AttributeError):  # a system that does not say
        return False


def cut(count: int, pieces: int, grain: int = 1) -> list[tuple[int, int]]:
    """Return ranges that together are range(count), at most `pieces`, cut at multiples of grain.

    No two differ by more than a grain, but for the last, which has what is left.

    Example:
        >>> cut(10, 3, grain=2)
        [(0, 4), (4, 8), (8, 10)]
    """
    units = -(-count // grain)
    parts = max(1, min(units, pieces))
    ends = [min(-(-units * part // parts) * grain, count) for part in range(parts + 1)]
    return [pair for pair in pairwise(ends) if pair[0] < pair[1]]


def _together(work: Callable[[], object], count: int) -> None:
    """Call `work` on `count` threads at once, the caller's among them."""
    if count < 2:
        work()
        return
    waiting = [_pool(os.getpid(), count - 1).submit(work) for _ in range(count - 1)]
    try:
        work()
    finally:
        for each in waiting:
            each.result()


@lru_cache(maxsize=1)
def _pool(process: int, threads: int) -> ThreadPoolExecutor:
    """Return the pool; a forked process makes its own."""
    return ThreadPoolExecutor(threads, thread_name_prefix="striate")


@lru_cache(maxsize=1)
def _openmp() -> Any:
    """Return GOMP_parallel of the library that torch brought and runs on; None elsewhere."""
    try:
        lines = Path("/proc/self/maps").read_text().splitlines()
        paths = {line.split()[-1] for line in lines if "libgomp" in line}
        inside = Path(torch.__file__).parent
        (path,) = (each for each in paths if inside in Path(each).parents)
        function = ctypes.CDLL(path).GOMP_parallel
    except (OSError, ValueError, AttributeError):
        return None
    kinds = (ctypes.c_void_p, ctypes.c_void_p, ctypes.c_uint, ctypes.c_uint)
    function.argtypes, function.restype = kinds, None
    return function
