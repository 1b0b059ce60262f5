"""Where the page computes: two threads, one for what is wanted at once and one for what takes long.

Whoever leaves is not computed for any more: a closed request cancels its job, which ends at the
next layer of the network that it runs, where `check` is called.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any, Literal, TypeVar

from starlette.requests import Request

from striate.serve.refusal import Refusal

T = TypeVar("T")
Lane = Literal["quick", "slow"]

_MOST_WAITING = 24  # jobs of a lane; more are sent away
_LONGEST = 180.0  # seconds that a job may take
_now = threading.local()


class Cancelled(Exception):
    """Nobody waits for this job any more."""


class Job:
    """One computation, which may be given up."""

    def __init__(self) -> None:
        self.given_up = threading.Event()
        self._until = 0.0

    def run(self, work: Callable[..., T], *given: Any) -> T:
        """Do the work in this thread, unless nobody wants it any more."""
        _now.job, self._until = self, time.monotonic() + _LONGEST
        try:
            self.check()
            return work(*given)
        finally:
            _now.job = None

    def check(self) -> None:
        """End the job here if it has been given up, or takes too long.

        Raises:
            Cancelled: nobody waits for it.
            Refusal: 503, it took too long.
        """
        if self.given_up.is_set():
            raise Cancelled
        if time.monotonic() > self._until:
            raise Refusal(503, f"This took over {_LONGEST:.0f} seconds and was given up.")


def check() -> None:
    """End the job of this thread if it has been given up; nothing elsewhere."""
    job = getattr(_now, "job", None)
    if job is not None:
        job.check()


class Bench:
    """The two threads."""

    def __init__(self) -> None:
        self._lanes = {lane: ThreadPoolExecutor(1, f"page-{lane}") for lane in ("quick", "slow")}
        self._waiting = dict.fromkeys(self._lanes, 0)

    async def do(self, request: Request, lane: Lane, work: Callable[..., T], *given: Any) -> T:
        """Return what some work gives, or give it up when the client leaves.

        Raises:
            Refusal: 503, too many wait already.
            Cancelled: the client left.
        """
        if self._waiting[lane] >= _MOST_WAITING:
            raise Refusal(503, "Too much is being computed already.", retry_after=1)
        self._waiting[lane] += 1
        job = Job()
        loop = asyncio.get_running_loop()
        future = loop.run_in_executor(self._lanes[lane], job.run, work, *given)
        future.add_done_callback(lambda done: self._ended(lane, done))
        leaves = asyncio.ensure_future(_leaving(request))
        try:
            await asyncio.wait((future, leaves), return_when=asyncio.FIRST_COMPLETED)
            if future.done():
                return future.result()
            raise Cancelled
        finally:
            leaves.cancel()
            job.given_up.set()

    def _ended(self, lane: Lane, done: asyncio.Future[Any]) -> None:
        self._waiting[lane] -= 1
        if not done.cancelled():
            done.exception()  # looked at, so that a job that nobody waits for says nothing

    def close(self) -> None:
        """End both threads, once what runs there has ended."""
        for lane in self._lanes.values():
            lane.shutdown(wait=False, cancel_futures=True)


async def _leaving(request: Request) -> None:
    with suppress(RuntimeError):
        while (await request.receive())["type"] != "http.disconnect":
            pass
