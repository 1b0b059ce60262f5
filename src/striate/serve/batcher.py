"""Images from many requests, computed together.

Engines are threads. One that is free takes what is waiting, up to a batch; an image waits for
companions only while some are being decoded, and no longer than a deadline, so a lone one is never
late. While one engine works alone it has all the cores; when several do, each has its share and no
thread waits for another at the end of every layer, which on a machine that also decodes and talks
is where the time goes.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch

Pixels = npt.NDArray[np.float32]
Likely = npt.NDArray[np.float64]
Answer = Callable[[Sequence[Pixels]], Likely]

_MEMORY = 0.8  # how much of the pace is what it was before the last batch


class Job(NamedTuple):
    """An image on its way, and who waits for it."""

    image: Pixels
    future: asyncio.Future[Likely]
    arrived: float


class Batcher:
    """Engines and the images that wait for them.

    Args:
        answer: computes the probabilities of a list of images, called from several threads.
        batch: images at a time, at most.
        engines: threads.
        cores: that they share.
        companions: seconds an image may wait for others.
        heard: told, on the event loop, of each batch: its images and seconds.
    """

    def __init__(
        self,
        answer: Answer,
        *,
        batch: int,
        engines: int,
        cores: int,
        companions: float,
        heard: Callable[[int, float], None] = lambda images, seconds: None,
    ) -> None:
        self._answer, self._batch, self._companions = answer, batch, companions
        self._cores, self._heard = cores, heard
        self._waiting: deque[Job] = deque()
        self._change = threading.Condition()
        self._closing = False
        self._busy = 0
        self.coming = 0  # images being decoded
        self.pace = 0.0  # seconds an image, all engines together
        self._loop = asyncio.get_running_loop()
        self._threads = [
            threading.Thread(target=self._work, name=f"engine-{place}", daemon=True)
            for place in range(engines)
        ]
        for each in self._threads:
            each.start()

    def submit(self, image: Pixels) -> asyncio.Future[Likely]:
        """Return the probabilities of an image, when they are known: (classes,)."""
        future: asyncio.Future[Likely] = self._loop.create_future()
        with self._change:
            self._waiting.append(Job(image, future, time.monotonic()))
            self._change.notify()
        return future

    def arrived(self) -> None:
        """Say that an image is decoded, or will not be."""
        self.coming -= 1
        if not self.coming:
            with self._change:
                self._change.notify_all()

    def close(self) -> None:
        """End the engines, once nothing waits."""
        with self._change:
            self._closing = True
            self._change.notify_all()
        for each in self._threads:
            each.join()

    def _work(self) -> None:
        while jobs := self._take():
            busy = self._busy
            torch.set_num_threads(max(1, self._cores // busy))  # of this thread alone
            began = time.monotonic()
            try:
                outcome: Any = self._answer([job.image for job in jobs])
            except Exception as error:  # whoever waits is told
                outcome = error
            seconds = time.monotonic() - began
            with self._change:
                self._busy -= 1
            now = seconds / len(jobs) / busy
            self.pace = _MEMORY * self.pace + (1 - _MEMORY) * now if self.pace else now
            self._loop.call_soon_threadsafe(self._settle, jobs, outcome, seconds)

    def _take(self) -> list[Job]:
        """Return the next batch; nothing when it is time to end."""
        with self._change:
            while True:
                while not self._waiting and not self._closing:
                    self._change.wait()
                if not self._waiting:
                    return []
                until = self._waiting[0].arrived + self._companions
                while (
                    0 < len(self._waiting) < self._batch
                    and self.coming > 0
                    and (left := until - time.monotonic()) > 0
                ):
                    self._change.wait(left)
                jobs: list[Job] = []
                while self._waiting and len(jobs) < self._batch:
                    job = self._waiting.popleft()
                    if not job.future.cancelled():
                        jobs.append(job)
                if jobs:
                    self._busy += 1
                    return jobs

    def _settle(self, jobs: list[Job], outcome: Any, seconds: float) -> None:
        self._heard(len(jobs), seconds)
        for place, job in enumerate(jobs):
            if job.future.cancelled():
                continue
            if isinstance(outcome, Exception):
                job.future.set_exception(outcome)
            else:
                job.future.set_result(outcome[place])
