"""Torch's own convolution: the default that every other algorithm has to beat.

It is no custom operator: asking for it calls the very operator that a network without a plan calls.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from striate.ops.algorithm import Algorithm
from striate.ops.padding import crop, pad
from striate.ops.problem import Problem, problem


def convolve(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    stride: tuple[int, int],
    padding: tuple[int, int, int, int],
    dilation: tuple[int, int],
    groups: int,
) -> Tensor:
    """Return the convolution; padding that torch's operator cannot say is put around x before.

    Args:
        x: (batch, channels, height, width).
        weight: (features, channels / groups, *kernel).
        bias: (features,).
        stride: down and across.
        padding: above, below, left, right.
        dilation: down and across.
        groups: parts of the channels.

    Raises:
        UsageError: what no algorithm takes; torch looks, and its refusal is said in our words.
    """
    if x.dim() != 4 or not x.numel() or min(padding) < 0 or not _together(x, weight, bias):
        problem(x, weight, bias, stride, padding, dilation, groups)
    above, below, left, right = padding
    even, whole = (above, left), x
    if above != below or left != right:
        even, whole = (0, 0), functional.pad(x, (left, right, above, below))
    try:
        return functional.conv2d(whole, weight, bias, stride, even, dilation, groups)
    except RuntimeError:
        problem(x, weight, bias, stride, padding, dilation, groups)
        raise


def forward(x: Tensor, weight: Tensor, task: Problem) -> Tensor:
    """Return the convolution."""
    (above, below), (left, right) = task.padding
    ends = (above, below, left, right)
    return convolve(x, weight, None, task.stride, ends, task.dilation, task.groups)


def by_input(gradient: Tensor, weight: Tensor, task: Problem) -> Tensor:
    """Return the gradient by the image."""
    image = _like(gradient, (task.batch, task.channels, *task.size))
    image, padding = _padded(image, task)
    found: Tensor = _backward(gradient, image, weight, padding, task, [True, False, False])[0]
    return found if image.shape[2:] == task.size else crop(found, task)


def by_weight(x: Tensor, gradient: Tensor, task: Problem) -> Tensor:
    """Return the gradient by the filters."""
    shape = (task.features, task.channels // task.groups, *task.kernel)
    x, padding = _padded(x, task)
    weight = _like(gradient, shape)
    found: Tensor = _backward(gradient, x, weight, padding, task, [False, True, False])[1]
    return found


def _like(gradient: Tensor, shape: tuple[int, ...]) -> Tensor:
    """Return what torch takes shape and order of memory from, and does not read."""
    if gradient.is_contiguous(memory_format=torch.channels_last):
        batch, channels, high, wide = shape
        return gradient.new_empty(batch, high, wide, channels).permute(0, 3, 1, 2)
    return gradient.new_empty(1).expand(shape)


def _together(x: Tensor, weight: Tensor, bias: Tensor | None) -> bool:
    """Say whether tensors lie on one device; where not, torch may give one without numbers."""
    device = x.device
    return weight.device == device and (bias is None or bias.device == device)


def _padded(x: Tensor, task: Problem) -> tuple[Tensor, tuple[int, int]]:
    (above, below), (left, right) = task.padding
    if above == below and left == right:
        return x, (above, left)
    return pad(x, task), (0, 0)


def _backward(
    gradient: Tensor, x: Tensor, weight: Tensor, padding: Any, task: Problem, which: list[bool]
) -> Any:
    return torch.ops.aten.convolution_backward(
        *(gradient, x, weight, None, task.stride, padding, task.dilation),
        *(False, (0, 0), task.groups, which),
    )


DIRECT = Algorithm(
    name="direct",
    forward=forward,
    by_input=by_input,
    by_weight=by_weight,
    limits=(),
    workspace_bytes=lambda task: 0,
    relative_error=lambda task: 1e-6,
)
