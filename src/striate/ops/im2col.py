"""Convolution as one matrix product: every window of the image becomes a column.

Copies each pixel once a tap, which is its price, and leaves the arithmetic to the matrix product
that every machine is best at. Any stride, dilation, padding, group and dtype.

For 1x1 filters nothing is copied: with channels innermost the image is its own matrix. Where maps
are small and filters many (the last stage of ResNet-50) training is faster so than by torch's own
convolution, most of all the gradient by the filters.

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
    if plain(task):
        y = _pixels(seen(x, task)) @ weight.reshape(task.features, task.channels).t()
        return y.view(task.batch, *task.out_size, task.features).permute(0, 3, 1, 2)
    return (_rows(weight, task) @ columns(x, task)).reshape(task.output)


def by_input(gradient: Tensor, weight: Tensor, task: Problem) -> Tensor:
    """Return the gradient by the image: columns added back where they were taken."""
    if plain(task):
        summed = _pixels(gradient) @ weight.reshape(task.features, task.channels)
        pixels = summed.view(task.batch, *task.out_size, task.channels).permute(0, 3, 1, 2)
        return unseen(pixels, task)
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
    if plain(task):
        summed = _pixels(gradient).t() @ _pixels(seen(x, task))
        return summed.view(task.features, task.channels, 1, 1)
    summed = (_positions(gradient, task) @ columns(x, task).transpose(2, 3)).sum(0)
    return summed.reshape(task.features, task.channels // task.groups, *task.kernel)


def plain(task: Problem) -> bool:
    """Say whether filters are 1x1 and the image is its own matrix."""
    return task.kernel == (1, 1) and task.groups == 1 and task.padding == ((0, 0), (0, 0))


def seen(x: Tensor, task: Problem) -> Tensor:
    """Return the pixels that a 1x1 filter falls on."""
    down, across = task.stride
    return x[:, :, ::down, ::across]


def unseen(pixels: Tensor, task: Problem) -> Tensor:
    """Return an image of such pixels, zeros between them."""
    if task.stride == (1, 1):
        return pixels
    image = pixels.new_zeros(task.batch, *task.size, task.channels).permute(0, 3, 1, 2)
    seen(image, task).copy_(pixels)
    return image


def _pixels(x: Tensor) -> Tensor:
    """Return a matrix: (batch, channels, height, width) -> (pixels, channels)."""
    return x.permute(0, 2, 3, 1).reshape(-1, x.shape[1])


def _rows(weight: Tensor, task: Problem) -> Tensor:
    return weight.reshape(task.groups, task.features // task.groups, -1)


def _positions(gradient: Tensor, task: Problem) -> Tensor:
    return gradient.reshape(task.batch, task.groups, task.features // task.groups, -1)


def _workspace(task: Problem) -> int:
    if plain(task) and task.stride == (1, 1):
        return 0
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
    channels_last=True,
)
