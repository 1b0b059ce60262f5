"""Ctrl-C and SIGTERM ask for an end; the loop ends at the next step, saves, and says how to go on.

A second ctrl-C ends at once, as ever; torchrun passes the first one on to its processes, which have
had it already, so only one that comes more than a second later counts as the second. Signals arrive
in the main thread only, so elsewhere (a notebook's worker, a server) nothing is installed and a
caller uses its own means.
"""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

_SECOND_THOUGHT = 1.0
_REQUESTS = (signal.SIGINT, signal.SIGTERM, getattr(signal, "SIGBREAK", signal.SIGINT))
"""The last is what one process on Windows can send another."""


class Interrupt:
    """Whether an end was asked for, and when (in `time.monotonic` seconds)."""

    def __init__(self) -> None:
        self.asked_at: float | None = None

    @property
    def asked(self) -> bool:
        """Whether an end was asked for."""
        return self.asked_at is not None


@contextmanager
def interruptible(given: Interrupt | None = None) -> Iterator[Interrupt]:
    """Take SIGINT and SIGTERM as a request while the block runs, then give them back.

    Args:
        given: what takes the request, so that a caller can ask for an end, too.
    """
    interrupt = given or Interrupt()
    if threading.current_thread() is not threading.main_thread():
        yield interrupt
        return
    before = {number: signal.getsignal(number) for number in _REQUESTS}

    def restore() -> None:
        for number, handler in before.items():
            signal.signal(number, handler or signal.SIG_DFL)

    def ask(number: int, frame: FrameType | None) -> None:
        now = time.monotonic()
        if interrupt.asked_at is None:
            interrupt.asked_at = now
        elif now - interrupt.asked_at > _SECOND_THOUGHT:
            restore()
            signal.raise_signal(number)

    for number in before:
        signal.signal(number, ask)
    try:
        yield interrupt
    finally:
        restore()
