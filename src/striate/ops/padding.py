"""Zeros around images, and their removal; a record's padding in torch's terms."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional

from striate.ops.problem import Problem

Padding = tuple[tuple[int, int], ...]
"""(before, after) on each axis."""


def pad(x: Tensor, task: Problem) -> Tensor:
    """Return x with the problem's padding."""
    (above, below), (left, right) = task.padding
    return functional.pad(x, (left, right, above, below))


def crop(padded: Tensor, task: Problem) -> Tensor:
    """Return a padded image without its padding."""
    (above, _), (left, _) = task.padding
    high, wide = task.size
    return padded[..., above : above + high, left : left + wide]


def uneven(padding: Padding) -> bool:
    """Tell whether padding differs before and after: torch's convolutions and pools take no such.

    Example:
        >>> uneven(((1, 1), (2, 2))), uneven(((0, 1), (0, 1)))
        (False, True)
    """
    return any(before != after for before, after in padding)


def one_sided(padding: Padding) -> tuple[int, ...]:
    """Return padding that is even as torch's modules take it: one number an axis."""
    return tuple(before for before, _ in padding)


def ends(padding: Padding) -> list[int]:
    """Return padding as `functional.pad` takes it, the last axis first.

    Example:
        >>> ends(((1, 2), (3, 4)))
        [3, 4, 1, 2]
    """
    return [end for pair in reversed(padding) for end in pair]
