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
from typing import Literal, NamedTuple

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


class _Spent(NamedTuple):
    """Seconds on the clock, and of a thread's work in them."""

    passed: float
    worked: float

    def more(self, other: _Spent) -> _Spent:
        return _Spent(self.passed + other.passed, self.worked + other.worked)

    def less(self, other: _Spent) -> _Spent:
        return _Spent(self.passed - other.passed, self.worked - other.worked)


_NONE = _Spent(0.0, 0.0)


def _now() -> _Spent:
    return _Spent(time.perf_counter(), time.thread_time())


class Pace(Record, frozen=True, kw_only=True):
    """Where the time of some batches went.

    Args:
        images: made.
        waiting: share of the time that was spent waiting for batches, 0 to 1.
        waited: seconds of that.
        disk, decode, augment, copy: seconds of work, over all threads.
        augmenting: seconds of processor time of what `augment` has, which waits for nothing.
        bottleneck: the stage with the most.
    """

    images: int
    waiting: float
    waited: float
    disk: float
    decode: float
    augment: float
    copy: float
    augmenting: float = 0.0
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
        self.images, self.waited, self.used, self.augmenting = 0, 0.0, 0.0, 0.0

    @contextmanager
    def making(self, images: int) -> Iterator[None]:
        """Surround the making of a batch, in the thread that makes it."""
        own = {name: _NONE for name in STAGES}
        _here.own, _here.inner = own, _NONE
        try:
            with stage("augment"):
                yield
        finally:
            _here.own = None
            with self._lock:
                self.images += images
                self.augmenting += own["augment"].worked
                for name, spent in own.items():
                    self.seconds[name] += spent.passed

    def copied(self, seconds: float) -> None:
        """Count a copy to the device, which ran by itself."""
        with self._lock:
            self.seconds["copy"] += seconds

    def take(self) -> Pace:
        """Return what was counted since the last call."""
        with self._lock:
            seconds, images = self.seconds, self.images
            waited, used, augmenting = self.waited, self.used, self.augmenting
            self._clear()
        return Pace(
            images=images,
            waiting=waited / (waited + used) if waited + used else 0.0,
            waited=waited,
            disk=seconds["disk"],
            decode=seconds["decode"],
            augment=seconds["augment"],
            copy=seconds["copy"],
            augmenting=augmenting,
            bottleneck=max(STAGES, key=seconds.__getitem__),
        )


@contextmanager
def stage(name: Stage) -> Iterator[None]:
    """Surround work of one kind; what is surrounded within it counts there and not here."""
    own = getattr(_here, "own", None)
    if own is None:
        yield
        return
    began, outer = _now(), _here.inner
    _here.inner = _NONE
    try:
        yield
    finally:
        took = _now().less(began)
        own[name] = own[name].more(took.less(_here.inner))
        _here.inner = outer.more(took)


def _spell(seconds: float) -> str:
    if seconds < 100:
        return f"{max(seconds, 1):.0f} seconds"
    return f"{seconds / 60:.0f} minutes"
