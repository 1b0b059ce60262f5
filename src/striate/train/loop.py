"""The training loop: what happens in which order. The arithmetic is in `step`."""

from __future__ import annotations

from typing import Literal

from striate.train.training import Due, Training


def fit(training: Training) -> Literal["finished", "interrupted"]:
    """Train from wherever the training stands to its end, or until an end is asked for.

    Every decision is the same in all processes. A checkpoint within an epoch lies between two
    steps; the one at an epoch's end lies after its validation, so that the number of steps done
    says all about where to go on.
    """
    while training.epoch < training.recipe.epochs and not training.stops_early():
        for parts in training.batches():
            training.take_step(parts)
            if training.at_epoch_end:
                continue  # validated before it is saved
            due = training.due()
            if due:
                training.save()
            if due is Due.STOP:
                return "interrupted"
        training.validate()
        training.save()
        if training.due() is Due.STOP:
            return "interrupted"
    return "finished"
