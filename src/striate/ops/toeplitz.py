"""Convolution as one sparse matrix: to look at, and to test against.

The image is written as one long vector; every output is a row that holds the filter's taps where
its window lies and zeros elsewhere. What repeats along the diagonals gives the matrix its name; the
transposed matrix is the gradient ("transposed convolution"). Far too large for work.

Source: Dumoulin and Visin, A guide to convolution arithmetic for deep learning, 2016, section 4.1.
"""

from __future__ import annotations

import torch
from torch import Tensor

from striate.ops.algorithm import Algorithm, Limit, numbers
from striate.ops.problem import Problem

LARGEST = 1 << 24
"""Numbers that a matrix may hold."""


def matrix(weight: Tensor, task: Problem) -> Tensor:
    """Return the sparse matrix: (features * out positions, channels * pixels).

    Example:
        >>> one = Problem(batch=1, channels=1, features=1, size=(1, 4), kernel=(1, 2))
        >>> matrix(torch.tensor([[[[1.0, 2.0]]]]), one).to_dense().tolist()
        [[1.0, 2.0, 0.0, 0.0], [0.0, 1.0, 2.0, 0.0], [0.0, 0.0, 1.0, 2.0]]
    """
    rows, columns, taps = _places(task)
    high, wide = task.out_size
    shape = (task.features * high * wide, task.channels * task.size[0] * task.size[1])
    values = weight.reshape(-1)[taps.to(weight.device)]
    places = torch.stack([rows, columns]).to(weight.device)
    return torch.sparse_coo_tensor(places, values, shape, check_invariants=False).coalesce()


def forward(x: Tensor, weight: Tensor, task: Problem) -> Tensor:
    """Return the convolution: matrix @ image."""
    product: Tensor = torch.sparse.mm(matrix(weight, task), x.reshape(task.batch, -1).T)
    return product.T.reshape(task.output)


def by_input(gradient: Tensor, weight: Tensor, task: Problem) -> Tensor:
    """Return the gradient by the image: the transposed matrix."""
    product: Tensor = torch.sparse.mm(matrix(weight, task).t(), gradient.reshape(task.batch, -1).T)
    return product.T.reshape(task.batch, task.channels, *task.size)


def by_weight(x: Tensor, gradient: Tensor, task: Problem) -> Tensor:
    """Return the gradient by the filters: what each tap saw, summed over its diagonal."""
    rows, columns, taps = (each.to(x.device) for each in _places(task))
    total = x.new_zeros(task.features * task.channels // task.groups * _area(task))
    for image, seen in zip(
        x.reshape(task.batch, -1), gradient.reshape(task.batch, -1), strict=True
    ):
        total.index_add_(0, taps, image[columns] * seen[rows])
    return total.reshape(task.features, task.channels // task.groups, *task.kernel)


def _places(task: Problem) -> tuple[Tensor, Tensor, Tensor]:
    """Return row, column and tap of every number in the matrix."""
    (out_high, out_wide), (high, wide) = task.out_size, task.size
    within = task.channels // task.groups
    axes = (task.features, within, *task.kernel, out_high, out_wide)
    along = [torch.arange(size, device="cpu") for size in axes]
    feature, channel, i, j, y, x = torch.meshgrid(*along, indexing="ij")
    at_y = y * task.stride[0] + i * task.dilation[0] - task.padding[0][0]
    at_x = x * task.stride[1] + j * task.dilation[1] - task.padding[1][0]
    inside = (at_y >= 0) & (at_y < high) & (at_x >= 0) & (at_x < wide)
    row = (feature * out_high + y) * out_wide + x
    source = feature // (task.features // task.groups) * within + channel
    column = (source * high + at_y) * wide + at_x
    tap = ((feature * within + channel) * task.kernel[0] + i) * task.kernel[1] + j
    return row[inside], column[inside], tap[inside]


def _area(task: Problem) -> int:
    return task.kernel[0] * task.kernel[1]


def _numbers(task: Problem) -> int:
    return task.macs // max(task.batch, 1)


TOEPLITZ = Algorithm(
    name="toeplitz",
    forward=forward,
    by_input=by_input,
    by_weight=by_weight,
    limits=(
        numbers("float32", "float64"),
        Limit(
            f"a matrix of at most {LARGEST:,} numbers",
            "channels features size kernel",
            lambda task: _numbers(task) <= LARGEST,
        ),
    ),
    workspace_bytes=lambda task: _numbers(task) * 64,
    relative_error=lambda task: 1e-6,
)
