"""How much a server has taken in, and who is sent away because of it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from striate.serve.limits import Limits
from striate.serve.meter import Meter
from striate.serve.refusal import Refusal

_ALWAYS = 2  # batches that are admitted however slow the network is


class Room:
    """Images on their way to an answer and bytes of bodies in memory, of all requests.

    Args:
        limits: how much there is room for.
        meter: where the two are shown.
    """

    def __init__(self, limits: Limits, meter: Meter) -> None:
        self._limits, self._meter = limits, meter
        self.images = self.held_bytes = 0

    @contextmanager
    def share(self) -> Iterator[Share]:
        """Give a request its share, that of one image at first, and take it back at the end."""
        share = Share(self)
        share.take(images=1)
        try:
            yield share
        finally:
            share.take(images=0, held_bytes=0)

    def check(self, share: Share, pace: float) -> None:
        """Send a request away that would have to wait too long for the others.

        Args:
            share: its own.
            pace: seconds that the network takes for an image.

        Raises:
            Refusal: 503.
        """
        ahead = self.images - share.images
        wait = ahead * pace
        crowded = ahead >= _ALWAYS * self._limits.batch and wait > self._limits.wait
        if crowded or self.held_bytes > self._limits.held_bytes:
            said = f"The server is busy: {ahead} images are waiting. Come again later."
            raise Refusal(503, said, retry_after=wait)

    def change(self, images: int, held_bytes: int) -> None:
        """Add to what is taken in, and show it."""
        self.images += images
        self.held_bytes += held_bytes
        self._meter.set("pending_images", self.images)
        self._meter.set("held_bytes", self.held_bytes)


class Share:
    """What one request takes of the room."""

    def __init__(self, room: Room) -> None:
        self._room = room
        self.images = self.held_bytes = 0

    def take(self, *, images: int | None = None, held_bytes: int | None = None) -> None:
        """Take so much from now on; what is not said stays as it is."""
        before = self.images, self.held_bytes
        self.images = self.images if images is None else images
        self.held_bytes = self.held_bytes if held_bytes is None else held_bytes
        self._room.change(self.images - before[0], self.held_bytes - before[1])
