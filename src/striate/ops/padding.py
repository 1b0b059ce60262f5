"""Zeros around images, and their removal."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional

from striate.ops.problem import Problem


def pad(x: Tensor, task: Problem) -> Tensor:
    """Return x with the problem's padding."""
    (above, below), (left, right) = task.padding
    return functional.pad(x, (left, right, above, below))


def crop(padded: Tensor, task: Problem) -> Tensor:
    """Return a padded image without its padding."""
    (above, _), (left, _) = task.padding
    high, wide = task.size
    return padded[..., above : above + high, left : left + wide]
