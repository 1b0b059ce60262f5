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
from striate.ops.problem import Padding
from striate.ops.threads import cut

Limits = tuple[float, float]
"""The least and the largest result."""

NO_LIMITS: Limits = (-math.inf, math.inf)


def floats(*shape: int, order: torch.memory_format = torch.contiguous_format) -> Tensor:
    """Return memory of what kernels compute with, whatever torch's own defaults are just now.

    Of numbers of 8 bytes, or of 2, a kernel that takes them for 4 makes nonsense, or writes
    beyond their end.
    """
    return torch.empty(shape, dtype=torch.float32, device="cpu", memory_format=order)


class Scratch(threading.local):
    """Memory of a thread that outlives calls: what is written to it is read in the same call."""

    def __init__(self) -> None:
        self.kept: dict[str, Tensor] = {}

    def keep(self, use: str, count: int) -> Tensor:
        """Return memory of at least `count` floats after `line`."""
        if use not in self.kept or self.kept[use].numel() < count + 16:
            with torch.inference_mode(False):  # else it could be used in that mode only
                self.kept[use] = floats(count + 16).zero_()
        return self.kept[use]

    def take(self, use: str, count: int) -> int:
        """Return the address of `count` floats, on a cache line."""
        return line(self.keep(use, count), count)

    def tensor(self, use: str, *shape: int) -> Tensor:
        """Return the same memory as a tensor of a shape."""
        count = math.prod(shape)
        memory = self.keep(use, count)
        begun = -memory.data_ptr() % 64 // 4
        return memory[begun : begun + count].view(shape)


scratch = Scratch()


def line(memory: Tensor, count: int) -> int:
    """Return the address of a tensor's first cache line, from which on it has so many floats.

    Raises:
        UsageError: it has fewer, or other numbers: a kernel would write over somebody else's.
    """
    address = memory.data_ptr()
    begun = -address % 64
    if not _floats(memory) or memory.numel() < begun // 4 + count:
        raise UsageError(
            f"Expected memory of {count} torch.float32 numbers on cpu after a cache line, received "
            f"{memory.numel()} of {memory.dtype} on {memory.device}: prepare the filters again."
        )
    return address + begun


def _floats(x: Tensor) -> bool:
    """Say whether a tensor's memory is what kernels compute with."""
    return x.dtype == torch.float32 and x.is_cpu and x.layout == torch.strided


@cache
def _zeros(count: int, least: float, most: float) -> Tensor:
    """Return zeros, followed by the two limits."""
    numbers = floats(count + 2).zero_()
    numbers[count], numbers[count + 1] = least, most
    return numbers


def constants(count: int, least: float = -torch.inf, most: float = torch.inf) -> tuple[int, ...]:
    """Return addresses: of at least `count` zeros, and of the least and the largest result."""
    rounded = 1 << max(count - 1, 1023).bit_length()
    address = _zeros(rounded, least, most).data_ptr()
    return address, address + 4 * rounded, address + 4 * (rounded + 1)


def as_it_lies(x: Tensor) -> Tensor:
    """Return x, or a copy where torch only notes that what lies there has the other sign."""
    return x.resolve_neg() if x.is_neg() else x


def innermost(x: Tensor) -> Tensor:
    """Return x itself where its channels lie side by side, else a copy that does."""
    x = as_it_lies(x)
    if x.shape[1] == 1 or x.stride(1) == 1:
        return x
    return x.contiguous(memory_format=torch.channels_last)


def beside(residual: Tensor | None, out: Tensor) -> Tensor | None:
    """Return what is added to a result as kernels read it, channels innermost.

    Raises:
        UsageError: it is not like the result.
    """
    if residual is None:
        return None
    if not _floats(residual) or residual.shape != out.shape:
        raise UsageError(
            f"Expected a residual of {tuple(out.shape)}, {out.dtype} on {out.device}, received "
            f"{tuple(residual.shape)} of {residual.dtype} on {residual.device}: residual.to(x)."
        )
    return innermost(residual)


def vector(bias: Tensor | None, features: int) -> Tensor | None:
    """Return one number for each feature as kernels read them, side by side.

    Raises:
        UsageError: there are more, fewer, or other numbers.
    """
    if bias is None:
        return None
    if not _floats(bias) or bias.shape != (features,):
        raise UsageError(
            f"Expected a bias of ({features},), torch.float32 on cpu, received "
            f"{tuple(bias.shape)} of {bias.dtype} on {bias.device}: bias.float().cpu()."
        )
    return as_it_lies(bias).contiguous()


def steps(x: Tensor) -> tuple[int, int, int]:
    """Return the bytes from image to image, row to row, pixel to pixel."""
    image, _, row, pixel = x.stride()
    return image * 4, row * 4, pixel * 4


def readable(weight: Tensor, padding: Padding = ((0, 0), (0, 0))) -> Tensor:
    """Return filters as kernels read them; padding must take nothing away.

    Raises:
        UsageError: other numbers than float32, another device than the CPU, or padding below zero.
    """
    if not _floats(weight) or min(map(min, padding)) < 0:
        raise UsageError(
            "Expected a weight of torch.float32 on cpu and padding of at least 0, received "
            f"weight={weight.dtype} on {weight.device}, padding={padding}: "
            "weight.float().cpu(), and slices take pixels away."
        )
    return as_it_lies(weight.detach())


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
    if not _floats(x) or x.shape[1] != channels or min(shape[2:]) < 1:
        raise UsageError(
            f"Expected x of {channels} channels, torch.float32 on cpu, that a filter fits into, "
            f"received x={tuple(x.shape)} of {x.dtype} on {x.device} for a result of {shape}: "
            "x.float().cpu(), or larger images."
        )
    if out is None:
        return floats(*shape, order=torch.channels_last)
    if not _floats(out) or tuple(out.shape) != shape or innermost(out) is not out:
        raise UsageError(
            f"Expected out of {shape} and {x.dtype} with channels innermost, received "
            f"out={tuple(out.shape)} of {out.dtype} with strides {out.stride()}: "
            "leave it out, and new memory is taken."
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
