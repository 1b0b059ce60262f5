"""Images as compiled kernels see them: addresses, steps in bytes, and memory to work in.

Channels lie side by side (channels-last order), possibly as a slice of a larger value's; what lies
outside an image is read from zeros and written to a place that nobody reads.
"""

from __future__ import annotations

import math
import threading
from functools import cache

import torch
from torch import Tensor

from striate.errors import UsageError
from striate.ops.threads import cut

Limits = tuple[float, float]
"""The least and the largest result."""

NO_LIMITS: Limits = (-math.inf, math.inf)


class Scratch(threading.local):
    """Memory of a thread that outlives calls: what is written to it is read in the same call."""

    def __init__(self) -> None:
        self.kept: dict[str, Tensor] = {}

    def keep(self, use: str, count: int) -> Tensor:
        """Return memory of at least `count` floats after `line`."""
        if use not in self.kept or self.kept[use].numel() < count + 16:
            with torch.inference_mode(False):  # else it could be used in that mode only
                self.kept[use] = torch.zeros(count + 16)
        return self.kept[use]

    def take(self, use: str, count: int) -> int:
        """Return the address of `count` floats, on a cache line."""
        return line(self.keep(use, count))


scratch = Scratch()


def line(memory: Tensor) -> int:
    """Return the address of a tensor's first cache line."""
    address = memory.data_ptr()
    return address + -address % 64


@cache
def _zeros(count: int, least: float, most: float) -> Tensor:
    """Return zeros, followed by the two limits."""
    return torch.cat([torch.zeros(count), torch.tensor([least, most])])


def constants(count: int, least: float = -torch.inf, most: float = torch.inf) -> tuple[int, ...]:
    """Return addresses: of at least `count` zeros, and of the least and the largest result."""
    rounded = 1 << max(count - 1, 1023).bit_length()
    address = _zeros(rounded, least, most).data_ptr()
    return address, address + 4 * rounded, address + 4 * (rounded + 1)


def innermost(x: Tensor) -> Tensor:
    """Return x itself where its channels lie side by side, else a copy that does."""
    if x.shape[1] == 1 or x.stride(1) == 1:
        return x
    return x.contiguous(memory_format=torch.channels_last)


def steps(x: Tensor) -> tuple[int, int, int]:
    """Return the bytes from image to image, row to row, pixel to pixel."""
    image, _, row, pixel = x.stride()
    return image * 4, row * 4, pixel * 4


def target(x: Tensor, channels: int, out: Tensor | None, shape: tuple[int, ...]) -> Tensor:
    """Return where to write a result: `out`, or new memory in channels-last order.

    Args:
        x: the images, of so many channels.
        channels: that are expected.
        out: where to write, if it is given: channels innermost.
        shape: of the result.

    Raises:
        UsageError: x or out do not fit.
    """
    if out is None:
        out = torch.empty(shape, dtype=x.dtype, memory_format=torch.channels_last)
    if x.shape[1] != channels or tuple(out.shape) != shape or innermost(out) is not out:
        raise UsageError(
            f"Expected x of {channels} channels and out of {shape} with channels innermost, "
            f"received x={tuple(x.shape)}, out={tuple(out.shape)} with strides {out.stride()}."
        )
    return out


def pieces(count: int, panels: int, block: int, grain: int) -> list[tuple[int, ...]]:
    """Return ranges of places (tiles, pixels) and of panels of features for the team's threads.

    Places are shared out, where they are few, features.

    Args:
        count: places.
        panels: of features.
        block: places that are computed at a time.
        grain: places that belong together.
    """
    threads = torch.get_num_threads()
    if threads == 1:
        return [(0, count, 0, panels)]
    if count >= 4 * threads * block:
        return [(*each, 0, panels) for each in cut(count, 4 * threads, block)]
    if count < threads * block and panels >= threads:
        return [(0, count, *each) for each in cut(panels, threads)]
    return [(*each, 0, panels) for each in cut(count, threads, grain)]
