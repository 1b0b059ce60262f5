"""What `train` returns and prints."""

from __future__ import annotations

from typing import Literal

from striate.records import Record


class Figures(Record, frozen=True, kw_only=True):
    """Accuracy, 0 to 1, and mean cross-entropy in nats, on the validation part."""

    accuracy: float
    loss: float


class HeldOut(Record, frozen=True, kw_only=True):
    """The same on the n images of the test part."""

    accuracy: float
    loss: float
    n: int


class TrainResult(Record, frozen=True, kw_only=True):
    """How a training ended.

    Args:
        run: path of the run folder.
        network: its name.
        epochs: begun.
        seconds: of training, over all resumes, without the test.
        validation: figures of the weights in model.safetensors; None before the first validation.
        test: their figures on the test part; None when training was interrupted, or has no test.
        state: finished or interrupted; an interrupted run goes on with `train.resume(run)`.
        notes: what a reader of the figures should know, in whole sentences.
    """

    run: str
    network: str
    epochs: int
    seconds: float
    validation: Figures | None = None
    test: HeldOut | None = None
    state: Literal["finished", "interrupted"] = "finished"
    notes: tuple[str, ...] = ()
