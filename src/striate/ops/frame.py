"""An image of few channels with zeros around it, its channels side by side, from any order.

Where filters read it, what is multiplied in one go is then a run of memory. torch's copy into
another order takes as long as half of a first layer.
"""

from __future__ import annotations

from functools import lru_cache

import torch
from torch import Tensor

from striate.ops.assembly import Function
from striate.ops.images import as_it_lies, scratch
from striate.ops.machine import registers
from striate.ops.native import Kernel, compile_functions
from striate.ops.problem import Problem
from striate.ops.threads import cut
from striate.ops.tiles import in_vectors


def framed(x: Tensor, task: Problem) -> Tensor:
    """Return the image with its padding around it, in memory that the next call takes again.

    Args:
        x: (batch, channels, height, width), in any order.
        task: of `packed`.
    """
    x = as_it_lies(x)
    (above, _), (left, _) = task.padding
    high, wide = task.padded
    count = task.batch * high * wide * task.channels
    memory = scratch.keep("framed", count)[:count]
    frame_kernel(registers()[0])(
        *(x.data_ptr(), *(4 * step for step in x.stride()), *x.shape[1:], above, left),
        *(memory.data_ptr(), high, wide * task.channels),
        pieces=cut(task.batch * high, 4 * torch.get_num_threads()),
    )
    return memory.view(task.batch, high, wide, task.channels).permute(0, 3, 1, 2)


def frame(lanes: int) -> Function:
    """Copy into the lines first ... last - 1 of all images, after zeros; steps are in bytes."""
    names = (
        "image image_step channel_step row_step pixel_step channels height width "
        "top left out out_height line room"
    )
    code = Function("frame", names, lanes, pieces="first last")
    with code.loop(code.last, 1, code.first) as number:
        into, y = code.out + number * code.line * 4, number % code.out_height - code.top
        for index, mask in in_vectors(code, code.line):
            code.store_part(code.constant(0.0), into + index * 4, mask)
        source = code.image + number // code.out_height * code.image_step + y * code.row_step
        into = into + code.left * code.channels * 4
        with code.when(y.within(code.height)):
            planes = (code.pixel_step - 4).within(1)
            three = (code.channels - 3).within(1)
            whole = (code.width - code.width % lanes).where(planes, 0).where(three, 0)
            with code.loop(whole, lanes) as x:
                at = source + x * 4
                colours = [code.load(at + code.channel_step * colour) for colour in range(3)]
                for place, mixed in enumerate(code.interleaved(colours)):
                    code.store(mixed, into + (x * 3 + place * lanes) * 4)
            with code.loop(code.channels) as channel:
                begun, end = source + channel * code.channel_step, into + channel * 4
                with code.loop(code.width, 1, whole) as x:
                    code.move(begun + x * code.pixel_step, end + x * code.channels * 4)
    return code


@lru_cache
def frame_kernel(lanes: int) -> Kernel:
    """Return `frame`, compiled for this machine."""
    code = frame(lanes)
    return compile_functions("frames around images", [code])[code.name]
