"""What a loader's time goes into, and what would help: said in words.

A thread that makes a batch keeps a tally of disk, decoding and augmentation; whoever takes batches
is timed as he waits for them and as he uses them. What the share of waiting means is then a matter
of arithmetic.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

from striate.records import Record

Stage = Literal["disk", "decode", "augment", "copy"]
STAGES: tuple[Stage, ...] = ("disk", "decode", "augment", "copy")

_MUCH = 0.05  # share of waiting that is worth a word
_LONG = 2.0  # seconds of waiting that are
_GAIN = 1.2  # times as fast, below which packing is not worth a word
_MEMORY = 3e9  # bytes a second that a packed image is read with, on any machine of today
_NAMES: dict[Stage, str] = {
    "disk": "reading files",
    "decode": "decoding",
    "augment": "augmentation and normalisation",
    "copy": "copying to the device",
}

_here = threading.local()


class Pace(Record, frozen=True, kw_only=True):
    """Where the time of some batches went.

    Args:
        images: made.
        waiting: share of the time that was spent waiting for batches, 0 to 1.
        waited: seconds of that.
        disk, decode, augment, copy: seconds of work, over all threads.
        bottleneck: the stage with the most.
    """

    images: int
    waiting: float
    waited: float
    disk: float
    decode: float
    augment: float
    copy: float
    bottleneck: Stage

    def advice(self, *, workers: int, cores: int, total: int, pixels: float | None) -> str | None:
        """Say what would help, where the waiting is worth a word.

        Args:
            workers: threads that made the batches.
            cores: that could.
            total: images in the set.
            pixels: mean bytes of an image once packed; None where packing would not help.
        """
        if self.waiting < _MUCH or self.waited < _LONG or not self.images:
            return None
        work = {stage: float(getattr(self, stage)) for stage in STAGES}
        whole = sum(work.values()) or 1.0
        parts = ", ".join(
            f"{_NAMES[stage]} {100 * seconds / whole:.0f}%"
            for stage, seconds in sorted(work.items(), key=lambda each: -each[1])
            if seconds > 0.005 * whole
        )
        text = (
            f"Training waited for its images {100 * self.waiting:.0f}% of the time; an image takes "
            f"{1e3 * whole / self.images:.1f} ms ({parts})."
        )
        hints = []
        if workers < cores:
            hints.append(f"--set workers={cores} would use all cores")
        if pixels is not None:
            packed = self.augment + self.copy + self.images * pixels / _MEMORY
            gain = whole / packed
            once = total * (self.disk + self.decode) / self.images / max(workers, 1)
            if gain >= _GAIN:
                hints.append(f"packing would give {gain:.1f}x: {_spell(once)} once (striate pack)")
        if not hints and self.bottleneck == "augment":
            hints.append("fewer or cheaper augmentations would help")
        return f"{text} {'; '.join(hints).capitalize()}." if hints else text


class Tally:
    """Counts seconds of work and waiting, from many threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._clear()

    def _clear(self) -> None:
        self.seconds: dict[Stage, float] = dict.fromkeys(STAGES, 0.0)
        self.images, self.waited, self.used = 0, 0.0, 0.0

    @contextmanager
    def making(self, images: int) -> Iterator[None]:
        """Surround the making of a batch, in the thread that makes it."""
        own: dict[Stage, float] = dict.fromkeys(STAGES, 0.0)
        _here.own, _here.inner = own, 0.0
        try:
            with stage("augment"):
                yield
        finally:
            _here.own = None
            with self._lock:
                self.images += images
                for name, seconds in own.items():
                    self.seconds[name] += seconds

    def copied(self, seconds: float) -> None:
        """Count a copy to the device, which ran by itself."""
        with self._lock:
            self.seconds["copy"] += seconds

    def take(self) -> Pace:
        """Return what was counted since the last call."""
        with self._lock:
            seconds, images = self.seconds, self.images
            waited, used = self.waited, self.used
            self._clear()
        return Pace(
            images=images,
            waiting=waited / (waited + used) if waited + used else 0.0,
            waited=waited,
            disk=seconds["disk"],
            decode=seconds["decode"],
            augment=seconds["augment"],
            copy=seconds["copy"],
            bottleneck=max(STAGES, key=seconds.__getitem__),
        )


@contextmanager
def stage(name: Stage) -> Iterator[None]:
    """Surround work of one kind; what is surrounded within it counts there and not here."""
    own = getattr(_here, "own", None)
    if own is None:
        yield
        return
    began, outer = time.perf_counter(), _here.inner
    _here.inner = 0.0
    try:
        yield
    finally:
        took = time.perf_counter() - began
        own[name] += took - _here.inner
        _here.inner = outer + took


def _spell(seconds: float) -> str:
    if seconds < 100:
        return f"{max(seconds, 1):.0f} seconds"
    return f"{seconds / 60:.0f} minutes"
