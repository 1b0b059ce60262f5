"""Work cut into as many ranges as torch has threads, the first done by the caller.

Kernels release the interpreter's lock, so plain threads do; there is one pool for the process.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from typing import Any

import torch


def share(kernel: Callable[..., None], count: int, *arguments: Any) -> None:
    """Call `kernel(first, last, *arguments)` on ranges that together are `range(count)`."""
    threads = min(torch.get_num_threads(), count)
    if threads < 2:
        kernel(0, count, *arguments)
        return
    ends = [count * each // threads for each in range(threads + 1)]
    waiting = [
        _pool(threads).submit(kernel, first, last, *arguments)
        for first, last in zip(ends[1:-1], ends[2:], strict=True)
    ]
    kernel(0, ends[1], *arguments)
    for each in waiting:
        each.result()


@lru_cache(maxsize=1)
def _pool(threads: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(threads - 1, thread_name_prefix="striate")
