"""What transfer is told and what it answers: settings, a row for each way, the whole document."""

from __future__ import annotations

import math
from typing import Literal, NamedTuple

from striate.errors import UsageError
from striate.records import Record
from striate.transfer.choose import How
from striate.transfer.probe import Probe
from striate.transfer.tuning import RATES


class Row(Record, frozen=True, kw_only=True):
    """How one way fared on the held-out images.

    Args:
        how: linear (features and a linear classifier), head, last (blocks), all, scratch.
        accuracy: on the test part; None where there is none.
        interval: Wilson's, at 95%.
        n: test images.
        moving: parameters that were trained.
        seconds: of training, features included and the test left out.
        run: the run folder it left.
    """

    how: How
    accuracy: float | None
    interval: tuple[float, float] | None
    n: int
    moving: int
    seconds: float
    run: str


class TransferResult(Record, frozen=True, kw_only=True):
    """The document of `transfer`.

    Args:
        data: which data.
        source: the network it began with.
        images: to train on, the validation part included.
        classes: how many.
        how: what was done, as asked or as the table says.
        why: the reason, with figures; empty where it was asked for.
        run: the run folder of `how`.
        probes: linear probes by depth, where they were measured.
        rows: the table.
        notes: what a reader should know.
        state: finished, or interrupted after the rows that there are; the same command goes on.
    """

    data: str
    source: str
    images: int
    classes: int
    how: How
    why: str
    run: str
    probes: tuple[Probe, ...]
    rows: tuple[Row, ...]
    notes: tuple[str, ...] = ()
    state: Literal["finished", "interrupted"] = "finished"


class Settings(NamedTuple):
    """What the trained ways share: one budget for all.

    Args:
        epochs: of each.
        rate: of the head.
        batch: images a step.
        last: how many blocks "last" is.
        rates: of the head, the later half of the blocks, the earlier half.
        layer_decay: each block's rate is this much of the next one's, in place of `rates`.
        freeze_norm: keep batch normalisation as it is in blocks that move, too.
        gradual: begin with the head alone, then the last blocks, then what was asked for, each
            stage taking its share of the epochs.
        seed: of all chance.
        precision: what convolutions and products are computed in.
        device: where.
    """

    epochs: int = 15
    rate: float = 0.1
    batch: int = 32
    last: int = 1
    rates: tuple[float, ...] = RATES
    layer_decay: float | None = None
    freeze_norm: bool = False
    gradual: bool = False
    seed: int = 0
    precision: Literal["float32", "bfloat16"] = "float32"
    device: str = "auto"

    def check(self) -> None:
        """Refuse rates that nothing can be trained with.

        Raises:
            UsageError: says which.
        """
        if not 0 < self.rate < math.inf:
            raise UsageError(f"Expected a rate above 0, received rate={self.rate:g}.")
        if self.layer_decay is not None and not 0 < self.layer_decay <= 1:
            raise UsageError(
                f"Expected a layer decay of 0 to 1, by which earlier blocks are slower, received "
                f"layer_decay={self.layer_decay:g}."
            )
        if self.epochs < 1 or self.batch < 1:
            raise UsageError(
                f"Expected an epoch and an image a step, or more, received epochs={self.epochs}, "
                f"batch={self.batch}."
            )
