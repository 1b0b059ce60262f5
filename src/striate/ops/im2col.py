"""Convolution as one matrix product: every window of the image becomes a column.

Copies each pixel once a tap, which is its price, and leaves the arithmetic to the matrix product
that every machine is best at. Any stride, dilation, padding, group and dtype.

Source: Chellapilla, Puri and Simard, High Performance Convolutional Neural Networks for Document
Processing, 2006; the lectures' chapter on implementation.
"""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional

from striate.ops.algorithm import Algorithm, numbers
from striate.ops.padding import crop, pad
from striate.ops.problem import Problem


def columns(x: Tensor, task: Problem) -> Tensor:
    """Return the windows: (batch, channels, height, width) -> (batch, groups, taps, positions)."""
    windows = functional.unfold(
        pad(x, task), task.kernel, dilation=task.dilation, stride=task.stride
    )
    return windows.reshape(task.batch, task.groups, -1, windows.shape[-1])


def forward(x: Tensor, weight: Tensor, task: Problem) -> Tensor:
    """Return the convolution."""
    return (_rows(weight, task) @ columns(x, task)).reshape(task.output)


def by_input(gradient: Tensor, weight: Tensor, task: Problem) -> Tensor:
    """Return the gradient by the image: columns added back where they were taken."""
    windows = _rows(weight, task).transpose(1, 2) @ _positions(gradient, task)
    padded = functional.fold(
        windows.reshape(task.batch, -1, windows.shape[-1]),
        task.padded,
        task.kernel,
        dilation=task.dilation,
        stride=task.stride,
    )
    return crop(padded, task)


def by_weight(x: Tensor, gradient: Tensor, task: Problem) -> Tensor:
    """Return the gradient by the filters."""
    summed = (_positions(gradient, task) @ columns(x, task).transpose(2, 3)).sum(0)
    return summed.reshape(task.features, task.channels // task.groups, *task.kernel)


def _rows(weight: Tensor, task: Problem) -> Tensor:
    return weight.reshape(task.groups, task.features // task.groups, -1)


def _positions(gradient: Tensor, task: Problem) -> Tensor:
    return gradient.reshape(task.batch, task.groups, task.features // task.groups, -1)


def _workspace(task: Problem) -> int:
    high, wide = task.out_size
    taps = task.channels * task.kernel[0] * task.kernel[1]
    return task.batch * taps * high * wide * (8 if task.dtype == "float64" else 4)


IM2COL = Algorithm(
    name="im2col",
    forward=forward,
    by_input=by_input,
    by_weight=by_weight,
    limits=(numbers("float32", "float64"),),
    workspace_bytes=_workspace,
    relative_error=lambda task: 1e-6,
)
