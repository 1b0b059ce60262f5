"""The numbers of a history, one a row: what a table or another program's charts are made of."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

_PLACE = ("step", "epoch", "time", "digest")  # where a line stands; a digest is no figure


class Scalar(NamedTuple):
    """One number of a history.

    Args:
        tag: the line's kind, a probe's name in place of its kind, and the number's place in the
            line: `step/loss`, `validation/accuracy`, `layers/weights/conv1.weight/update`.
        step: steps done when it was written down.
        epoch: counted from 1.
        time: when it was written down: Unix, in seconds.
        value: NaN for what was NaN or infinite, since a history has neither.
    """

    tag: str
    step: int
    epoch: int
    time: float
    value: float


def scalars(lines: Iterable[Mapping[str, Any]]) -> Iterator[Scalar]:
    """Yield the numbers of a history's lines, in their order; events are text, and left out.

    Example:
        >>> lines = [{"kind": "step", "step": 1, "epoch": 1, "time": 7.5, "loss": None}]
        >>> list(scalars(lines))
        [Scalar(tag='step/loss', step=1, epoch=1, time=7.5, value=nan)]
    """
    for line in lines:
        place = [line.get(key) for key in _PLACE[:3]]
        if line.get("kind") == "event" or not all(isinstance(each, int | float) for each in place):
            continue
        step, epoch, time = (float(each) for each in place)  # type: ignore[arg-type]
        figures = {key: value for key, value in line.items() if key not in _PLACE}
        tag = str(line.get("probe", line.get("kind")))
        for name, value in _numbers(tag, figures):
            yield Scalar(name, int(step), int(epoch), time, value)


def _numbers(tag: str, value: Any) -> Iterator[tuple[str, float]]:
    if isinstance(value, dict):
        for key, item in value.items():
            yield from _numbers(f"{tag}/{key}", item)
    elif value is None:
        yield tag, math.nan
    elif isinstance(value, int | float):
        yield tag, float(value)
