"""Where the rows of this forward pass sit in the global batch.

Dropout must not depend on how a batch is cut: into two processes, or into micro-batches for
gradient accumulation. So a training step states once, around its forward pass, which rows it has in
hand; every stochastic layer draws for the whole global batch and takes its own rows.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from striate.randomness import stream


class Placement:
    """The address of a forward pass: step, size of the global batch, first local row."""

    def __init__(self, seed: int, step: int, total: int, offset: int) -> None:
        self.seed, self.step, self.total, self.offset = seed, step, total, offset

    def generator(self, name: str, device: torch.device) -> torch.Generator:
        """Return a generator that only the address and `name` determine."""
        address = stream(self.seed, "forward", self.step).seed(name)
        return torch.Generator(device).manual_seed(address)


_current: Placement | None = None


def current_placement() -> Placement | None:
    """Return the placement in force, or None outside a training step."""
    return _current


@contextmanager
def placement(*, seed: int, step: int, total: int, offset: int = 0) -> Iterator[Placement]:
    """State the address of the forward passes inside the `with` block.

    Args:
        seed: the run's seed.
        step: the training step, from 0.
        total: rows in the global batch, over all processes and micro-batches.
        offset: position of the first local row in the global batch.

    Returns:
        The placement, until the block ends.
    """
    global _current
    before, _current = _current, Placement(seed, step, total, offset)
    try:
        yield _current
    finally:
        _current = before
