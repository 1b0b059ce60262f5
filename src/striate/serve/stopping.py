"""A uvicorn server that ends when it is asked to, and leaves the exit code to its program.

uvicorn's own raises the signal again once it has closed: the process then dies of it, before
whatever called the server has put its things away.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import uvicorn


class Stoppable(uvicorn.Server):
    """Stops at SIGTERM and ctrl-C and returns; at a second one it does not wait for clients."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Take the two signals inside the block, where Python lets this thread have them."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        kinds = (signal.SIGTERM, signal.SIGINT)
        before = {kind: signal.signal(kind, self.handle_exit) for kind in kinds}
        try:
            yield
        finally:
            for kind, handler in before.items():
                signal.signal(kind, handler)

    def handle_exit(self, sig: int, frame: Any) -> None:
        """Note that it is time to stop."""
        self.force_exit = self.should_exit
        self.should_exit = True
