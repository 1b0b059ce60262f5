"""What validation said so far, and the decisions read off it.

The best epoch, an early stop and the plateau schedule are pure functions of one list, the
validations so far. So there is no hidden state to save: a checkpoint holds the list, and a resumed
run takes the same decisions.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal

from striate.records import Record, expect

Figure = Literal["accuracy", "loss"]


class Validation(Record, frozen=True, kw_only=True):
    """The validation part's figures after one epoch.

    Args:
        epoch: the epoch just ended, from 1.
        step: steps done so far.
        loss: mean cross-entropy in nats.
        accuracy: share of images classified correctly, 0 to 1.
        robust: the same under attack, where the objective probes it; the weights are then chosen
            by it, since a network that has lost its robustness is often the more accurate.
    """

    epoch: int
    step: int
    loss: float
    accuracy: float
    robust: float | None = None

    def merit(self, by: Figure) -> tuple[float, float]:
        """Return a pair that is greater the better; the other figure breaks ties."""
        loss = -self.loss if math.isfinite(self.loss) else -math.inf
        if self.robust is not None:
            return (self.robust, self.accuracy)
        return (self.accuracy, loss) if by == "accuracy" else (loss, self.accuracy)


def from_history(lines: Iterable[Mapping[str, Any]]) -> list[Validation]:
    """Return the validations that lines of a history tell of."""
    known = Validation.__struct_fields__
    return [
        Validation(**{name: line[name] for name in known if name in line})
        for line in lines
        if line.get("loss") is not None
    ]


def best(validations: Sequence[Validation], by: Figure) -> Validation | None:
    """Return the best validation, the earliest of equals; None when there was none yet."""
    return max(validations, key=lambda one: one.merit(by), default=None)


class EarlyStop(Record, frozen=True, kw_only=True):
    """Stop when no epoch of the last `patience` ones was the best so far.

    Source: Prechelt, "Early stopping - but when?", 1998.
    """

    patience: int = 10

    def __post_init__(self) -> None:
        expect(self.patience >= 1, "patience of at least 1 epoch", patience=self.patience)

    def says_stop(self, validations: Sequence[Validation], by: Figure) -> bool:
        """Tell whether training should end after these validations."""
        leader = best(validations, by)
        return leader is not None and validations[-1].epoch - leader.epoch >= self.patience
