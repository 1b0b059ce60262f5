"""Work in pieces, done by one pool of threads for the whole process.

Kernels release the interpreter's lock, so plain threads do. Pieces are taken as threads get free,
so that a core with other work on it holds up nobody; what a piece computes does not depend on who
does it. The caller works along, and there are as many threads in all as torch has.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache

import torch


def share(work: Callable[..., None], pieces: Sequence[tuple[int, ...]]) -> None:
    """Call `work(*piece)` for every piece; returns when all are done.

    Raises:
        Exception: the first that a piece raised.
    """
    others = min(torch.get_num_threads(), len(pieces)) - 1
    if others < 1:
        for piece in pieces:
            work(*piece)
        return
    remaining = iter(pieces)
    lock = threading.Lock()

    def take() -> None:
        while True:
            with lock:
                piece = next(remaining, None)
            if piece is None:
                return
            work(*piece)

    waiting = [_pool(os.getpid(), others).submit(take) for _ in range(others)]
    try:
        take()
    finally:
        for each in waiting:
            each.result()


def cut(count: int, pieces: int, grain: int = 1) -> list[tuple[int, int]]:
    """Return ranges that together are range(count), at most `pieces`, cut at multiples of grain.

    Example:
        >>> cut(10, 3, grain=2)
        [(0, 4), (4, 8), (8, 10)]
    """
    units = -(-count // grain)
    each = -(-units // max(pieces, 1)) * grain
    return [(first, min(first + each, count)) for first in range(0, count, max(each, 1))]


@lru_cache(maxsize=1)
def _pool(process: int, threads: int) -> ThreadPoolExecutor:
    """Return the pool; a forked process makes its own."""
    return ThreadPoolExecutor(threads, thread_name_prefix="striate")
