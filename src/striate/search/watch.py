"""What looks at a run while it is made, and ends it when there is nothing to hope for."""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Final

import numpy as np

EXPLODED: Final = 3.0  # times the first cost: the lectures' rule
_LAST = 5  # costs whose median is compared, so that one batch decides nothing
_BEAT = 5.0  # seconds between signs of life
_RIVALS = 6  # fewer say nothing about who falls behind
_QUARTER = 0.25


class Stop(Exception):
    """A run that is not worth its time; the message says why."""


class Interrupted(Exception):
    """The user asked for an end."""


class Watch:
    """Looks at the costs and scores of one run.

    Args:
        rivals: the curves (best score so far, by epoch) of the runs it competes with.
        alive: called now and then.
        asked: whether the user wants an end.
    """

    def __init__(
        self,
        rivals: Sequence[Sequence[float]] = (),
        alive: Callable[[], None] = lambda: None,
        asked: Callable[[], bool] = lambda: False,
    ) -> None:
        self.rivals, self.alive, self.asked = rivals, alive, asked
        self.curve: list[float] = []
        self._first: float | None = None
        self._last: deque[float] = deque(maxlen=_LAST)
        self._beat = time.monotonic()

    def step(self, cost: float) -> None:
        """Look at the cost of a step.

        Raises:
            Stop: it is not finite, or more than three times the first.
            Interrupted: the user wants an end.
        """
        if not math.isfinite(cost):
            raise Stop("the cost is not finite")
        self._first = cost if self._first is None else self._first
        self._last.append(cost)
        middle = float(np.median(self._last))
        if len(self._last) == _LAST and middle > EXPLODED * max(self._first, 1e-9):
            raise Stop(f"the cost, {middle:.3g}, is over 3 times the first, {self._first:.3g}")
        self._live()

    def epoch(self, score: float, of: int) -> None:
        """Look at the score after an epoch, of so many.

        Raises:
            Stop: it is behind three quarters of its rivals, a third of the way or further on.
            Interrupted: the user wants an end.
        """
        self.curve.append(max([score, *self.curve[-1:]]))
        done = len(self.curve)
        then = [curve[done - 1] for curve in self.rivals if len(curve) >= done]
        if 3 * done >= of and done < of and len(then) >= _RIVALS:
            bar = float(np.quantile(then, _QUARTER))
            if self.curve[-1] < bar:
                raise Stop(
                    f"behind: {self.curve[-1]:.4g} after {done} of {of} epochs, where three "
                    f"quarters of the others had {bar:.4g}"
                )
        self._live()

    def _live(self) -> None:
        if self.asked():
            raise Interrupted
        if time.monotonic() - self._beat > _BEAT:
            self._beat = time.monotonic()
            self.alive()
