"""Batches copied to a GPU while it computes: from pinned memory, on a stream of their own."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import torch

from striate.data.batch import Batch
from striate.data.pace import Tally


class _Marks(NamedTuple):
    """Marks in the copying stream, before and after a batch."""

    began: torch.cuda.Event
    there: torch.cuda.Event


def onto(
    batches: Iterator[Batch], device: torch.device, tally: Tally | None = None
) -> Iterator[Batch]:
    """Yield batches on a device, the next one copied while one is used.

    A copy runs beside the computation only from pinned memory (`Loader(pin=True)`); from any other
    it is right, and waited for. On a CPU batches pass as they are.

    Args:
        batches: in memory.
        device: where they are wanted.
        tally: counts the seconds that copies take, by the GPU's clock.
    """
    if device.type != "cuda":
        yield from batches
        return
    side: torch.cuda.Stream = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
    under_way: list[tuple[Batch, _Marks]] = []
    marks: list[_Marks] = []  # of copies not counted yet: a batch's memory is not kept for that
    for batch in batches:
        under_way.append(_copied(batch, device, side))
        if len(under_way) > 1:
            ready, mark = under_way.pop(0)
            marks.append(mark)
            yield _handed_over(ready, mark, device)
            del ready
        marks = _counted(marks, tally)
    for ready, mark in under_way:
        yield _handed_over(ready, mark, device)


def _copied(batch: Batch, device: torch.device, side: torch.cuda.Stream) -> tuple[Batch, _Marks]:
    began, there = (torch.cuda.Event(enable_timing=True) for _ in range(2))  # type: ignore[no-untyped-call]
    with torch.cuda.stream(side):
        began.record(side)
        moved = batch._replace(
            images=batch.images.to(device, non_blocking=True),
            labels=batch.labels.to(device, non_blocking=True),
        )
        there.record(side)
    return moved, _Marks(began, there)


def _counted(marks: list[_Marks], tally: Tally | None) -> list[_Marks]:
    """Count the copies that are done, and return the others; none is waited for."""
    if tally is None:
        return []
    done = [mark.there.query() for mark in marks]  # type: ignore[no-untyped-call]
    for mark in (mark for mark, over in zip(marks, done, strict=True) if over):
        tally.copied(mark.began.elapsed_time(mark.there) / 1000)
    return [mark for mark, over in zip(marks, done, strict=True) if not over]


def _handed_over(batch: Batch, mark: _Marks, device: torch.device) -> Batch:
    """Make the computing stream wait for this copy, and keep its memory until that is done.

    For this copy only: the next one, which is in the same stream already, may go on meanwhile.
    """
    current = torch.cuda.current_stream(device)
    current.wait_event(mark.there)
    batch.images.record_stream(current)
    batch.labels.record_stream(current)
    return batch
