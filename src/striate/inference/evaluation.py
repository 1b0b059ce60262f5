"""What an evaluation says: figures with their intervals, per class, calibration, mistakes.

These are the documents of `evaluate` and of a run's results.json; text and pictures are views of
them. Nothing here knows a network: `figures` turns an `Outcome` into records.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from striate.contract import Class
from striate.inference import metrics
from striate.inference.outcome import Outcome
from striate.records import Record

Ends = tuple[float, float]

MISTAKES_KEPT = 100


class ClassFigures(Record, frozen=True, kw_only=True):
    """How one class fares.

    Args:
        id: the class.
        label: its name for readers.
        n: images of it.
        right: those classified as it.
        answers: images of any class classified as it.
        accuracy: right / n (its recall); None without images.
        interval: Wilson's, at 95%.
        precision: right / answers; None where it is never the answer.
    """

    id: str
    label: str
    n: int
    right: int
    answers: int
    accuracy: float | None
    interval: Ends | None
    precision: float | None


class ReliabilityBin(Record, frozen=True, kw_only=True):
    """Predictions of like confidence: how many, mean confidence, accuracy."""

    n: int
    confidence: float
    accuracy: float


class Mistake(Record, frozen=True, kw_only=True):
    """One image classified wrongly.

    Args:
        sample: the image's id in its data: a path, or a number.
        id: the right class.
        answer: the class given instead.
        probability: what the network gave its answer.
        probability_of_right: what it gave the right class.
        loss: cross-entropy in nats.
    """

    sample: str
    id: str
    answer: str
    probability: float
    probability_of_right: float
    loss: float


class Figures(Record, frozen=True, kw_only=True):
    """A network's figures on one part of a data set.

    Args:
        accuracy: share classified correctly, 0 to 1.
        loss: mean cross-entropy, in nats.
        n: images.
        interval: Wilson's interval of the accuracy, at 95%.
        top5: share whose class is among the five likeliest; None with five classes or fewer.
        top5_interval: its interval.
        calibration_error: mean gap between confidence and accuracy over 15 bins of equal width.
        reliability: those bins.
        classes: figures of each class, in the order of the network's outputs.
        confusion: counts by right class (row) and answer (column).
        mistakes: the worst ones first, at most 100.
    """

    accuracy: float
    loss: float
    n: int
    interval: Ends
    top5: float | None
    top5_interval: Ends | None
    calibration_error: float
    reliability: tuple[ReliabilityBin, ...]
    classes: tuple[ClassFigures, ...]
    confusion: tuple[tuple[int, ...], ...]
    mistakes: tuple[Mistake, ...]

    @property
    def oversure(self) -> float:
        """By how much certainty exceeds accuracy in the mean: below 0 where it is too unsure."""
        gaps = sum(each.n * (each.confidence - each.accuracy) for each in self.reliability)
        return gaps / max(sum(each.n for each in self.reliability), 1)


class Tested(Record, frozen=True, kw_only=True):
    """A network's figures when it is tested in another way.

    Args:
        way: "centre crop", "10 crops", "scale 256, whole images", "scales 224, 256 together".
        views: of each image that answer together.
        accuracy, interval, top5, loss: as in `Figures`.
        gain: in accuracy over the single centre crop, in the same images.
    """

    way: str
    views: int
    accuracy: float
    interval: Ends
    top5: float | None
    loss: float
    gain: float


class Evaluation(Record, frozen=True, kw_only=True):
    """The document of `evaluate`.

    Args:
        run: the run's folder.
        network: its name.
        contract: digest of the contract that was applied.
        data: which data.
        part: which part of it.
        test: the figures.
        skipped: files of the data, in whatever part, which could not be read.
        trained_on: how many of the images, by content, the network was trained on.
        tested: the other ways of testing that were asked for, after the single crop of `test`.
        notes: what a reader of the figures should know.
    """

    run: str
    network: str
    contract: str
    data: str
    part: str
    test: Figures
    skipped: int = 0
    trained_on: int = 0
    tested: tuple[Tested, ...] = ()
    notes: tuple[str, ...] = ()


def figures(outcome: Outcome, classes: Sequence[Class], ids: Sequence[str]) -> Figures:
    """Return every figure of an outcome.

    Args:
        outcome: labels are outputs of the network.
        classes: what each output stands for.
        ids: the samples' ids; `outcome.indices` are places in it.
    """
    n, right = len(outcome), int((outcome.ranks == 0).sum())
    near = int((outcome.ranks < 5).sum())
    ranked = len(classes) > 5
    bins = metrics.reliability(outcome.probabilities, outcome.labels)
    confusion = metrics.confusion(outcome.labels, outcome.answers, len(classes))
    return Figures(
        accuracy=right / n,
        loss=outcome.loss,
        n=n,
        interval=metrics.wilson(right, n),
        top5=near / n if ranked else None,
        top5_interval=metrics.wilson(near, n) if ranked else None,
        calibration_error=metrics.expected_calibration_error(outcome.probabilities, outcome.labels),
        reliability=tuple(ReliabilityBin(**each._asdict()) for each in bins),
        classes=tuple(_class_figures(index, each, confusion) for index, each in enumerate(classes)),
        confusion=tuple(tuple(row) for row in confusion.tolist()),
        mistakes=_mistakes(outcome, classes, ids),
    )


def tested(way: str, views: int, outcome: Outcome, single: Outcome) -> Tested:
    """Return the figures of a way of testing beside those of the single crop."""
    n, right = len(outcome), int((outcome.ranks == 0).sum())
    near = int((outcome.ranks < 5).sum())
    return Tested(
        way=way,
        views=views,
        accuracy=right / n,
        interval=metrics.wilson(right, n),
        top5=near / n if outcome.outputs.shape[1] > 5 else None,
        loss=outcome.loss,
        gain=right / n - single.accuracy,
    )


def _class_figures(index: int, one: Class, confusion: metrics.Integers) -> ClassFigures:
    n, answers = int(confusion[index].sum()), int(confusion[:, index].sum())
    right = int(confusion[index, index])
    return ClassFigures(
        id=one.id,
        label=one.label,
        n=n,
        right=right,
        answers=answers,
        accuracy=right / n if n else None,
        interval=metrics.wilson(right, n) if n else None,
        precision=right / answers if answers else None,
    )


def _mistakes(
    outcome: Outcome, classes: Sequence[Class], ids: Sequence[str]
) -> tuple[Mistake, ...]:
    wrong = np.flatnonzero(outcome.ranks > 0)
    worst = wrong[np.argsort(-outcome.losses[wrong], kind="stable")][:MISTAKES_KEPT]
    return tuple(
        Mistake(
            sample=str(ids[int(outcome.indices[row])]),
            id=classes[int(outcome.labels[row])].id,
            answer=classes[int(outcome.answers[row])].id,
            probability=float(outcome.probabilities[row, outcome.answers[row]]),
            probability_of_right=float(outcome.probabilities[row, outcome.labels[row]]),
            loss=float(outcome.losses[row]),
        )
        for row in worst
    )
