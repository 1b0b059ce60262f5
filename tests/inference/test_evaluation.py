"""An outcome turned into figures."""

from __future__ import annotations

import numpy as np
import pytest

from striate.contract import Class
from striate.inference.evaluation import MISTAKES_KEPT, Figures, figures
from striate.inference.outcome import Outcome
from striate.records import from_json, to_json

CLASSES = tuple(Class(id=f"n{k}", label=f"label {k}") for k in range(7))


def some_outcome(images: int = 300, classes: int = 7, seed: int = 0) -> Outcome:
    random = np.random.default_rng(seed)
    labels = random.integers(0, classes - 1, images)  # the last class has no image
    outputs = random.normal(0, 2, (images, classes)).astype(np.float32)
    outputs[np.arange(images), labels] += 3
    return Outcome(np.arange(images) * 2, outputs, labels)


def test_figures_agree_with_each_other() -> None:
    outcome = some_outcome()
    ids = [f"image {k}" for k in range(600)]
    found = figures(outcome, CLASSES, ids)
    matrix = np.array(found.confusion)
    assert found.n == 300 == matrix.sum() == sum(each.n for each in found.classes)
    assert found.accuracy == matrix.trace() / 300 == outcome.accuracy
    assert found.interval[0] < found.accuracy < found.interval[1]
    assert found.top5 is not None and found.top5 >= found.accuracy
    assert found.loss == pytest.approx(outcome.losses.mean())
    assert [each.answers for each in found.classes] == matrix.sum(0).tolist()
    absent = found.classes[6]
    assert absent.n == 0 and absent.accuracy is None and absent.interval is None
    assert from_json(Figures, to_json(found)) == found


def test_mistakes_are_the_worst_ones_and_named_by_their_id() -> None:
    outcome = some_outcome(2000)
    found = figures(outcome, CLASSES, [f"image {k}" for k in range(4000)])
    assert len(found.mistakes) == MISTAKES_KEPT
    losses = [each.loss for each in found.mistakes]
    assert losses == sorted(losses, reverse=True)
    worst = found.mistakes[0]
    row = int(outcome.losses.argmax())
    assert worst.sample == f"image {2 * row}"
    assert worst.id == f"n{outcome.labels[row]}" and worst.answer != worst.id
    assert worst.probability > worst.probability_of_right


def test_with_five_classes_top_5_says_nothing() -> None:
    outcome = some_outcome(classes=5)
    assert figures(outcome, CLASSES[:5], ["x"] * 600).top5 is None


def test_labels_follow_the_contract_and_not_the_order() -> None:
    outputs = np.eye(3, dtype=np.float32)
    outcome = Outcome(np.arange(3), outputs, np.array([0, 1, 2])).relabelled((2, 0, 1))
    assert outcome.labels.tolist() == [2, 0, 1]
    assert outcome.accuracy == 0


def test_of_distances_the_smallest_wins() -> None:
    outcome = Outcome(np.arange(2), np.array([[3.0, 1], [0, 2]], np.float32), np.array([1, 0]))
    assert outcome.accuracy == 0
    nearest = Outcome(outcome.indices, outcome.outputs, outcome.labels, "distances")
    assert nearest.accuracy == 1
    assert nearest.answers.tolist() == [1, 0]
    assert nearest.probabilities.argmax(1).tolist() == [1, 0]
