"""Batches copied to a GPU while it computes: from pinned memory, on a stream of their own."""

from __future__ import annotations

from collections.abc import Iterator

import torch

from striate.data.batch import Batch


def onto(batches: Iterator[Batch], device: torch.device) -> Iterator[Batch]:
    """Yield batches on a device, the next one copied while one is used.

    A copy runs beside the computation only from pinned memory (`Loader(pin=True)`); from any other
    it is right, and waited for. On a CPU batches pass as they are.
    """
    if device.type != "cuda":
        yield from batches
        return
    side: torch.cuda.Stream = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
    ahead: Batch | None = None
    for batch in batches:
        copied = _copied(batch, device, side)
        if ahead is not None:
            yield _handed_over(ahead, device, side)
        ahead = copied
    if ahead is not None:
        yield _handed_over(ahead, device, side)


def _copied(batch: Batch, device: torch.device, side: torch.cuda.Stream) -> Batch:
    with torch.cuda.stream(side):
        return batch._replace(
            images=batch.images.to(device, non_blocking=True),
            labels=batch.labels.to(device, non_blocking=True),
        )


def _handed_over(batch: Batch, device: torch.device, side: torch.cuda.Stream) -> Batch:
    """Make the computing stream wait for the copies, and keep their memory until it is done."""
    current = torch.cuda.current_stream(device)
    current.wait_stream(side)
    batch.images.record_stream(current)
    batch.labels.record_stream(current)
    return batch
