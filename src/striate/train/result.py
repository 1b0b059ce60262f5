"""What `train` returns and prints, and how it is read from the folder of a finished run."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from striate.records import Record, decode
from striate.runs import Run
from striate.train.recipe import Recipe
from striate.train.validation import Figure, Validation, best, from_history


class Figures(Record, frozen=True, kw_only=True):
    """The validation part's figures by which the weights were chosen, and what chose them.

    Args:
        accuracy: 0 to 1.
        loss: mean cross-entropy in nats.
        epoch: after which they were measured, from 1.
        chosen_by: the figure that was best then; `robust` is the accuracy under attack.
        robust: that accuracy, where the objective probes it.
    """

    accuracy: float
    loss: float
    epoch: int
    chosen_by: Literal["accuracy", "loss", "robust"]
    robust: float | None = None


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
        resumes: how often it was gone on with.
        validation: figures of the weights in model.safetensors; None before the first validation.
        test: their figures on the test part; None when training was interrupted, or has no test.
        state: finished or interrupted; an interrupted run goes on with `train.resume(run)`.
        notes: what a reader of the figures should know, in whole sentences.
    """

    run: str
    network: str
    epochs: int
    seconds: float
    resumes: int = 0
    validation: Figures | None = None
    test: HeldOut | None = None
    state: Literal["finished", "interrupted"] = "finished"
    notes: tuple[str, ...] = ()


def recorded(run: Run) -> TrainResult:
    """Return the result of a finished run, read from its folder."""
    recipe = decode(Recipe, run.recipe_document())
    validations = from_history(run.history("validation"))
    events = run.history("event")
    endings = [line for line in events if line["event"] == "finished"]
    ending = endings[-1] if endings else {}
    lost = () if endings else ("The history has lost its end.",)
    test = (run.results() or {}).get("test", {})
    return TrainResult(
        run=str(run.path),
        network=recipe.network.name,
        epochs=ending.get("epoch", max((each.epoch for each in validations), default=0)),
        seconds=ending.get("seconds", 0.0),
        resumes=sum(line["event"] == "resumed" for line in events),
        validation=figures(validations, recipe.choose_by),
        test=HeldOut(**{name: test[name] for name in HeldOut.__struct_fields__}) if test else None,
        notes=(*notes(run), *lost),
    )


def figures(validations: Sequence[Validation], by: Figure) -> Figures | None:
    """Return what a result says of the validation that chose the weights; None before the first."""
    chosen = best(validations, by)
    if chosen is None:
        return None
    return Figures(
        accuracy=chosen.accuracy,
        loss=chosen.loss,
        epoch=chosen.epoch,
        chosen_by=by if chosen.robust is None else "robust",
        robust=chosen.robust,
    )


def notes(run: Run) -> tuple[str, ...]:
    """Return what was noted of a run's data and training."""
    said = (line["text"] for line in run.history("event") if line["event"] == "note")
    return (*run.data_document().get("notes", ()), *said)
