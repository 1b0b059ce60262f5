"""One call's steps, and the memory that they write into."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import NamedTuple

from torch import Tensor

from striate.engine.kernel import Kernel
from striate.engine.places import Place
from striate.ops.tape import Tape

MANY = 8  # sizes of batches, and threads that call, for which something is kept, at most


class Step(NamedTuple):
    """One call.

    Args:
        name: of the value.
        layers: on paper that it stands for.
        kernel: what computes it; None joins values that are where they belong already.
        reads: indices of the values it reads.
        gives: index of its value.
        place: where its value goes, None for wherever torch puts it.
        over: whether its value is written over its residual, which nobody else reads.
        drops: indices of the values that nobody reads afterwards.
    """

    name: str
    layers: tuple[str, ...]
    kernel: Kernel | None
    reads: tuple[int, ...]
    gives: int
    place: Place | None
    over: bool
    drops: tuple[int, ...]


class Taped(NamedTuple):
    """Several steps, as one.

    Args:
        tape: their kernels' calls.
        reads: indices of the network's inputs, whose addresses the tape is told.
        gives: their values, by index.
    """

    tape: Tape
    reads: tuple[int, ...]
    gives: list[tuple[int, Tensor]]


Script = Sequence[Step | Taped]


class Workspace:
    """The memory of one call at a time, for so many images.

    Attributes:
        scripts: what a call does, by the number of images and how they lie, the thread that makes
            it and the threads at work.
    """

    def __init__(self, sizes: list[int], batch: int, like: Tensor) -> None:
        self.batch = batch
        self._buffers = [like.new_empty(size * batch) for size in sizes]
        self._views: dict[int, dict[Place, Tensor]] = {}
        self.scripts: dict[Hashable, Script] = {}

    def views(self, batch: int, places: list[Place]) -> dict[Place, Tensor]:
        """Return each place as a tensor of so many images, channels last."""
        if batch not in self._views:
            if len(self._views) > MANY:
                self._views.clear()
                self.scripts.clear()
            self._views[batch] = {place: self._view(place, batch) for place in places}
        return self._views[batch]

    def _view(self, place: Place, batch: int) -> Tensor:
        channels, *space = place.whole
        size = place.size * batch
        wide = self._buffers[place.slot][:size].view(batch, *space, channels)
        part = wide[..., place.first : place.first + place.channels]
        return part.permute(0, -1, *range(1, len(space) + 1)) if space else part
