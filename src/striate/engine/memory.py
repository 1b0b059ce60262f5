"""Memory that stays with the process between calls.

A value of some ten megabytes is given back to the system when torch frees it and cleared page by
page when the next call asks for it again: VGG's first convolution took 32 ms of which 21 were that.
glibc's allocator can be told to keep what is freed.
"""

from __future__ import annotations

import ctypes
import os
import sys
from functools import cache

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # as malloc.h numbers them
_NEVER = 2**31 - 1


@cache
def keep_freed_memory() -> bool:
    """Tell the C library to keep freed memory for the next call; once for the process.

    Returns:
        Whether it was told: on Linux with glibc, unless its own variables (MALLOC_MMAP_THRESHOLD_,
        MALLOC_TRIM_THRESHOLD_) or a preloaded allocator already say something.
    """
    chosen = ("MALLOC_MMAP_THRESHOLD_", "MALLOC_TRIM_THRESHOLD_", "LD_PRELOAD", "GLIBC_TUNABLES")
    if sys.platform != "linux" or any(name in os.environ for name in chosen):
        return False
    try:
        mallopt = ctypes.CDLL("libc.so.6").mallopt
    except (OSError, AttributeError):
        return False
    return bool(mallopt(_MMAP_THRESHOLD, 1 << 30)) and bool(mallopt(_TRIM_THRESHOLD, _NEVER))
