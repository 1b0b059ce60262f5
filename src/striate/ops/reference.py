"""The definition: seven loops, float64. Every other algorithm is tested against it."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
import torch
from torch import Tensor

from striate.ops.algorithm import Algorithm, numbers
from striate.ops.problem import Problem


def seven_loops(x: Any, weight: Any, y: Any, numbers: Any, face: int) -> None:  # noqa: C901
    """Visit every product of the definition; `face` says which of the three is summed.

    Args:
        x: (batch, channels, height, width).
        weight: (features, channels / groups, kernel height, kernel width).
        y: (batch, features, out height, out width).
        numbers: stride, padding above and left, dilation, groups.
        face: 0 sums into y, 1 into x, 2 into weight.
    """
    down, across, above, left, dilate_y, dilate_x, groups = numbers
    _, _, height, width = x.shape
    features, within, high, wide = weight.shape
    for image in range(y.shape[0]):
        for feature in range(features):
            for row in range(y.shape[2]):
                for column in range(y.shape[3]):
                    for channel in range(within):
                        for i in range(high):
                            for j in range(wide):
                                source = feature // (features // groups) * within + channel
                                at_y = row * down + i * dilate_y - above
                                at_x = column * across + j * dilate_x - left
                                if not (0 <= at_y < height and 0 <= at_x < width):
                                    continue
                                pixel = x[image, source, at_y, at_x]
                                tap = weight[feature, channel, i, j]
                                seen = y[image, feature, row, column]
                                if face == 0:
                                    y[image, feature, row, column] += pixel * tap
                                elif face == 1:
                                    x[image, source, at_y, at_x] += seen * tap
                                else:
                                    weight[feature, channel, i, j] += pixel * seen


def forward(x: Tensor, weight: Tensor, task: Problem) -> Tensor:
    """Return the convolution, rounded to x's dtype."""
    y = np.zeros(task.output)
    _run(_array(x), _array(weight), y, task, 0)
    return _tensor(y, x)


def by_input(gradient: Tensor, weight: Tensor, task: Problem) -> Tensor:
    """Return the gradient by the image."""
    x = np.zeros((task.batch, task.channels, *task.size))
    _run(x, _array(weight), _array(gradient), task, 1)
    return _tensor(x, gradient)


def by_weight(x: Tensor, gradient: Tensor, task: Problem) -> Tensor:
    """Return the gradient by the filters."""
    weight = np.zeros((task.features, task.channels // task.groups, *task.kernel))
    _run(_array(x), weight, _array(gradient), task, 2)
    return _tensor(weight, x)


def _run(x: Any, weight: Any, y: Any, task: Problem, face: int) -> None:
    corner = (task.padding[0][0], task.padding[1][0])
    numbers = (*task.stride, *corner, *task.dilation, task.groups)
    _compiled()(x, weight, y, numbers, face)


@lru_cache(maxsize=1)
def _compiled() -> Any:
    from numba import njit

    return njit(nogil=True, cache=True)(seven_loops)


def _array(x: Tensor) -> Any:
    return np.ascontiguousarray(x.to("cpu", torch.float64).numpy())


def _tensor(x: Any, like: Tensor) -> Tensor:
    return torch.from_numpy(x).to(like.device, like.dtype)


REFERENCE = Algorithm(
    name="reference",
    forward=forward,
    by_input=by_input,
    by_weight=by_weight,
    limits=(numbers("float16", "bfloat16", "float32", "float64"),),
    workspace_bytes=lambda task: 0,
    relative_error=lambda task: 1e-7,
)
