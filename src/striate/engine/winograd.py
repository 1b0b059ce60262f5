"""The one place where the engine talks to the fast convolutions of `striate.ops`."""

from __future__ import annotations

from striate import design
from striate.engine.kernel import Kernel
from striate.engine.node import Node


def kernel(record: design.Conv, node: Node, batch: int, algorithm: str) -> Kernel | None:
    """Return a fast convolution by its name; None for torch's own."""
    return None
